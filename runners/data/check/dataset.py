"""What is wrong with a dataset, before an audit meets it: findings over all splits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robustness.errors import InputError
from robustness.runners.data import benchmark_folder
from robustness.runners.data.check.attributes import RequiredSubjects, check_attributes, check_groups, check_size
from robustness.runners.data.check.burnt_in_text import BurntInText
from robustness.runners.data.check.entries import check_entries
from robustness.runners.data.check.files import InvertedMasks, PixelRule, check_files
from robustness.runners.data.check.findings import Finding, table_of
from robustness.runners.data.check.identifiers import check_identifiers
from robustness.runners.data.check.near_duplicates import NearDuplicates
from robustness.runners.data.check.places import FalsePrompts
from robustness.runners.data.check.prompts import check_prompts
from robustness.runners.data.check.splits import Subjects, check_splits
from robustness.runners.data.load import convention_of
from robustness.runners.data.masks.convention import MaskConvention
from robustness.runners.data.notes import slices_note
from robustness.runners.data.options import ReadingOptions, reading_options
from robustness.runners.data.pixels import PixelReader
from robustness.runners.data.read_records import read_records
from robustness.runners.data.records import Record, image_ids, no_such
from robustness.runners.data.resplit import known_splits
from robustness.runners.data.set_scale import SetScale, decide_scale
from robustness.runners.data.subjects import subjects_of

if TYPE_CHECKING:
    import pandas as pd


def check_dataset(
    path: str | Path,
    split: str | None = None,
    *,
    prompt: str = "p6",
    pixels: bool = True,
    subject: str | None = None,
    groups: Sequence[str] | None = None,
    required: RequiredSubjects | None = None,
    convention: Mapping[Any, str] | str | None = None,
    labels: Mapping[Any, Any] | None = None,
    masks: Mapping[str, Any] | None = None,
    window: Any = None,
    slices: Mapping[str, Any] | None = None,
    exif: str | None = None,
) -> pd.DataFrame:
    """Return what is wrong with a dataset, errors first.

    Args:
        path: a folder with images/, masks/ and anns/, or a manifest.
        split: one split only; None: all of them, and whether they share files or subjects.
        prompt: the prompt key (or column) that an audit would use.
        pixels: decode every image and mask; False looks at names, headers and prompts only.
        subject: how patients are known, as `load_dataset` takes it.
        groups: columns, attributes or header fields whose groups need enough subjects.
        required: how many subjects the verdicts need (`robustness.runners.data.check.attributes.required_subjects`), of
            the split, or "test" where there is one, and of its groups; None: any number will do.
        convention: how words are read, as `load_dataset` takes it.
        labels: how files are read, likewise.
        masks: how files are read, likewise.
        window: how files are read, likewise.
        slices: how files are read, likewise.
        exif: how files are read, likewise.

    Returns:
        A table with the columns level ("error": the case or dataset cannot be used as it is; "warning": results may
        mislead; "info"), code, split, case_id, file, message. Empty where nothing was found.

    Raises:
        InputError: there is no such dataset, split or prompt, or its annotations cannot be parsed.
    """
    source = Path(path).expanduser().resolve()
    options = reading_options(labels=labels, masks=masks, window=window, slices=slices, exif=exif)
    splits, findings = _read_splits(source, str(path), split=split, prompt=prompt, options=options)
    everything = [record for records in splits.values() for record in records]
    scale = decide_scale(everything, [record.image_path for record in everything], options) if pixels else SetScale()
    declared = options.convention(source)
    findings += _of_reading(options, declared, scale, everything)
    subjects, unknown = known_subjects(splits, subject)
    findings += [*unknown, *check_splits(source, splits, subjects, contents=pixels, subject=subject)]
    reader = PixelReader(options, scale, everything) if pixels else None
    rules: list[PixelRule] = [NearDuplicates(), FalsePrompts(convention_of(convention)), BurntInText(), InvertedMasks()]
    for name, records in splits.items():
        findings += check_entries(name, records, prompt=prompt, combined=declared.combine is not None)
        findings += check_prompts(name, records)
        findings += check_files(name, records, reader=reader, rules=rules, subjects=subjects[name])
        if required is not None and name in _audited(splits):
            findings += check_size(name, records, subjects[name], required=required)
            findings += check_groups(name, records, subjects[name], groups or (), required=required)
    findings += [finding for rule in rules for finding in rule.findings()]
    return table_of([*findings, *check_attributes(splits), *check_identifiers(splits)])


def _of_reading(
    options: ReadingOptions, declared: MaskConvention, scale: SetScale, records: Sequence[Record]
) -> Iterator[Finding]:
    """Yield what reading itself has to tell: scale of the set, slices left out, declared masks, remarks on volumes."""
    yield from (Finding("info", "scale", note) for note in scale.notes())
    if cut := slices_note(records):
        yield Finding("info", "slices", cut)
    if declared.note():
        yield Finding("info", "declared_masks", declared.note())
    yield from (Finding("warning", "volume_remark", remark) for remark in options.cache.remarks())


def _audited(splits: Mapping[str, Sequence[Record]]) -> list[str]:
    """Return the splits that an audit may read: "test" where there is one."""
    return ["test"] if "test" in splits else list(splits)


def known_subjects(splits: Mapping[str, Sequence[Record]], subject: str | None) -> tuple[Subjects, list[Finding]]:
    """Return split -> case id -> subject, {} where each image counts as one, and what is wrong with the subjects."""
    subjects: dict[str, Mapping[str, str]] = {}
    findings = []
    for name, records in splits.items():
        try:
            units = subjects_of(records, image_ids(records), subject=subject)
        except InputError as error:
            own = {r.case_id: r.stated_subject for r in records}
            subjects[name] = own
            if subject is not None:
                findings.append(Finding("error", "subject_missing", str(error), name))
            continue
        ids = {record.case_id: one for record, one in zip(records, units.ids, strict=True)}
        subjects[name] = {} if units.are_images else ids
    return subjects, findings


def _read_splits(
    source: Path, shown: str, *, split: str | None, prompt: str, options: ReadingOptions
) -> tuple[dict[str, list[Record]], list[Finding]]:
    names = known_splits(source, shown=shown)
    if split and split not in names:
        raise no_such("split", split, names, f"{shown}/anns" if source.is_dir() else str(source))
    chosen = [split] if split else names
    if source.is_dir():
        return _read_folder(source, chosen, prompt, options)
    return {name: read_records(source, split=name, prompt=prompt, options=options) for name in chosen}, []


def _read_folder(
    source: Path, chosen: Sequence[str], prompt: str, options: ReadingOptions
) -> tuple[dict[str, list[Record]], list[Finding]]:
    """Read splits with `prompt`; one that lacks it is a finding and is read with its first key."""
    splits, findings = {}, []
    keys = {
        name: benchmark_folder.prompt_keys(benchmark_folder.read_entries(source / f"anns/{name}.json"))
        for name in chosen
    }
    if not any(prompt in offered for offered in keys.values()):
        raise no_such("prompt", prompt, sorted({key for offered in keys.values() for key in offered}), f"{source}/anns")
    for name, offered in keys.items():
        if not offered:
            findings.append(Finding("error", "no_prompt", "no entry has prompts", name, file=f"anns/{name}.json"))
            continue
        if prompt not in offered:
            message = f"no entry has the prompt key {prompt!r}; there are {', '.join(offered)}"
            findings.append(Finding("error", "prompt_key_missing", message, name, file=f"anns/{name}.json"))
        key = prompt if prompt in offered else offered[0]
        splits[name] = read_records(source, split=name, prompt=key, options=options)
    return splits, findings
