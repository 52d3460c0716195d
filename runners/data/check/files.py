"""Findings on the image and mask files of a split."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from robustness.errors import CaseError, counted, verb
from robustness.regular_files import is_regular, is_there
from robustness.runners.data.check.findings import Finding
from robustness.runners.data.masks.mask_pixels import LOSSY_SUFFIXES
from robustness.runners.data.masks.mask_values import read_mask
from robustness.runners.data.masks.source import MaskSource
from robustness.runners.data.masks.undeclared import UndeclaredMaskError
from robustness.runners.data.pixels import PixelReader
from robustness.runners.data.records import Record
from robustness.runners.data.volumes.open import is_volume
from robustness.runners.data.volumes.slices import limited
from robustness.types import Image, Mask

_SINGLE = re.compile(r"0 and (\S+)")
# Mask files that are read before an audit; of a larger set so many, spread evenly.
_READ_FIRST = 2000
# Full scale of 8 and 16 bits: what tools write for a mask, and seldom for a label.
_WHITE = frozenset({"255", "65535"})
# A mask looks inverted whose foreground covers more than half of the image and of its edge. Of the six sets of real
# images that this was tried on, no right mask covers more than .44 and .28 of these, and each inverted one more than
# .55 and .72; a lesion close up may cover both, which is why so large a share of at least so many masks must.
_MOST_OF_IT = 0.5
_INVERTED_SHARE = 0.9
_INVERTED_LEAST = 5


class PixelRule(Protocol):
    """A rule that looks at pixels: shown each case once, it says at the end what it found."""

    def see(self, split: str, record: Record, subject: str, image: Image, mask: Mask | None) -> None:
        """Look at one case; `subject` is "" where none is known, `mask` None where it cannot be read."""

    def findings(self) -> Iterator[Finding]:
        """Yield what was found."""


class InvertedMasks:
    """Finds splits whose masks show the background: a `PixelRule`; an empty or full mask tells nothing."""

    def __init__(self) -> None:
        self._looks: dict[str, list[tuple[bool, str, str]]] = {}

    def see(self, split: str, record: Record, subject: str, image: Image, mask: Mask | None) -> None:
        """Look at one case."""
        if mask is not None:
            self.add(split, mask, case_id=record.case_id, name=record.mask_name)

    def add(self, split: str, mask: Mask, *, case_id: str, name: str) -> None:
        """Look at one mask."""
        if mask.any() and not mask.all():
            edge = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
            looks = bool(mask.mean() > _MOST_OF_IT and edge.mean() > _MOST_OF_IT)
            self._looks.setdefault(split, []).append((looks, case_id, name))

    def findings(self) -> Iterator[Finding]:
        """Yield one finding for each split whose masks look inverted."""
        for split, looks in self._looks.items():
            inverted = [look for look in looks if look[0]]
            if len(looks) >= _INVERTED_LEAST and len(inverted) >= _INVERTED_SHARE * len(looks):
                masks = f"{len(inverted)} of {counted(len(looks), 'mask')} of this split {verb(len(inverted), 'cover')}"
                message = (
                    f"{masks} most of the image and of its edge, as if background and object were exchanged; look at "
                    "some, and invert the files if so"
                )
                yield Finding("warning", "inverted_masks", message, split, *inverted[0][1:])


def check_files(
    split: str,
    records: Sequence[Record],
    *,
    reader: PixelReader | None,
    rules: Sequence[PixelRule] = (),
    subjects: Mapping[str, str] | None = None,
) -> Iterator[Finding]:
    """Yield what is wrong with the files of a split.

    Args:
        split: its name.
        records: its annotations.
        reader: decodes images and masks as the audit would; None: look only whether the files exist.
        rules: shown every case that can be decoded.
        subjects: case id -> subject.
    """
    missing: set[Path] = set()
    values: Counter[str] = Counter()
    jpeg = 0
    for record in {record.case_id: record for record in reversed(records)}.values():
        jpeg += record.mask_path.suffix.lower() in LOSSY_SUFFIXES
        yield from _missing(split, record, missing)
        if record.problem and record.slice is not None:
            yield Finding("error", "unreadable_volume", record.problem, split, record.case_id, record.image_name)
        elif reader is not None and not missing & {record.image_path, *record.mask_source.paths}:
            subject = (subjects or {}).get(record.case_id, "")
            yield from _pixels(split, record, subject, reader, values, rules)
    if jpeg:
        message = f"masks stored as JPEG: {jpeg}; foreground is what lies at or above 50% of the range"
        yield Finding("info", "jpeg_masks", message, split)
    yield from _varying(split, values)


def check_mask_values(split: str, records: Sequence[Record]) -> Iterator[Finding]:
    """Yield what undeclared mask files tell only together: slices of a label map, and background for object.

    At most 2,000 files are read, spread evenly over a larger set; what cannot be read is left to its own case.
    """
    files = dict.fromkeys(file for record in records for file in _undeclared(record.mask_source))
    values: Counter[str] = Counter()
    inverted = InvertedMasks()
    several = 0
    for path, key in limited(list(files), _READ_FIRST):
        try:
            reading = read_mask(path, key=key)
        except UndeclaredMaskError:
            several += 1
            continue
        except CaseError:
            continue
        single = _SINGLE.fullmatch(reading.decision)
        if single:
            values[single[1]] += 1
        inverted.add(split, reading.mask, case_id="", name=path.name)
    yield from _varying(split, values, several)
    yield from inverted.findings()


def _undeclared(source: MaskSource) -> Iterator[tuple[Path, str]]:
    """Yield the lossless image files, with the array's name in an archive, whose foreground the pixels decide."""
    for part in source.parts or (source,):
        if part.declaration.kind == "auto" and part.inline is None:
            for path in part.paths:
                if path.suffix.lower() not in (".json", *LOSSY_SUFFIXES) and is_regular(path) and not is_volume(path):
                    yield path, part.key[0] if part.key else ""


