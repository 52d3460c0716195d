"""Choose slices of a volume by rule: which plane, how dense, with or without target, how many for a subject."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np

from robustness.errors import InputError, suggest
from robustness.runners.data.volumes.orientation import CONVENTIONS, PLANES

Where = Literal["target", "every target", "all"]
PLACES: tuple[str, ...] = Where.__args__  # type: ignore[attr-defined]

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceRule:
    """``[data] slices``: which slices of each volume become images.

    Attributes:
        plane: "axial", "coronal", "sagittal", or "stored" (along the third stored axis, nothing turned); None: the
            plane in which the file stores its slices.
        orientation: "radiological", "neurological", or where columns and rows run to ("LP").
        every: distance of chosen slices, in slices.
        where: "target": slices that show any of the labels; "every target": that show all of them; "all": all slices.
        min_pixels: of a label on a slice, to be shown there.
        channel: which sequence of a 4D file, counted from 0; needed where there are several.
        max_per_subject: at most so many slices of a subject, spread evenly over what the rule leaves; None: all.

    Raises:
        InputError: a field is out of range.
    """

    plane: str | None = None
    orientation: str = "radiological"
    every: int = 1
    where: Where = "target"
    min_pixels: int = 1
    channel: int | None = None
    max_per_subject: int | None = None

    def __post_init__(self) -> None:
        if self.plane is not None and self.plane not in PLANES:
            raise InputError(f"slices.plane: expected one of {', '.join(PLANES)}, got {self.plane!r}")
        if self.orientation not in CONVENTIONS and not (
            isinstance(self.orientation, str) and len(self.orientation) == 2
        ):
            raise InputError(
                "slices.orientation: expected 'radiological', 'neurological' or two letters such as 'LP', got "
                f"{self.orientation!r}"
            )
        if self.where not in PLACES:
            raise InputError(f"slices.where: expected one of {', '.join(PLACES)}, got {self.where!r}")
        for name, least in (("every", 1), ("min_pixels", 1), ("channel", 0), ("max_per_subject", 1)):
            number = getattr(self, name)
            if number is None and name in ("channel", "max_per_subject"):
                continue
            if isinstance(number, bool) or not isinstance(number, int) or number < least:
                raise InputError(f"slices.{name}: expected a whole number of at least {least}, got {number!r}")


def slice_rule(fields: Mapping[str, Any] | SliceRule | None) -> SliceRule:
    """Return the rule of a plan's table; None gives the default rule.

    Raises:
        InputError: an unknown field, or one that is out of range.
    """
    if fields is None:
        return SliceRule()
    if isinstance(fields, SliceRule):
        return fields
    names = list(SliceRule.__dataclass_fields__)
    unknown = next((name for name in fields if name not in names), None)
    if unknown is not None:
        raise InputError(f"slices: expected fields among {', '.join(names)}, got {unknown!r}{suggest(unknown, names)}")
    return SliceRule(**fields)


def candidate_slices(areas: Mapping[str, Sequence[int]], rule: SliceRule) -> list[int]:
    """Return the indices of slices that the rule leaves in one volume.

    Args:
        areas: for each label the number of its pixels on every slice.
        rule: the rule.
    """
    counts = np.array(list(areas.values()), dtype=np.int64)
    shown = counts >= rule.min_pixels
    if rule.where == "all":
        candidates = np.arange(counts.shape[1])
    else:
        candidates = np.flatnonzero(shown.all(axis=0) if rule.where == "every target" else shown.any(axis=0))
    return _spaced(candidates.tolist(), rule.every)


def limited(items: Sequence[Item], most: int | None) -> list[Item]:
    """Return at most `most` items, spread evenly from the first to the last."""
    if most is None or len(items) <= most:
        return list(items)
    if most == 1:
        return [items[(len(items) - 1) // 2]]
    places = np.rint(np.linspace(0, len(items) - 1, most)).astype(int)
    return [items[index] for index in dict.fromkeys(places.tolist())]


def _spaced(indices: Sequence[int], every: int) -> list[int]:
    spaced: list[int] = []
    for index in indices:
        if not spaced or index - spaced[-1] >= every:
            spaced.append(index)
    return spaced
