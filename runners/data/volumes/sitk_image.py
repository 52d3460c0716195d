"""NRRD, MHA and MHD files by SimpleITK."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from robustness.errors import CaseError
from robustness.runners.data.volumes.base import Header, Voxels, needs, take_plane

SUFFIXES = (".nrrd", ".nhdr", ".mha", ".mhd")
_PATIENT_FIELDS = ("0010|0020", "PatientID", "patient_id")


class SitkVolume:
    """A file that SimpleITK reads; see `robustness.runners.data.volumes.base.Volume`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._reader = _reader(path)
        self.header = _header(self._reader)

    def voxels(self) -> Voxels:
        """Return all voxels; see `Volume`."""
        import SimpleITK as sitk  # noqa: N813

        try:
            image = self._reader.Execute()
        except RuntimeError as error:
            raise CaseError(f"image {self.path}: expected readable voxels, got {_reason(error)}") from None
        # SimpleITK's arrays count axes from the slowest: (K, J, I) and channels last.
        array = np.asarray(sitk.GetArrayFromImage(image))
        several = self.header.channels > 1
        axes = array.ndim - several
        if axes == 2:
            array = array[None]
        return np.transpose(array, (2, 1, 0, 3) if several else (2, 1, 0))

    def plane(self, axis: int, index: int) -> Voxels:
        """Return one plane; see `Volume`."""
        return take_plane(self.voxels(), axis, index)

    def single_planes(self, axis: int) -> bool:
        """Tell whether one plane costs much less than the volume."""
        return False


def _reader(path: Path) -> Any:
    try:
        import SimpleITK as sitk  # noqa: N813
    except ImportError:
        raise needs("SimpleITK", "an NRRD, MHA or MHD file", path) from None
    if not path.is_file():
        raise CaseError(f"image {path}: no such file")
    reader: Any = sitk.ImageFileReader()  # type: ignore[no-untyped-call]
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise CaseError(f"image {path}: expected an NRRD, MHA or MHD file, got {_reason(error)}") from None
    if reader.GetDimension() not in (2, 3):
        raise CaseError(f"image {path}: expected 2 or 3 axes, got {reader.GetDimension()}")
    return reader


def _header(reader: Any) -> Header:
    dimension = reader.GetDimension()
    sizes = [int(size) for size in reader.GetSize()] + [1]
    spacing = [float(size) for size in reader.GetSpacing()] + [1.0]
    keys = reader.GetMetaDataKeys()
    patient = next((reader.GetMetaData(key).strip() for key in _PATIENT_FIELDS if key in keys), "")
    return Header(
        shape=(sizes[0], sizes[1], sizes[2]),
        affine=affine_of(reader) if dimension == 3 else None,
        spacing_mm=(spacing[0], spacing[1], spacing[2]),
        channels=int(reader.GetNumberOfComponents()),
        color=int(reader.GetNumberOfComponents()) == 3,
        patient=patient,
    )


def affine_of(image: Any) -> np.ndarray:
    """Return the affine (RAS+) of a SimpleITK image or reader, whose own space is LPS+."""
    direction = np.array(image.GetDirection(), dtype=np.float64).reshape(3, 3)
    affine = np.eye(4)
    affine[:3, :3] = direction * np.array(image.GetSpacing(), dtype=np.float64)
    affine[:3, 3] = image.GetOrigin()
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[-200:]
