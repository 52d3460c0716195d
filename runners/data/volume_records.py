"""Records of volumes become records of their slices: one for each chosen slice and each label that it shows."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from robustness.errors import CaseError, InputError
from robustness.perturb.language.measured import measure
from robustness.perturb.language.templates import build_prompts, family_of
from robustness.runners.data.masks.convention import MaskConvention
from robustness.runners.data.masks.declaration import MaskDeclaration
from robustness.runners.data.masks.label_map import label_slug
from robustness.runners.data.masks.labelled_slices import SliceOfVolume, slices_of_volume
from robustness.runners.data.masks.source import MaskSource
from robustness.runners.data.masks.volume_mask import Place, read_volume_mask
from robustness.runners.data.options import ReadingOptions
from robustness.runners.data.records import Record, SliceAddress
from robustness.runners.data.volumes.open import is_volume, stem_of
from robustness.runners.data.volumes.slices import SliceRule, limited

Labels = Mapping[str, tuple[int, ...]]


def expand_volumes(
    records: Sequence[Record], convention: MaskConvention, options: ReadingOptions, *, prompt: str
) -> list[Record]:
    """Return the records with each volume replaced by its chosen slices; other records are kept as they are.

    A volume whose record states its label gives cases of that label; without one, of every label of the convention.
    Where the data hold no text, prompts are made by templates from what each slice shows.

    Raises:
        InputError: a volume's labels are not known.
    """
    expanded: list[Record] = []
    by_subject: dict[str, list[tuple[Record, SliceOfVolume, Labels]]] = {}
    rule = options.slices or SliceRule()
    for record in records:
        if record.slice is not None or not is_volume(record.image_path):
            expanded.append(record)
            continue
        header, problem = _header(record, options)
        if problem or (header is not None and header.shape[2] == 1 and not is_volume(record.mask_path)):
            # A single image of a medical format with an ordinary mask, or a file that cannot be read.
            expanded.append(
                dataclasses.replace(record, slice=SliceAddress("stored", 0), problem=problem or record.problem)
            )
            continue
        labels = _labels(record, convention, options)
        subject = record.states("subject") or record.states("subject_id") or stem_of(record.image_path)
        for chosen in slices_of_volume(record.image_path, record.mask_path, labels, _unlimited(rule), options.cache):
            by_subject.setdefault(subject, []).append((record, chosen, labels))
    for subject, slices in by_subject.items():
        for record, chosen, labels in limited(slices, rule.max_per_subject):
            expanded.extend(_cases(record, chosen, labels, options, subject=subject, prompt=prompt))
    return expanded


def _unlimited(rule: SliceRule) -> SliceRule:
    return dataclasses.replace(rule, max_per_subject=None)


def _header(record: Record, options: ReadingOptions) -> tuple[Any, str]:
    try:
        return options.cache.volume(record.image_path).header, ""
    except CaseError as error:
        return None, str(error)


def _labels(record: Record, convention: MaskConvention, options: ReadingOptions) -> Labels:
    """Return the labels of a volume's cases: its own, the convention's, or the segments that the mask names."""
    declaration = record.mask_source.declaration
    if declaration.kind == "labels":
        return {declaration.name or "target": declaration.values}
    if convention.labels:
        return convention.labels
    segments = options.cache.volume(record.mask_path).header.facts.get("segments")
    if segments:
        return {label: (number,) for number, label in segments.items()}
    if record.target:
        return {record.target: (1,)}
    raise InputError(
        f"labels: {record.mask_path.name} is a volume whose values have no names; state [data] labels = "
        '{1 = "NAME", ...}'
    )


def _cases(
    record: Record, chosen: SliceOfVolume, labels: Labels, options: ReadingOptions, *, subject: str, prompt: str
) -> Iterator[Record]:
    rule, view = options.slices or SliceRule(), chosen.view
    address = SliceAddress(view.plane, chosen.index, rule.orientation, rule.channel)
    name = f"{record.image_name}#{view.plane}{chosen.index:03d}"
    image_id = f"{_id(record)}_{view.plane}{chosen.index:03d}"
    for label in chosen.labels:
        source = _source(record, label, labels)
        texts, siblings, words, problem = record.texts, record.siblings, record.attributes, record.problem
        if not any(record.texts):
            texts, siblings, words, problem = _worded(record, chosen, source, label, options, prompt)
        yield dataclasses.replace(
            record,
            case_id=f"{image_id}_{label_slug(label, labels)}",
            image_name=name,
            source=source,
            target=record.target or label,
            texts=texts,
            siblings=siblings,
            attributes={**words, "view": view.plane},
            extra={"subject": subject, **record.extra, **_facts(record, options), "slice": chosen.index},
            spacing_mm=record.spacing_mm or view.spacing_mm,
            slice=address,
            problem=problem,
        )


def _source(record: Record, label: str, labels: Labels) -> MaskSource:
    source = record.mask_source
    if source.declaration.kind == "labels":
        return source
    return dataclasses.replace(source, declaration=MaskDeclaration(kind="labels", values=labels[label], name=label))


def _worded(
    record: Record, chosen: SliceOfVolume, source: MaskSource, label: str, options: ReadingOptions, prompt: str
) -> tuple[tuple[str, ...], dict[str, Any], dict[str, Any], str]:
    header = options.cache.volume(record.image_path).header
    place = Place(header, chosen.view, chosen.index)
    mask = read_volume_mask(record.mask_path, source.declaration, place, options.cache)
    words = {**measure(mask), **record.attributes, "view": chosen.view.plane, "target": record.target or label}
    prompts = build_prompts(words, family=family_of(record.modality or header.modality, words["target"]))
    text = prompts.get(prompt, prompts["p6"] if prompt == "prompt" else None)
    texts = tuple(text) if isinstance(text, list) else (text,) if isinstance(text, str) else ()
    problem = "" if texts else f"{record.where}: expected a prompt among {', '.join(prompts)}, got {prompt!r}"
    return texts, prompts, {key: value for key, value in words.items() if key != "target"}, problem


def _facts(record: Record, options: ReadingOptions) -> dict[str, Any]:
    """Return the header's facts that the data themselves do not state."""
    facts = options.cache.volume(record.image_path).header.facts
    return {key: value for key, value in facts.items() if key not in record.extra and key != "segments"}


def _id(record: Record) -> str:
    """Return the volume's name without suffix, its folders written with '__'."""
    folder, _, _ = record.image_name.replace("\\", "/").rpartition("/")
    stem = stem_of(record.image_path)
    parts = [part for part in folder.split("/") if part not in ("", ".", "..", "imagesTr", "images")]
    return "__".join([*parts, stem])
