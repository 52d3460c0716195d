"""Images that look almost the same although they count as different ones: across splits, and as different subjects.

Candidates share a perceptual hash; their small gray copies must then agree, too, since slices of different patients may
have the same coarse light and dark.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image as PILImage

from robustness.errors import counted, verb
from robustness.regular_files import is_regular
from robustness.runners.data.check.findings import Finding
from robustness.runners.data.dataset import sha256_or_missing
from robustness.runners.data.records import Record
from robustness.types import Image, Mask

# Bits of 64 in which two images of one scene may differ (re-encoded, resized, a little brighter).
_NEAR_BITS = 5
_HASH_SIDE = 8
_SMALL = 32
# Correlation of the small copies; slices of one region of different patients stay below .85 (hippocampus of 65).
_ALIKE = 0.95
# A flat image says nothing about what it shows.
_FLAT = 2.0
_LISTED = 20

Gray = npt.NDArray[np.float32]


class _Look(NamedTuple):
    split: str
    record: Record
    subject: str
    code: int
    small: Gray


class NearDuplicates:
    """Remembers how images look; see `robustness.runners.data.check.files.PixelRule`."""

    def __init__(self) -> None:
        self._looks: dict[str, _Look] = {}

    def see(self, split: str, record: Record, subject: str, image: Image, mask: Mask | None) -> None:
        """Remember one image."""
        if record.image_name not in self._looks and float(image.std()) > _FLAT:
            small = _small(image)
            self._looks[record.image_name] = _Look(split, record, subject, perceptual_hash(image), small)

    def findings(self) -> Iterator[Finding]:
        """Yield pairs across splits, and how many within a split count as different subjects."""
        looks = list(self._looks.values())
        across: list[tuple[_Look, _Look]] = []
        within: dict[str, list[tuple[_Look, _Look]]] = {}
        for first, second in _pairs([look.code for look in looks]):
            one, other = looks[first], looks[second]
            same_subject = bool(one.subject) and one.subject == other.subject
            if same_subject or float((one.small * other.small).mean()) < _ALIKE:
                continue
            if one.split != other.split:
                if not _same_bytes(one.record, other.record):
                    across.append((one, other))
            else:
                within.setdefault(one.split, []).append((one, other))
        for one, other in across[:_LISTED]:
            names = f"{one.record.image_name} ({one.split}) and {other.record.image_name} ({other.split})"
            message = f"{names} look almost the same: a model may have learned what it is tested on"
            where = (other.split, other.record.case_id, other.record.image_name)
            yield Finding("warning", "near_duplicate", message, *where)
        if more := max(0, len(across) - _LISTED):
            message = f"{counted(more, 'more pair')} of images across splits {verb(more, 'look')} almost the same"
            yield Finding("warning", "near_duplicate", message)
        for split, pairs in within.items():
            one, other = pairs[0]
            message = (
                f"{counted(len(pairs), 'pair')} of images {verb(len(pairs), 'look')} almost the same and "
                f"{verb(len(pairs), 'count')} as different subjects (first: "
                f"{one.record.image_name} and {other.record.image_name}): intervals are then too narrow"
            )
            yield Finding("warning", "repeated_image", message, split, other.record.case_id, other.record.image_name)


def perceptual_hash(image: Image) -> int:
    """Return 64 bits that near-duplicates share: whether each cell of a small gray image is brighter than the next.

    Source: Krawetz, "Kind of like that", 2013 (difference hash).
    """
    small = PILImage.fromarray(image).convert("L").resize((_HASH_SIDE + 1, _HASH_SIDE), PILImage.Resampling.LANCZOS)
    values = np.asarray(small, dtype=np.int16)
    bits = (values[:, 1:] > values[:, :-1]).ravel()
    return int(sum(1 << bit for bit in np.flatnonzero(bits).tolist()))


def _same_bytes(one: Record, other: Record) -> bool:
    """Tell whether two records name one file or a copy of it, which `check_splits` reports."""
    paths = one.image_path, other.image_path
    if paths[0] == paths[1]:
        return True
    return all(is_regular(path) for path in paths) and sha256_or_missing(paths[0]) == sha256_or_missing(paths[1])


def _small(image: Image) -> Gray:
    """Return a small gray copy with mean 0 and variance 1, so that a product's mean is a correlation."""
    gray = PILImage.fromarray(image).convert("L").resize((_SMALL, _SMALL), PILImage.Resampling.BOX)
    values = np.asarray(gray, dtype=np.float32)
    return np.asarray((values - values.mean()) / max(float(values.std()), 1e-6), dtype=np.float32)


def _pairs(hashes: Sequence[int]) -> Iterator[tuple[int, int]]:
    codes = np.array(hashes, dtype=np.uint64)
    for index in range(len(codes)):
        distance = np.bitwise_count(codes[index + 1 :] ^ codes[index])
        yield from ((index, index + 1 + int(other)) for other in np.flatnonzero(distance <= _NEAR_BITS))
