"""Findings about the content of images, masks and prompts: near-duplicates, false places, identifiers, constants."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image as PILImage

from robustness.errors import CaseError, InputError
from robustness.files import sha256_file
from robustness.perturb.language.measured import place_of
from robustness.perturb.language.parse import parse_prompt
from robustness.perturb.language.truth import facts
from robustness.runners.data.check_files import Finding
from robustness.runners.data.pixels import PixelReader
from robustness.runners.data.read_records import several_of_one
from robustness.runners.data.records import Record, is_absent, listing
from robustness.runners.data.volumes import dicom, dicom_header
from robustness.runners.data.volumes.open import is_volume
from robustness.types import Image, Mask

Splits = Mapping[str, Sequence[Record]]

# Bits of 64 in which two images of one scene may differ (re-encoded, resized, a little brighter).
_NEAR_BITS = 3
_HASH_SIDE = 8
# Share of prompts with a place that must be false, and be true after one change, to name that change as the cause.
_CAUSE_SHARE = 0.8
_LEAST_PLACES = 5
Change = Callable[[float, float], tuple[float, float]]
_CHANGES: Mapping[str, Change] = {
    "the axes of masks are exchanged (rows for columns)": lambda row, column: (column, row),
    "left and right are the patient's, not the image's (or masks are mirrored)": lambda row, column: (row, 1 - column),
    "masks or words are upside down": lambda row, column: (1 - row, column),
    "masks or words are turned by half": lambda row, column: (1 - row, 1 - column),
}
_NAME_HINTS = re.compile(r"(\b|_)(19[2-9]\d|20[0-2]\d)[-_]?(0[1-9]|1[0-2])[-_]?(0[1-9]|[12]\d|3[01])(\b|_)")


def check_content(splits: Splits, reader: PixelReader, *, pixels: bool) -> Iterator[Finding]:
    """Yield what is wrong with the content of all splits together; `pixels=False` looks at names and headers only."""
    yield from _identifiers(splits)
    yield from _constant(splits)
    if pixels:
        yield from _near_duplicates(splits, reader)
        yield from _places(splits, reader)


def check_several_masks(split: str, records: Sequence[Record]) -> Iterator[Finding]:
    """Yield the images for which one text asks for several masks."""
    groups = several_of_one(records)
    if groups:
        first = groups[0]
        names = listing(record.mask_name for record in first)
        message = (
            f"{len(groups)} images have several masks for one text (first: {names}); a model that shows all of them is "
            'scored against each alone; state masks = {combine = "union"} or "instances"'
        )
        yield Finding("warning", "several_masks", message, split, first[0].case_id, first[0].mask_name)


def perceptual_hash(image: Image) -> int:
    """Return 64 bits that near-duplicates share: whether each cell of a small gray image is brighter than the next.

    Source: Krawetz, "Kind of like that", 2013 (difference hash).
    """
    small = PILImage.fromarray(image).convert("L").resize((_HASH_SIDE + 1, _HASH_SIDE), PILImage.Resampling.LANCZOS)
    values = np.asarray(small, dtype=np.int16)
    bits = (values[:, 1:] > values[:, :-1]).ravel()
    return int(sum(1 << place for place in np.flatnonzero(bits).tolist()))


def _near_duplicates(splits: Splits, reader: PixelReader) -> Iterator[Finding]:
    hashes: list[int] = []
    where: list[tuple[str, Record]] = []
    for split, records in splits.items():
        for record in {record.image_name: record for record in records}.values():
            try:
                image = reader.image(record).image
            except (CaseError, InputError):
                continue
            # A flat image says nothing about what it shows.
            if float(image.std()) > 2:
                hashes.append(perceptual_hash(image))
                where.append((split, record))
    for first, second in _pairs(hashes):
        (one_split, one), (other_split, other) = where[first], where[second]
        mine, theirs = _subject(one), _subject(other)
        same = one.image_name == other.image_name or sha256_file(one.image_path) == sha256_file(other.image_path)
        if one_split != other_split and not same and not (mine and mine == theirs):
            message = f"{one.image_name} ({one_split}) and {other.image_name} ({other_split}) look almost the same"
            yield Finding("warning", "near_duplicate", message, other_split, other.case_id, other.image_name)


def _pairs(hashes: Sequence[int]) -> Iterator[tuple[int, int]]:
    bits = np.array(hashes, dtype=np.uint64)
    for index in range(len(bits)):
        distance = _bits(bits[index + 1 :] ^ bits[index])
        yield from ((index, index + 1 + int(other)) for other in np.flatnonzero(distance <= _NEAR_BITS))


def _bits(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint8]:
    return np.bitwise_count(values)


def _subject(record: Record) -> str:
    return record.states("subject") or record.states("subject_id")


def _places(splits: Splits, reader: PixelReader) -> Iterator[Finding]:
    """Prompts whose place is false of the mask; where one change makes most of them true, it is named."""
    for split, records in splits.items():
        stated = [item for record in records if (item := _stated_place(record, reader)) is not None]
        false = [item for item in stated if place_of(item[2], item[3]) != item[1] and not _touches(item)]
        for record, place, row, column, _ in false[:20]:
            message = f"the prompt says {place!r}, the mask lies in {place_of(row, column)!r}"
            yield Finding("warning", "false_location", message, split, record.case_id, record.mask_name)
        if len(stated) >= _LEAST_PLACES and len(false) >= 0.3 * len(stated):
            yield from _cause(split, false)


def _cause(split: str, false: Sequence[tuple[Record, str, float, float, Mask]]) -> Iterator[Finding]:
    for cause, change in _CHANGES.items():
        true = sum(place_of(*change(row, column)) == place for _, place, row, column, _ in false)
        if true >= _CAUSE_SHARE * len(false):
            message = f"{len(false)} prompts are false of their masks; {true} would be true if {cause}"
            yield Finding("error", "false_location_cause", message, split, false[0][0].case_id)
            return


def _stated_place(record: Record, reader: PixelReader) -> tuple[Record, str, float, float, Mask] | None:
    if not record.texts or record.problem:
        return None
    attribute = parse_prompt(record.texts[0], target=record.target, modality=record.modality).get("location")
    if attribute is None or "," in attribute.value:
        return None
    try:
        mask = reader.read(record)[1].mask
    except (CaseError, InputError):
        return None
    shape = facts(mask)
    if shape is None or len(shape.centroids) != 1:
        return None
    row, column = shape.centroids[0]
    words = attribute.value.lower().replace("centre", "center").replace("upper", "top").replace("lower", "bottom")
    place = " ".join(word for word in ("top", "bottom", "left", "right") if word in words.split()) or "center"
    return record, place, float(row), float(column), mask


def _touches(item: tuple[Record, str, float, float, Mask]) -> bool:
    """Tell whether the place is near enough to the named cell that another convention of cells may name it."""
    _, place, row, column, _ = item
    near = {
        place_of(min(max(row + dr, 0), 0.999), min(max(column + dc, 0), 0.999))
        for dr in (-0.12, 0, 0.12)
        for dc in (-0.12, 0, 0.12)
    }
    return place in near


def _constant(splits: Splits) -> Iterator[Finding]:
    """Attributes that every case states with one value: no change of their words can be distinguished from the rest."""
    records = [record for group in splits.values() for record in group]
    values: dict[str, Counter[str]] = {}
    for record in records:
        for key, value in record.attributes.items():
            if not is_absent(value) and isinstance(value, str):
                values.setdefault(key, Counter())[value] += 1
    for key, counts in sorted(values.items()):
        if len(counts) == 1 and len(records) >= 10 and sum(counts.values()) == len(records):
            message = f"{key} is {next(iter(counts))!r} in all {len(records)} cases: reliance on it cannot be seen here"
            yield Finding("info", "constant_attribute", message)


def _identifiers(splits: Splits) -> Iterator[Finding]:
    """File names that hold a date, and DICOM headers that name a person."""
    seen: set[Path] = set()
    for split, records in splits.items():
        dated = [record.image_name for record in records if _NAME_HINTS.search(record.image_name)]
        if dated:
            message = f"{len(set(dated))} image names hold what looks like a date (first: {dated[0]})"
            yield Finding("warning", "date_in_name", message, split, file=dated[0])
        for record in records:
            if record.image_path in seen or not is_volume(record.image_path):
                continue
            seen.add(record.image_path)
            named = _named(record.image_path)
            if named:
                message = f"its DICOM header names a person ({', '.join(named)}); remove these fields before sharing"
                yield Finding("warning", "identifier_in_header", message, split, record.case_id, record.image_name)


def _named(path: Path) -> list[str]:
    files = dicom.series_files(path)[:1] if path.is_dir() else [path] if path.exists() and dicom.is_dicom(path) else []
    try:
        return dicom_header.identifiers_of(dicom.read_header(files[0])) if files else []
    except (CaseError, InputError):
        return []
