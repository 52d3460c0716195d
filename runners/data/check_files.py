"""What is wrong with the image and mask files of a split."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from robustness.errors import CaseError
from robustness.runners.data.decode import JPEG_SUFFIXES, binarize, read_image, read_mask_values
from robustness.runners.data.records import Record

# The mask sizes that fit an image (two where EXIF turns it); None where the image cannot be read.
Sizes = dict[Path, set[tuple[int, int]] | None]


class Finding(NamedTuple):
    """One thing that is wrong or worth knowing; `split`, `case_id` and `file` are "" where they do not apply."""

    level: str
    code: str
    message: str
    split: str = ""
    case_id: str = ""
    file: str = ""


def check_files(split: str, records: Sequence[Record], *, pixels: bool) -> Iterator[Finding]:
    """Yield what is wrong with the files of a split; `pixels=False` looks only whether they exist."""
    sizes: Sizes = {}
    jpeg = 0
    for record in {record.case_id: record for record in reversed(records)}.values():
        jpeg += record.mask_path.suffix.lower() in JPEG_SUFFIXES
        for role, path in (("image", record.image_path), ("mask", record.mask_path)):
            if not path.is_file() and sizes.setdefault(path, None) is None:
                name = record.image_name if role == "image" else record.mask_name
                yield Finding("error", f"missing_{role}", f"{role} {path}: no such file", split, record.case_id, name)
        if pixels:
            yield from _pixels(split, record, sizes)
    if jpeg:
        message = f"masks stored as JPEG: {jpeg}; foreground is what lies at or above 50% of the range"
        yield Finding("info", "jpeg_masks", message, split)


def _pixels(split: str, record: Record, sizes: Sizes) -> Iterator[Finding]:
    image, mask = record.image_path, record.mask_path
    if image.is_file() and image not in sizes:
        try:
            decoded = read_image(image)
            height, width = decoded.image.shape[:2]
            sizes[image] = {(height, width)} | ({(width, height)} if decoded.orientation != 1 else set())
        except CaseError as error:
            sizes[image] = None
            yield Finding("error", "unreadable_image", str(error), split, record.case_id, record.image_name)
    if not mask.is_file():
        return
    try:
        values, top = read_mask_values(mask)
    except CaseError as error:
        yield Finding("error", "unreadable_mask", str(error), split, record.case_id, record.mask_name)
        return
    yield from _mask(split, record, values, top)
    allowed = sizes.get(image)
    if allowed and values.shape not in allowed:
        height, width = min(allowed)
        message = f"mask is {values.shape[1]} x {values.shape[0]}, its image {record.image_name} {width} x {height}"
        yield Finding("error", "size_mismatch", message, split, record.case_id, record.mask_name)


def _mask(split: str, record: Record, values: np.ndarray, top: float) -> Iterator[Finding]:
    lossy = record.mask_path.suffix.lower() in JPEG_SUFFIXES
    levels = np.unique(values)
    foreground = binarize(values, top=top, lossy=lossy)
    place = (split, record.case_id, record.mask_name)
    if not lossy and len(levels) > 2:
        message = (
            f"mask has {len(levels)} levels ({levels[0]:g} to {levels[-1]:g}); foreground is from {top / 2:g} upwards"
        )
        yield Finding("warning", "non_binary_mask", message, *place)
    elif not lossy and len(levels) == 2 and levels[0] != 0:
        message = f"mask has the levels {levels[0]:g} and {levels[1]:g}, not 0; foreground is from {top / 2:g} upwards"
        yield Finding("warning", "non_binary_mask", message, *place)
    if not foreground.any():
        yield Finding("warning", "empty_mask", "mask has no foreground", *place)
    elif foreground.all():
        yield Finding("warning", "full_mask", "mask covers the whole image", *place)