def _missing(split: str, record: Record, missing: set[Path]) -> Iterator[Finding]:
    named = [("image", record.image_path, record.image_name)]
    named += [("mask", path, record.mask_name) for path in record.mask_source.paths]
    for role, path, name in named:
        if not is_there(path) and path not in missing:
            missing.add(path)
            yield Finding("error", f"missing_{role}", f"{role} {path}: no such file", split, record.case_id, name)


def _pixels(
    split: str,
    record: Record,
    subject: str,
    reader: PixelReader,
    values: Counter[str],
    rules: Sequence[PixelRule],
) -> Iterator[Finding]:
    where = (split, record.case_id, record.mask_name)
    try:
        image = reader.image(record).image
    except CaseError as error:
        yield Finding("error", "unreadable_image", str(error), split, record.case_id, record.image_name)
        return
    mask = None
    try:
        decoded, reading = reader.read(record)
    except UndeclaredMaskError as error:
        yield Finding("error", "undeclared_mask", str(error), *where)
    except CaseError as error:
        yield Finding("error", _code(str(error)), _sized(str(error), image.shape), *where)
    else:
        image, mask = decoded.image, reading.mask
        single = _SINGLE.fullmatch(reading.decision)
        if single:
            values[single[1]] += 1
        yield from _extent(mask, where)
    for rule in rules:
        rule.see(split, record, subject, image, mask)


def _code(message: str) -> str:
    if "EXIF" in message:
        return "exif_unknown"
    return "size_mismatch" if "expected the size of its image" in message else "unreadable_mask"


def _sized(message: str, size: tuple[int, ...]) -> str:
    return message if "image" in message else f"{message} (its image is {size[1]} x {size[0]})"


def _varying(split: str, values: Counter[str], several: int = 0) -> Iterator[Finding]:
    """Masks of one value each that differ from file to file are label maps whose slices show one label."""
    listed = ", ".join(f"{value} in {counted(count, 'file')}" for value, count in sorted(values.items()))
    if len(values) > 1 and not set(values) <= {"1", *_WHITE}:
        message = (
            f"undeclared masks hold different values ({listed}): a label map would be read as one structure; "
            "declare [data] labels, or masks.colors where they are colours"
        )
        yield Finding("error", "mask_values_vary", message, split)
    elif several and values and not set(values) & _WHITE:
        message = (
            f"undeclared masks hold several values ({counted(several, 'file')}) or one ({listed}): slices of a "
            "label map, of which those with one value are read as one structure; declare [data] labels"
        )
        yield Finding("warning", "mask_values_vary", message, split)


def _extent(mask: Mask, where: tuple[str, str, str]) -> Iterator[Finding]:
    if not mask.any():
        yield Finding("warning", "empty_mask", "mask has no foreground", *where)
    elif mask.all():
        yield Finding("warning", "full_mask", "mask covers the whole image", *where)
