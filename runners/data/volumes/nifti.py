"""NIfTI files by nibabel: voxels stay on disk until a plane or the volume is asked for."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from robustness.errors import CaseError, one_line
from robustness.runners.data.volumes.base import (
    CHUNK_BYTES,
    MOST_PACKED,
    Affine,
    Header,
    Voxels,
    file_bytes,
    needs,
    refuse_absurd,
    spacing_of_affine,
    take_plane,
    unreadable,
)

SUFFIXES = (".nii", ".nii.gz", ".img", ".hdr")
# Millimetres in the units that a header may state (field xyzt_units); nibabel leaves them to its caller.
_MILLIMETRES = {"meter": 1000.0, "micron": 0.001}
# How far, in mm, two placements of the outermost voxel may be apart and still be one: rounding of quaternions.
_SAME_PLACE_MM = 1.0


class NiftiVolume:
    """A NIfTI file; see `robustness.runners.data.volumes.base.Volume`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._image = _open(path)
        _refuse_voxels(self._image, path)
        self.header = _header(self._image, path)
        # Voxels of a file that is neither compressed nor scaled stay on disk: nibabel maps them into memory.
        self._compressed = path.name.lower().endswith(".gz")
        mapped = not self._compressed and _unscaled(self._image) and 3 <= len(self._image.shape) <= 4
        self._mapped = _as_three(_read(self._image, path, ...)) if mapped else None

    def voxels(self) -> Voxels:
        """Return all voxels; see `Volume`."""
        return _as_three(_unpacked(self._image, self.path) if self._compressed else _read(self._image, self.path, ...))

    def plane(self, axis: int, index: int) -> Voxels:
        """Return one plane; see `Volume`."""
        dimensions = len(self._image.shape)
        if self._mapped is not None:
            return take_plane(self._mapped, axis, index)
        if self._compressed or axis >= dimensions or dimensions > 4:
            return take_plane(self.voxels(), axis, index)
        where: list[Any] = [slice(None)] * dimensions
        where[axis] = index
        plane = _read(self._image, self.path, tuple(where))
        return plane[..., 0] if dimensions == 4 and self.header.channels == 1 else plane

    def single_planes(self, axis: int) -> bool:
        """Tell whether one plane costs much less than the volume."""
        return axis == 2 and not self._compressed


def _open(path: Path) -> Any:
    try:
        import nibabel
    except ImportError:
        raise needs("nibabel", "a NIfTI file", path) from None
    try:
        image: Any = nibabel.load(path)
    except FileNotFoundError:
        raise CaseError(f"image {path}: no such file") from None
    except Exception as error:  # nibabel raises its own errors, zlib's, EOFError, ...
        raise CaseError(f"image {path}: expected a NIfTI file, got {one_line(error, most=200)}") from None
    if not 2 <= len(image.shape) <= 5 or any(size < 1 for size in image.shape):
        raise CaseError(f"image {path}: expected 2 to 4 axes, got the shape {image.shape}")
    return image


def _refuse_voxels(image: Any, path: Path) -> None:
    """Refuse voxels that are no measurements, or more of them than the file can hold.

    Raises:
        CaseError: complex numbers, a file of voxels that is no regular one, or a header that states too much.
    """
    kind = image.get_data_dtype()
    if kind.kind == "c":
        raise CaseError(f"image {path}: expected real voxels, got {kind.name}; save their magnitude")
    # A header (.hdr) keeps its voxels in a file of the same name (.img).
    file = Path(image.file_map["image"].filename)
    packed = MOST_PACKED if file.name.lower().endswith(".gz") else 1
    refuse_absurd(path, math.prod(image.shape) * kind.itemsize, file_bytes(file) * packed)


