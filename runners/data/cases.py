"""What is known of each case before its pixels are read: prompts, target, modality, subject, groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from robustness.errors import InputError, suggest_column
from robustness.perturb.modality import canonical_modality
from robustness.results import COLUMNS
from robustness.runners.data.records import Record, field_text, is_absent, listing
from robustness.runners.data.subjects import Subjects
from robustness.seeds import generator
from robustness.types import CaseInfo, Prompt

UNKNOWN = "unknown"


def case_infos(
    records: Sequence[Record],
    ids: Mapping[str, str],
    subjects: Subjects,
    *,
    common: Mapping[str, Any],
    modality: str | None,
    set_modality: str,
    choose_seed: int | None,
) -> list[CaseInfo]:
    """Return the cases of records, in their order.

    Args:
        records: of one split.
        ids: image name -> id of the image.
        subjects: one for each record.
        common: what every case states (split, dataset, prompt key).
        modality: goes before what records state; None: theirs, else `set_modality`.
        set_modality: what the dataset's own card says.
        choose_seed: one text of each case is drawn from it; None: all texts stay.
    """
    infos = [
        _info(
            record,
            image_id=ids[record.image_name],
            subject_id=subject_id,
            common=common,
            modality=modality or record.modality or set_modality,
            choose_seed=choose_seed,
        )
        for record, subject_id in zip(records, subjects.ids, strict=True)
    ]
    return _one_spelling(infos)


def _info(
    record: Record,
    *,
    image_id: str,
    subject_id: str,
    common: Mapping[str, Any],
    modality: str,
    choose_seed: int | None,
) -> CaseInfo:
    modality = canonical_modality(modality) or modality
    prompts = _prompts(record, modality)
    target = record.target or _target_of(record, prompts, modality)
    if choose_seed is not None:
        rng = generator(choose_seed, record.case_id, "prompt")
        prompts = (prompts[int(rng.integers(len(prompts)))],)
    extra = {key: value for key, value in record.extra.items() if not is_absent(value)}
    own = {
        "image_id": image_id,
        "modality": modality,
        "attributes": dict(record.attributes),
        "siblings": dict(record.siblings),
        "image_path": str(record.image_path),
        "mask_path": str(record.mask_path),
    }
    return CaseInfo(record.case_id, image_id, subject_id, target, prompts, {**extra, **common, **own})


def _prompts(record: Record, modality: str) -> tuple[Prompt, ...]:
    texts = record.texts or ("",)
    parsed = [_parse(text, record, modality) for text in texts]
    return tuple(
        Prompt(prompt.text, prompt.attributes, tuple(other for other in texts if other != prompt.text))
        for prompt in parsed
    )


def _parse(text: str, record: Record, modality: str) -> Prompt:
    from robustness.perturb.language.parse import parse_prompt

    return parse_prompt(
        text,
        target=record.target,
        siblings=record.siblings or None,
        modality=modality,
        attributes=dict(record.attributes) or None,
    )


def _target_of(record: Record, prompts: Sequence[Prompt], modality: str) -> str:
    """Return the class name that the words give: of p1, the shortest listed prompt, else of the chosen prompt."""
    first = record.siblings.get("p1")
    first = first[0] if isinstance(first, list | tuple) and first else first
    shortest = _parse(first, record, modality) if isinstance(first, str) and first else prompts[0]
    for prompt in (shortest, *prompts):
        target = prompt.get("target")
        if target is not None:
            return target.value
    return shortest.text.strip().rstrip(".")


def _one_spelling(infos: Sequence[CaseInfo]) -> list[CaseInfo]:
    """Give targets that differ in capitals only ("Tumor" at the start of a sentence) the spelling with the fewest."""
    spelling: dict[str, str] = {}
    for target in sorted({info.target for info in infos}, key=lambda name: (-sum(map(str.isupper, name)), name)):
        spelling[target.casefold()] = target
    return [replace(info, target=spelling[info.target.casefold()]) for info in infos]


def with_groups(infos: Sequence[CaseInfo], groups: Sequence[str] | None) -> list[CaseInfo]:
    """Return the cases with ``metadata["groups"]``: for each named group its value as text, "unknown" where absent.

    Groups (scanner, site, sex) reach the rows, the tables of subgroups and the gates.

    Raises:
        InputError: a group that no case states, or whose name is a column of the results.
    """
    if not groups:
        return list(infos)
    for name in groups:
        if name in COLUMNS:
            raise InputError(f"groups: {name!r} is a column of the results already; rename the data's column")
        if not any(_value(info, name) for info in infos):
            names = sorted({key for info in infos for key in _named(info)})
            raise InputError(
                f"groups: expected columns or keys of the data ({listing(names)}), got {name!r}"
                f"{suggest_column(name, names)}"
            )
    return [
        replace(info, metadata={**info.metadata, "groups": {name: _value(info, name) or UNKNOWN for name in groups}})
        for info in infos
    ]


def _value(info: CaseInfo, name: str) -> str:
    attributes: Any = info.metadata.get("attributes") or {}
    value = info.metadata.get(name, attributes.get(name))
    return "" if isinstance(value, dict | list) else field_text(value)


def _named(info: CaseInfo) -> list[str]:
    own = {"attributes", "siblings", "image_path", "mask_path", "image_id", "prompt_key", "dataset", "split"}
    return [*(key for key in info.metadata if key not in own), *(info.metadata.get("attributes") or {})]
