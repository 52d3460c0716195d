"""Slices of one image volume and its label map, chosen by rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from robustness.errors import CaseError
from robustness.runners.data.masks.volume_mask import Place, aligned_plane
from robustness.runners.data.volumes.base import Header
from robustness.runners.data.volumes.cache import VolumeCache
from robustness.runners.data.volumes.orientation import View, stored_plane, view_of
from robustness.runners.data.volumes.slices import SliceRule, candidate_slices, limited


@dataclass(frozen=True, slots=True)
class SliceOfVolume:
    """One chosen slice: how it is shown, its index along the stored axis, and the labels that it shows."""

    view: View
    index: int
    labels: tuple[str, ...]


def view_by_rule(header: Header, rule: SliceRule, where: str) -> View:
    """Return how slices of a volume are shown; a single image is shown as it is stored."""
    plane = rule.plane or ("stored" if header.shape[2] == 1 else stored_plane(header.affine))
    return view_of(header, plane, rule.orientation, where)


def slices_of_volume(
    image: Path,
    mask: Path,
    labels: Mapping[str, tuple[int, ...]],
    rule: SliceRule,
    cache: VolumeCache,
    *,
    most: int | None = None,
) -> list[SliceOfVolume]:
    """Return the slices of a volume that a rule chooses, in the order of their indices.

    Args:
        image, mask: the volumes, on one grid.
        labels: name -> values; each slice lists those with `rule.min_pixels` or more.
        rule: the rule.
        cache: of volumes.
        most: at most so many; None: `rule.max_per_subject`.

    Raises:
        CaseError: a file cannot be read, or the two do not lie on one grid.
    """
    header = cache.volume(image).header
    view = view_by_rule(header, rule, image.name)
    areas = _areas(image, mask, labels, view, cache)
    indices = limited(candidate_slices(areas, rule), most or rule.max_per_subject)
    return [
        SliceOfVolume(view, index, tuple(name for name in labels if _shown(areas[name][index], rule)))
        for index in indices
    ]


def _shown(area: int, rule: SliceRule) -> bool:
    return rule.where == "all" or area >= rule.min_pixels


def _areas(
    image: Path, mask: Path, labels: Mapping[str, tuple[int, ...]], view: View, cache: VolumeCache
) -> dict[str, list[int]]:
    header = cache.volume(image).header
    areas: dict[str, list[int]] = {name: [] for name in labels}
    for index in range(view.count):
        values = aligned_plane(mask, Place(header, view, index), cache)
        if values.ndim == 3:
            numbers = [int(values[..., channel].any(axis=-1).sum()) for channel in range(values.shape[2])]
            for name, label_values in labels.items():
                areas[name].append(sum(numbers[value - 1] for value in label_values if value <= len(numbers)))
            continue
        if np.issubdtype(values.dtype, np.floating) and not (values == np.rint(values)).all():
            raise CaseError(f"mask {mask}: expected whole numbers (a label map), got fractions")
        distinct, sizes = np.unique(values, return_counts=True)
        sized = dict(zip((int(value) for value in distinct), sizes.tolist(), strict=True))
        for name, label_values in labels.items():
            areas[name].append(sum(sized.get(value, 0) for value in label_values))
    return areas