def _header(image: Any, path: Path) -> Header:
    shape = _three_axes(image.shape)
    header = image.header
    placed = bool(int(header.get("qform_code", 0))) or bool(int(header.get("sform_code", 0)))
    unit = _millimetres(header)
    affine = np.diag([unit, unit, unit, 1.0]) @ np.asarray(image.affine, dtype=np.float64) if placed else None
    sizes = [float(size) * unit for size in header.get_zooms()[:3]] + [1.0] * 3
    spacing = spacing_of_affine(affine) if affine is not None else (sizes[0], sizes[1], sizes[2])
    warnings = []
    if affine is None:
        warnings.append("a NIfTI header states neither qform nor sform: how it lies in the patient is unknown")
    elif not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        raise CaseError(f"image {path}: expected an affine that can be inverted, got one that cannot")
    elif _two_places(header, affine, shape, unit):
        warnings.append("qform and sform of a NIfTI header place it differently: sform is used, as nibabel does")
    rest = image.shape[3:]
    return Header(
        shape=shape,
        affine=affine,
        spacing_mm=spacing if all(size > 0 for size in spacing) else None,
        channels=int(np.prod(rest)) if rest else 1,
        color=bool(image.get_data_dtype().names),
        step=_step(image),
        warnings=tuple(warnings),
    )


def _millimetres(header: Any) -> float:
    """Return how many millimetres a header's unit of length has; 1 where it states none."""
    units = getattr(header, "get_xyzt_units", None)
    return _MILLIMETRES.get(units()[0], 1.0) if units else 1.0


def _unscaled(image: Any) -> bool:
    """Tell whether a file's values are what it stores, of a type of its own (not colours)."""
    slope, inter = (getattr(image.dataobj, name, None) for name in ("slope", "inter"))
    return slope == 1 and inter == 0 and not image.get_data_dtype().names


def _step(image: Any) -> float:
    """Return how far apart neighbouring values of a scaled file of integers are; 0 where nothing is scaled."""
    if _unscaled(image) or image.get_data_dtype().kind not in "iu":
        return 0.0
    return abs(float(getattr(image.dataobj, "slope", 0.0)))


def _two_places(header: Any, affine: Affine, shape: tuple[int, int, int], unit: float) -> bool:
    """Tell whether a header's two transforms put the outermost voxels into different places."""
    if not (int(header["qform_code"]) and int(header["sform_code"])):
        return False
    try:
        qform = np.diag([unit, unit, unit, 1.0]) @ header.get_qform()
    except ValueError:  # a quaternion that is none
        return True
    corners = np.array([[0, 0, 0, 1], [*(size - 1 for size in shape), 1]], dtype=np.float64).T
    return bool(np.abs((qform - affine) @ corners).max() > _SAME_PLACE_MM)


def _three_axes(shape: tuple[int, ...]) -> tuple[int, int, int]:
    padded = (*shape, 1, 1)
    return int(padded[0]), int(padded[1]), int(padded[2])


def _as_three(voxels: Voxels) -> Voxels:
    """Return (I, J, K) or (I, J, K, channels); axes beyond the third of length one are no channels."""
    if voxels.ndim == 2:
        return voxels[..., None]
    if voxels.ndim > 4:
        voxels = voxels.reshape(*voxels.shape[:3], -1)
    return voxels[..., 0] if voxels.ndim == 4 and voxels.shape[3] == 1 else voxels


def _unpacked(image: Any, path: Path) -> Voxels:
    """Return all voxels of a compressed file, read to its end, where its checksum stands.

    nibabel stops at the last voxel, so that damaged voxels would be read without a word.
    """
    try:
        with gzip.open(path) as file:
            voxels = _read(type(image).from_stream(file), path, ...)
            while file.read(CHUNK_BYTES):
                pass
    except (OSError, EOFError, zlib.error) as error:
        raise unreadable(path, one_line(error, most=200)) from None
    return voxels


def _read(image: Any, path: Path, where: Any) -> Voxels:
    try:
        voxels = np.asarray(image.dataobj if where is ... else image.dataobj[where])
    except Exception as error:
        raise unreadable(path, one_line(error, most=200)) from None
    if voxels.dtype.names:
        return np.stack([voxels[name] for name in voxels.dtype.names[:3]], axis=-1)
    return voxels
