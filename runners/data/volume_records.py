"""Records of volumes become records of their slices: one for each chosen slice and each label that it shows."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from robustness.errors import CaseError, InputError, counted
from robustness.runners.data.label_words import label_words
from robustness.runners.data.masks.convention import MaskConvention
from robustness.runners.data.masks.label_map import label_slug
from robustness.runners.data.masks.labelled_slices import Labels, SliceOfVolume, slices_of_volume
from robustness.runners.data.masks.source import MaskSource
from robustness.runners.data.masks.undeclared import listed
from robustness.runners.data.masks.volume_mask import has_segment
from robustness.runners.data.options import ReadingOptions
from robustness.runners.data.records import SUBJECT_KEYS, Record, SliceAddress, field_text, names_nobody
from robustness.runners.data.subjects import subject_of_path
from robustness.runners.data.volume_labels import labels_of_volume
from robustness.runners.data.volume_words import with_words
from robustness.runners.data.volumes.base import Header
from robustness.runners.data.volumes.open import is_volume, stem_of
from robustness.runners.data.volumes.orientation import stored_view
from robustness.runners.data.volumes.slices import SliceRule, limited

_NAMELESS = "names no patient, so its file or folder stands for one; where that is not so state a column subject_id"


def expand_volumes(
    records: Sequence[Record], convention: MaskConvention, options: ReadingOptions, *, prompt: str
) -> list[Record]:
    """Return the records with each volume replaced by its chosen slices; other records are kept as they are.

    A volume whose record states its label gives cases of that label; without one, of every label of the convention.
    Where the data hold no text, prompts are made by templates from what each slice shows. A volume that cannot be read
    is one record with its problem.

    Raises:
        InputError: a volume's labels are not known, or its plane is not.
    """
    expanded: list[Record] = []
    by_subject: dict[str, list[tuple[Record, SliceOfVolume, Labels]]] = {}
    rule = options.slices or SliceRule()
    for record in records:
        if record.slice is not None or not is_volume(record.image_path):
            expanded.append(record)
            continue
        try:
            header = options.cache.volume(record.image_path).header
            if not any(is_volume(path) for path in record.mask_source.paths):
                expanded.append(_single(record, header, options, prompt=prompt))
                continue
            _remark_places(record, header, options)
            labels = labels_of_volume(record, convention, options.cache)
            paths = record.mask_source.paths
            slices = slices_of_volume(record.image_path, paths, labels, _unlimited(rule), options.cache)
        except CaseError as error:
            expanded.append(_broken(record, str(error), options))
            continue
        if not slices:
            options.cache.remark(record.image_name, "shows none of the labels that are declared")
        subject = _subject(record, header, options)
        for chosen in slices:
            by_subject.setdefault(subject, []).append((record, chosen, labels))
    _refuse_nothing(records, by_subject, expanded, options)
    for subject, slices_of_subject in by_subject.items():
        for record, chosen, labels in limited(slices_of_subject, rule.max_per_subject):
            expanded.extend(_cases(record, chosen, labels, options, subject=subject, prompt=prompt))
    return expanded


def _refuse_nothing(
    records: Sequence[Record], chosen: Mapping[str, Any], expanded: Sequence[Record], options: ReadingOptions
) -> None:
    """Refuse a set of volumes none of which shows a declared label: the labels are those of another set.

    Raises:
        InputError: no slice was chosen; the message shows the values of the first mask.
    """
    if chosen or expanded or not records:
        return
    mask = records[0].mask_source.paths[0]
    values = np.unique(options.cache.voxels(mask))
    if options.slices is not None and options.slices.where == "every target":
        raise InputError(
            "slices.where: expected slices that show every one of the labels ('every target'), found none in "
            f"{counted(len(records), 'volume')}; {mask.name} holds the values {listed(values)}; "
            "'target' takes slices with any"
        )
    if np.issubdtype(values.dtype, np.floating) and 0 < values.max() < 1:
        raise InputError(
            f"masks.threshold: expected slices with shares that count, found none in "
            f"{counted(len(records), 'volume')}; those of {mask.name} end at {values.max():.3g}; state "
            f"[data] masks = {{ threshold = {values.max() / 2:.2g} }}, or whatever share counts"
        )
    raise InputError(
        f"labels: expected slices that show a declared label, found none in {counted(len(records), 'volume')}; "
        f"{mask.name} holds the values {listed(values)}; state [data] "
        f'labels = {{1 = "NAME", ...}} for them, or slices.min_pixels'
    )


def _remark_places(record: Record, header: Header, options: ReadingOptions) -> None:
    """Note where it is not certain that a mask lies where its image does."""
    for path in record.mask_source.paths:
        own = options.cache.volume(path).header
        if (own.affine is None) != (header.affine is None):
            options.cache.remark(
                path.name,
                "one of mask and image says how it lies in the patient, the other does not: voxels are matched in the "
                "order in which they are stored",
            )
        stated = {own.frame_of_reference, header.frame_of_reference} - {""}
        if len(stated) > 1:
            options.cache.remark(
                path.name,
                "the mask states another frame of reference (a DICOM UID) than its image: is it of another scan?",
            )


def _unlimited(rule: SliceRule) -> SliceRule:
    return dataclasses.replace(rule, max_per_subject=None)


def _subject(record: Record, header: Header, options: ReadingOptions) -> str:
    """Return whom a volume shows: as the data state, else the header's patient, else what folders and names tell."""
    stated = record.stated_subject or ("" if names_nobody(header.patient) else header.patient)
    if not stated:
        options.cache.remark(record.image_name, _NAMELESS)
    return stated or subject_of_path(record.image_path, record.image_name)


