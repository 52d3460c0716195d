"""What is wrong with the image and mask files of a split."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from robustness.errors import CaseError
from robustness.runners.data.masks.mask_pixels import LOSSY_SUFFIXES
from robustness.runners.data.masks.undeclared import UndeclaredMaskError
from robustness.runners.data.options import ReadingOptions
from robustness.runners.data.pixels import PixelReader
from robustness.runners.data.records import Record
from robustness.runners.data.set_scale import SetScale
from robustness.types import Mask

_SINGLE = re.compile(r"0 and (\S+)")


class Finding(NamedTuple):
    """One thing that is wrong or worth knowing; `split`, `case_id` and `file` are "" where they do not apply."""

    level: str
    code: str
    message: str
    split: str = ""
    case_id: str = ""
    file: str = ""


def check_files(
    split: str, records: Sequence[Record], *, pixels: bool, reader: PixelReader | None = None
) -> Iterator[Finding]:
    """Yield what is wrong with the files of a split; `pixels=False` looks only whether they exist.

    Args:
        split: its name.
        records: its annotations.
        pixels: decode every image and mask.
        reader: as the audit would read them; None: as the files tell.
    """
    decoder = reader or PixelReader(ReadingOptions(), SetScale(), records)
    missing: set[Path] = set()
    values: Counter[str] = Counter()
    jpeg = 0
    for record in {record.case_id: record for record in reversed(records)}.values():
        jpeg += record.mask_path.suffix.lower() in LOSSY_SUFFIXES
        yield from _missing(split, record, missing)
        if pixels and not missing & {record.image_path, *record.mask_source.paths}:
            yield from _pixels(split, record, decoder, values)
    if jpeg:
        message = f"masks stored as JPEG: {jpeg}; foreground is what lies at or above 50% of the range"
        yield Finding("info", "jpeg_masks", message, split)
    yield from _varying(split, values)


def _missing(split: str, record: Record, missing: set[Path]) -> Iterator[Finding]:
    named = [("image", record.image_path, record.image_name)]
    named += [("mask", path, record.mask_name) for path in record.mask_source.paths]
    for role, path, name in named:
        if not path.exists() and path not in missing:
            missing.add(path)
            yield Finding("error", f"missing_{role}", f"{role} {path}: no such file", split, record.case_id, name)


def _pixels(split: str, record: Record, reader: PixelReader, values: Counter[str]) -> Iterator[Finding]:
    place = (split, record.case_id, record.mask_name)
    try:
        size = reader.image(record).image.shape[:2]
    except CaseError as error:
        yield Finding("error", "unreadable_image", str(error), split, record.case_id, record.image_name)
        return
    try:
        reading = reader.read(record)[1]
    except UndeclaredMaskError as error:
        yield Finding("error", "undeclared_mask", str(error), *place)
    except CaseError as error:
        yield Finding("error", _code(str(error)), _sized(str(error), size), *place)
    else:
        single = _SINGLE.fullmatch(reading.decision)
        if single:
            values[single[1]] += 1
        yield from _extent(reading.mask, place)


def _code(message: str) -> str:
    if "EXIF" in message:
        return "exif_unknown"
    return "size_mismatch" if "expected the size of its image" in message else "unreadable_mask"


def _sized(message: str, size: tuple[int, ...]) -> str:
    return message if "image" in message else f"{message} (its image is {size[1]} x {size[0]})"


def _varying(split: str, values: Counter[str]) -> Iterator[Finding]:
    """Masks of one value each that differ from file to file are label maps whose slices show one label."""
    if len(values) > 1 and set(values) != {"1", "255"}:
        counted = ", ".join(f"{value} in {count}" for value, count in sorted(values.items(), key=lambda i: float(i[0])))
        message = (
            f"undeclared masks hold different values ({counted} files): a label map would be read as one structure; "
            "declare [data] labels"
        )
        yield Finding("error", "mask_values_vary", message, split)


def _extent(mask: Mask, place: tuple[str, str, str]) -> Iterator[Finding]:
    if not mask.any():
        yield Finding("warning", "empty_mask", "mask has no foreground", *place)
    elif mask.all():
        yield Finding("warning", "full_mask", "mask covers the whole image", *place)
