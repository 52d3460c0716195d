"""Masks that are volumes: the slice of a label map or segmentation that lies where a slice of the image lies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from robustness.errors import CaseError
from robustness.runners.data.masks.declaration import MaskDeclaration
from robustness.runners.data.masks.mask_values import of_labels
from robustness.runners.data.masks.undeclared import UndeclaredMaskError, listed
from robustness.runners.data.volumes.base import Affine, Header, Voxels
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
    return foreground_of(values, declaration, cache.volume(path).header, str(path))


def segments_of(header: Header) -> dict[int, str]:
    """Return the numbers and labels of a segmentation's channels; channels of other files are counted from 1."""
    segments: dict[int, str] | None = header.facts.get("segments")
    return segments or {number: str(number) for number in range(1, header.channels + 1)}


def has_segment(header: Header, declaration: MaskDeclaration) -> bool:
    """Tell whether a file of segments has one that is declared; True for label maps, whose values may be anywhere."""
    if declaration.kind == "segment":
        return declaration.name in segments_of(header).values()
    if declaration.kind == "labels" and (header.channels > 1 or "segments" in header.facts):
        return any(value in segments_of(header) for value in declaration.values)
    return True


def foreground_of(values: Voxels, declaration: MaskDeclaration, header: Header, where: str) -> Mask:
    """Return the foreground of a plane of a mask volume.

    Args:
        values: (rows, columns) or (rows, columns, channels).
        declaration: what they mean.
        header: of the mask's file.
        where: the file, for messages.

    Raises:
        CaseError: the declaration does not fit the mask, or nothing is declared and several values leave a doubt.
    """
    if header.color:
        raise CaseError(f"mask {where}: expected a label map or segments, got a volume of colours")
    if header.inverted:
        # Some programs mean the stored values, others what is seen; read the wrong way, a mask is its complement.
        raise CaseError(
            f"mask {where}: expected values of which 0 is black, got a file whose 0 is shown white (MINISWHITE, "
            "MONOCHROME1), which leaves open what is inside; save it with black as 0"
        )
    if np.issubdtype(values.dtype, np.floating) and not np.isfinite(values).all():
        missing = int((~np.isfinite(values)).sum())
        raise CaseError(
            f"mask {where}: expected finite values, got NaN or infinity in {missing} of {values.size} voxels of a "
            "plane; write background as 0"
        )
    if values.ndim == 3:
        return _of_channels(values, declaration, header, where)
    if declaration.kind == "segment":
        number = next((n for n, label in header.facts.get("segments", {}).items() if label == declaration.name), None)
        if number is None:
            raise no_segment(declaration, header, where)
        return np.asarray(values == number)
    if declaration.kind == "labels":
        return of_labels(values, declaration, where, step=header.step)
    if declaration.kind == "soft":
        scale = declaration.full_scale or _stated_scale(values, where)
        return np.asarray((values >= declaration.threshold * scale) & (values > 0))
    if declaration.kind != "auto":
        raise CaseError(
            f"mask {where}: expected {declaration.shown()}, got a volume with one value for each voxel; declare "
            '[data] labels = {1 = "NAME", ...}'
        )
    levels = np.unique(values)
    if levels[0] < 0 or len(levels[levels != 0]) > 1:
        raise UndeclaredMaskError(
            f"mask {where}: expected background 0 and one value, got the values {listed(levels)}; declare [data] "
            'labels = {1 = "NAME", ...}'
        )
    return np.asarray(values != 0)


def _of_channels(values: Voxels, declaration: MaskDeclaration, header: Header, where: str) -> Mask:
    """Return the union of the declared segments; without a declaration there must be one segment only."""
    segments = segments_of(header)
    numbers = list(segments)
    if declaration.kind == "channel":
        channels = [declaration.channel or 0]
    elif declaration.kind == "labels":
        channels = [numbers.index(value) for value in declaration.values if value in segments]
    elif declaration.kind == "segment":
        channels = [place for place, number in enumerate(numbers) if segments[number] == declaration.name]
    else:
        channels = [0] if len(numbers) == 1 else []
    if not channels or max(channels) >= values.shape[2]:
        raise no_segment(declaration, header, where)
    chosen = values[..., channels]
    top = 1.0 if chosen.dtype == np.bool_ else float(chosen.max(initial=0))
    if top > 1 and declaration.full_scale is None:
        raise CaseError(
            f"mask {where}: expected channels of 0 to 1, got the values {listed(np.unique(chosen))}; state "
            "masks.full_scale, or one sequence of labels"
        )
    bound = declaration.threshold * (declaration.full_scale or 1.0)
    return np.asarray(((chosen >= bound) & (chosen > 0)).any(axis=-1))


