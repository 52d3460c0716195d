"""Masks that are volumes: the slice of a label map or segmentation that lies where a slice of the image lies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from robustness.errors import CaseError
from robustness.runners.data.masks.declaration import MaskDeclaration
from robustness.runners.data.masks.mask_values import of_labels
from robustness.runners.data.masks.undeclared import UndeclaredMaskError
from robustness.runners.data.volumes.base import Header, Voxels
from robustness.runners.data.volumes.cache import VolumeCache
from robustness.runners.data.volumes.orientation import View
from robustness.types import Mask

# How far, in voxels, the two grids may be apart: rounding of headers, no more.
_TOLERANCE = 0.1


@dataclass(frozen=True, slots=True)
class Place:
    """A slice of an image volume: the volume's header, how its slices are shown, and which one it is."""

    header: Header
    view: View
    index: int


def read_volume_mask(path: Path, declaration: MaskDeclaration, place: Place, cache: VolumeCache) -> Mask:
    """Return the foreground of the mask volume on a slice of its image, shown as the image is.

    Stored orders may differ: voxels are matched by their place in the patient where both files state it.

    Raises:
        CaseError: the two volumes do not lie on one grid, or the declaration does not fit the mask.
    """
    values = place.view.image(aligned_plane(path, place, cache))
    if values.ndim == 3:
        return _of_channels(values, declaration, segments_of(cache.volume(path).header), str(path))
    return foreground_of(values, declaration, str(path))


def segments_of(header: Header) -> dict[int, str]:
    """Return the numbers and labels of a segmentation's channels; channels of other files are counted from 1."""
    segments: dict[int, str] | None = header.facts.get("segments")
    return segments or {number: str(number) for number in range(1, header.channels + 1)}


def _of_channels(values: Voxels, declaration: MaskDeclaration, segments: dict[int, str], where: str) -> Mask:
    """Return the union of the declared segments; without a declaration there must be one segment only."""
    numbers = list(segments)
    if declaration.kind == "channel":
        channels = [declaration.channel or 0]
    elif declaration.kind == "labels":
        channels = [numbers.index(value) for value in declaration.values if value in segments]
    else:
        channels = [0] if len(numbers) == 1 else []
    if not channels or max(channels) >= values.shape[2]:
        named = ", ".join(f"{number} {label}" for number, label in segments.items())
        raise CaseError(f"mask {where}: expected mask_label among the segments {named}, got {declaration.shown()}")
    return np.asarray((values[..., channels] >= declaration.threshold).any(axis=-1))


def foreground_of(values: Voxels, declaration: MaskDeclaration, where: str) -> Mask:
    """Return the foreground of a plane of a mask volume."""
    if declaration.kind == "labels":
        return of_labels(values, declaration, where)
    if declaration.kind == "soft":
        scale = declaration.full_scale or 1.0
        return np.asarray((values >= declaration.threshold * scale) & (values > 0))
    levels = np.unique(values)
    if levels[0] < 0 or len(levels[levels != 0]) > 1:
        raise UndeclaredMaskError(
            f"mask {where}: expected background 0 and one value, got a label map; declare [data] labels = "
            '{1 = "NAME", ...}'
        )
    return np.asarray(values != 0)


def aligned_plane(path: Path, place: Place, cache: VolumeCache) -> Voxels:
    """Return the mask's voxels on the image's stored plane, in the image's stored order.

    Raises:
        CaseError: shapes differ, or the grids are apart.
    """
    header, own = place.header, cache.volume(path).header
    if own.affine is None or header.affine is None or _same_grid(header, own):
        if own.shape != header.shape:
            raise CaseError(f"mask {path}: expected the shape of its image {header.shape}, got {own.shape}")
        return cache.plane(path, place.view.axis, place.index)
    return _by_place(path, place, own, cache)


def _same_grid(image: Header, mask: Header) -> bool:
    if image.shape != mask.shape or image.affine is None or mask.affine is None:
        return False
    corners = np.array(
        [[i, j, k, 1.0] for i in (0, image.shape[0]) for j in (0, image.shape[1]) for k in (0, image.shape[2])]
    ).T
    shift = np.linalg.solve(image.affine, mask.affine @ corners) - corners
    return float(np.abs(shift[:3]).max()) <= _TOLERANCE


def _by_place(path: Path, place: Place, own: Header, cache: VolumeCache) -> Voxels:
    """Look each voxel of the image's plane up in the mask; what lies outside of the mask is background."""
    shape, axis = place.header.shape, place.view.axis
    grids = [np.arange(size) if number != axis else np.array([place.index]) for number, size in enumerate(shape)]
    points = np.stack(np.meshgrid(*grids, indexing="ij"), axis=-1).reshape(-1, 3)
    assert own.affine is not None
    assert place.header.affine is not None
    change = np.linalg.solve(own.affine, place.header.affine)
    exact = points @ change[:3, :3].T + change[:3, 3]
    nearest = np.rint(exact).astype(int)
    inside = ((nearest >= 0) & (nearest < np.array(own.shape))).all(axis=1)
    if np.abs(exact - nearest)[inside].max(initial=0.0) > _TOLERANCE or not inside.any():
        raise CaseError(
            f"mask {path}: expected the grid of its image, got another place or voxel size; resample the mask to the "
            "image"
        )
    voxels = cache.voxels(path)
    flat = np.zeros((len(points), *voxels.shape[3:]), dtype=voxels.dtype)
    source = nearest[inside]
    flat[inside] = voxels[source[:, 0], source[:, 1], source[:, 2]]
    in_plane = [size for number, size in enumerate(shape) if number != axis]
    return flat.reshape(*in_plane, *voxels.shape[3:])
