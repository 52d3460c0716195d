"""Slices of one image volume and its label map, chosen by rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from robustness.errors import CaseError
from robustness.runners.data.masks.declaration import MaskDeclaration
from robustness.runners.data.masks.mask_values import whole_numbers
from robustness.runners.data.masks.volume_mask import Place, aligned_plane, foreground_of, has_segment, lies_on
from robustness.runners.data.volumes.base import Header, Voxels
from robustness.runners.data.volumes.cache import VolumeCache
from robustness.runners.data.volumes.orientation import View, stored_plane, view_of
from robustness.runners.data.volumes.slices import SliceRule, candidate_slices, limited

Labels = Mapping[str, MaskDeclaration]


@dataclass(frozen=True, slots=True)
class SliceOfVolume:
    """One chosen slice: how it is shown, its index along the stored axis, and the labels that it shows."""

    view: View
    index: int
    labels: tuple[str, ...]


def view_by_rule(header: Header, rule: SliceRule, where: str) -> View:
    """Return how slices of a volume are shown; a single image is shown as it is stored."""
    plane = rule.plane or ("stored" if header.shape[2] == 1 else stored_plane(header.affine, header.shape))
    return view_of(header, plane, rule.orientation, where)


def slices_of_volume(
    image: Path,
    masks: Sequence[Path],
    labels: Labels,
    rule: SliceRule,
    cache: VolumeCache,
    *,
    most: int | None = None,
) -> list[SliceOfVolume]:
    """Return the slices of a volume that a rule chooses, in the order of their indices.

    Args:
        image: the volume.
        masks: its masks, on one grid with it; several count together.
        labels: name -> what it is in the masks; each slice lists those with `rule.min_pixels` or more.
        rule: the rule.
        cache: of volumes.
        most: at most so many; None: `rule.max_per_subject`.

    Raises:
        CaseError: a file cannot be read, or they do not lie on one grid.
    """
    header = cache.volume(image).header
    view = view_by_rule(header, rule, image.name)
    # Masks that are matched by their place, and how much of their foreground is seen.
    seen = Counter({path: 0 for path in masks if not lies_on(header, cache.volume(path).header)})
    areas = _areas(header, masks, labels, view, cache, seen)
    _remark_what_lies_outside(seen, cache)
    indices = limited(candidate_slices(areas, rule), most or rule.max_per_subject)
    return [
        SliceOfVolume(view, index, tuple(name for name in labels if _shown(areas[name][index], rule)))
        for index in indices
    ]


def _remark_what_lies_outside(seen: Mapping[Path, int], cache: VolumeCache) -> None:
    """Note how much of a mask's foreground lies outside of its image, where the two are matched by their place.

    Raises:
        CaseError: all of it does.
    """
    for path, inside in seen.items():
        whole = int(np.count_nonzero(cache.voxels(path)))
        if whole and not inside:
            raise CaseError(
                f"mask {path}: expected foreground inside of its image, got all of it ({whole} voxels) outside, by the "
                "places that the two headers state; is one of them wrong, or the mask of another image?"
            )
        if inside < whole:
            cache.remark(
                path.name,
                f"{whole - inside} of the {whole} voxels of a mask's foreground lie outside of its image, by the "
                "places that both headers state: they are left out",
            )


def _shown(area: int, rule: SliceRule) -> bool:
    return rule.where == "all" or area >= rule.min_pixels


def _areas(
    image: Header, masks: Sequence[Path], labels: Labels, view: View, cache: VolumeCache, seen: Counter[Path]
) -> dict[str, list[int]]:
    """Return the number of pixels of each label on every slice; `seen` counts the foreground of masks that it holds."""
    areas: dict[str, list[int]] = {name: [] for name in labels}
    for index in range(view.count):
        place = Place(image, view, index)
        planes = [(path, aligned_plane(path, place, cache)) for path in masks]
        for path, plane in planes:
            if path in seen:
                seen[path] += int(np.count_nonzero(plane))
        counted = _counted(planes[0], labels, cache) if len(planes) == 1 else None
        for name, declaration in labels.items():
            if counted is not None:
                areas[name].append(sum(counted.get(value, 0) for value in declaration.values))
                continue
            own = [(plane, cache.volume(path).header, str(path)) for path, plane in planes]
            shown = [foreground_of(p, declaration, h, w) for p, h, w in own if has_segment(h, declaration)]
            areas[name].append(int(np.logical_or.reduce(shown).sum()) if shown else 0)
    return areas


def _counted(plane: tuple[Path, Voxels], labels: Labels, cache: VolumeCache) -> dict[int, int] | None:
    """Return how often each value occurs in a label map; None where another reading is declared."""
    path, values = plane
    if values.ndim != 2 or any(declaration.kind != "labels" for declaration in labels.values()):
        return None
    labelled = whole_numbers(values, str(path), step=cache.volume(path).header.step)
    distinct, sizes = np.unique(labelled, return_counts=True)
    return dict(zip((int(value) for value in distinct), sizes.tolist(), strict=True))