def _broken(record: Record, problem: str, options: ReadingOptions) -> Record:
    """Return the one record of a volume that cannot be used, with what its header says where that can be read."""
    try:
        header = options.cache.volume(record.image_path).header
    except CaseError:
        header = Header((1, 1, 1), None, None)
    return dataclasses.replace(
        record,
        case_id=record.stated_id or _id(record),
        extra=_extra(record, header, _subject(record, header, options)),
        slice=SliceAddress("stored", 0),
        problem=problem,
    )


def _single(record: Record, header: Header, options: ReadingOptions, *, prompt: str) -> Record:
    """Return the record of one image of a medical format, such as a radiograph, with a mask of another kind."""
    if header.shape[2] != 1:
        raise CaseError(
            f"mask {record.mask_path}: expected a volume of {header.shape[2]} slices as its image {record.image_name} "
            "is, got one image; name a NIfTI, NRRD, MHA, TIFF stack or DICOM segmentation"
        )
    view = stored_view(header)
    single = dataclasses.replace(
        record,
        slice=SliceAddress("stored", 0, channel=(options.slices or SliceRule()).channel),
        extra=_extra(record, header, _subject(record, header, options)),
        modality=record.modality or header.modality,
        spacing_mm=record.spacing_mm or view.spacing_mm,
    )
    return single if any(record.texts) else with_words(single, header, view, options, prompt=prompt)


def _cases(
    record: Record, chosen: SliceOfVolume, labels: Labels, options: ReadingOptions, *, subject: str, prompt: str
) -> Iterator[Record]:
    rule, view = options.slices or SliceRule(), chosen.view
    header = options.cache.volume(record.image_path).header
    address = SliceAddress(view.plane, chosen.index, rule.orientation, rule.channel)
    name = f"{record.image_name}#{view.plane}{chosen.index:03d}"
    image_id = f"{record.stated_id or _id(record)}_{view.plane}{chosen.index:03d}"
    for label in chosen.labels:
        words = {"target": record.target} if record.target else label_words(label)
        case = dataclasses.replace(
            record,
            case_id=f"{image_id}_{label_slug(label, {})}",
            image_name=name,
            source=_source(record, label, labels, options),
            target=words.pop("target"),
            modality=record.modality or header.modality,
            attributes={**words, **record.attributes, "view": view.plane},
            extra={**_extra(record, header, subject), "slice": chosen.index},
            spacing_mm=record.spacing_mm or view.spacing_mm,
            slice=address,
        )
        yield case if any(record.texts) else with_words(case, header, view, options, prompt=prompt)


def _source(record: Record, label: str, labels: Labels, options: ReadingOptions) -> MaskSource:
    """Return where a label's mask lies: in all masks of the volume, but segmentations without that segment."""
    declaration = labels[label]
    paths = [path for path in record.mask_source.paths if has_segment(options.cache.volume(path).header, declaration)]
    return MaskSource(paths=tuple(paths), declaration=declaration)


def _extra(record: Record, header: Header, subject: str) -> dict[str, Any]:
    """Return the entry's further keys, its subject where they name nobody, and the header's facts that they lack."""
    nobody = {key for key in SUBJECT_KEYS if names_nobody(field_text(record.extra.get(key)))}
    stated = {key: value for key, value in record.extra.items() if key not in nobody}
    facts = {key: value for key, value in header.facts.items() if key not in record.extra and key != "segments"}
    return {"subject": subject, **stated, **facts}


def _id(record: Record) -> str:
    """Return the volume's name without suffix, its folders written with '__'."""
    folder, _, _ = record.image_name.replace("\\", "/").rpartition("/")
    stem = stem_of(record.image_path)
    parts = [part for part in folder.split("/") if part not in ("", ".", "..", "imagesTr", "images")]
    return "__".join([*parts, stem])