def no_segment(declaration: MaskDeclaration, header: Header, where: str) -> CaseError:
    """Return the error for a label that a file of segments lacks."""
    named = ", ".join(f"{number} {label}" for number, label in segments_of(header).items())
    return CaseError(f"mask {where}: expected mask_label among the segments {named}, got {declaration.shown()}")


def _stated_scale(values: Voxels, where: str) -> float:
    """Return the full scale of a soft mask, 1: a volume's type says nothing of it."""
    top = float(values.max(initial=0))
    if top <= 1 and (not np.issubdtype(values.dtype, np.integer) or top == 1 or not values.any()):
        return 1.0
    raise CaseError(
        f"mask {where}: expected values of 0 to 1 (a soft mask), got the values {listed(np.unique(values))}; state "
        "masks.full_scale (what a share of 1 is stored as), or declare labels"
    )


def aligned_plane(path: Path, place: Place, cache: VolumeCache) -> Voxels:
    """Return the mask's voxels on the image's stored plane, in the image's stored order.

    Raises:
        CaseError: shapes differ, or the grids are apart.
    """
    header, own = place.header, cache.volume(path).header
    if lies_on(header, own):
        if own.shape != header.shape:
            raise CaseError(f"mask {path}: expected the shape of its image {header.shape}, got {own.shape}")
        return cache.plane(path, place.view.axis, place.index)
    return _by_place(path, place, own, cache)


def lies_on(image: Header, mask: Header) -> bool:
    """Tell whether the voxels of a mask are matched with those of its image in order, and not by their place."""
    return mask.affine is None or image.affine is None or _same_grid(image, mask)


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
    change: Affine = np.asarray(np.linalg.solve(own.affine, place.header.affine), dtype=np.float64)
    exact = points @ change[:3, :3].T + change[:3, 3]
    nearest = np.rint(exact).astype(int)
    beside, voxels = _between_slices(exact, own, change), cache.voxels(path)
    inside = ((nearest >= 0) & (nearest < np.array(own.shape))).all(axis=1) & ~beside
    # A segmentation may hold fewer slices than its image: a slice beyond them is background, a mask beside it an error.
    off = np.abs(exact - nearest)[~beside].max(initial=0)
    if off > _TOLERANCE or not _overlap(place.header, own, change) or _lies_between(voxels, own, change):
        raise CaseError(
            f"mask {path}: expected the grid of its image, got another place or voxel size; resample the mask to the "
            "image"
        )
    flat = np.zeros((len(points), *voxels.shape[3:]), dtype=voxels.dtype)
    source = nearest[inside]
    flat[inside] = voxels[source[:, 0], source[:, 1], source[:, 2]]
    in_plane = [size for number, size in enumerate(shape) if number != axis]
    return flat.reshape(*in_plane, *voxels.shape[3:])


def _between_slices(exact: Voxels, mask: Header, change: Affine) -> Mask:
    """Tell which points lie between the slices of a mask that leaves slices out, further than these are thick."""
    if mask.sparse_mm is None or mask.spacing_mm is None:
        return np.zeros(len(exact), dtype=bool)
    step = min(1.0, float(np.abs(change[2, :3]).max()))
    off = np.abs(exact[:, 2] - np.rint(exact[:, 2]))
    if mask.shape[2] == 1:
        off = np.abs(exact[:, 2])
    return np.asarray((off > _TOLERANCE * step) & (off * mask.spacing_mm[2] >= mask.sparse_mm))


def _lies_between(voxels: Voxels, mask: Header, change: Affine) -> bool:
    """Tell whether such a mask has foreground on a slice that lies between those of its image."""
    if mask.sparse_mm is None:
        return False
    back = np.linalg.inv(change)
    axis = int(np.abs(back[:3, 2]).argmax())
    shown = np.flatnonzero(voxels.reshape(*mask.shape, -1).any(axis=(0, 1, 3)))
    places = back[axis, 2] * shown + back[axis, 3]
    return bool((np.abs(places - np.rint(places)) > _TOLERANCE).any())


def _overlap(image: Header, mask: Header, change: Affine) -> bool:
    """Tell whether two grids share a voxel; `change` leads from indices of the image to indices of the mask."""
    corners = np.array([[i, j, k, 1.0] for i in (0, 1) for j in (0, 1) for k in (0, 1)])
    corners[:, :3] *= np.array(image.shape) - 1
    reached = corners @ change.T
    lowest, highest = reached[:, :3].min(axis=0), reached[:, :3].max(axis=0)
    return bool((np.rint(highest) >= 0).all() and (np.rint(lowest) < np.array(mask.shape)).all())
