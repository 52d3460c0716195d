"""Open a file or folder of any medical format as a volume."""

from __future__ import annotations

import os
from pathlib import Path

from robustness.errors import CaseError
from robustness.limits import limits
from robustness.runners.data.volumes import dicom, dicom_frames, dicom_seg, nifti, sitk_image, tiff
from robustness.runners.data.volumes.base import Volume, file_bytes

SUFFIXES = (*nifti.SUFFIXES, *sitk_image.SUFFIXES, *dicom_frames.SUFFIXES)


def is_volume(path: Path) -> bool:
    """Tell whether a path is read by this package rather than as an ordinary image file.

    A TIFF is an ordinary image unless it has several pages of one size, which its header tells.
    """
    name = path.name.lower()
    if name.endswith(SUFFIXES):
        return True
    if name.endswith(tiff.SUFFIXES):
        return tiff.is_stack(path)
    if os.path.isdir(path):
        # A folder can be nothing else; what it lacks is said by the reader of series.
        return True
    # Names of scanners end in nothing, or in the last number of a UID.
    return (path.suffix == "" or path.suffix[1:].isdigit()) and dicom_frames.is_dicom(path)


def open_volume(path: Path) -> Volume:
    """Open a volume; no voxel is read yet.

    Raises:
        InputError: the library that reads this format is not installed.
        CaseError: the file is missing, broken, of no known format, or its planes have more pixels than is allowed.
    """
    if not os.path.isdir(path):
        file_bytes(path)
    volume = _opened(path)
    shape, most = sorted(volume.header.shape), limits().pixels
    if shape[1] * shape[2] > most:
        raise CaseError(
            f"image {path}: expected planes of at most {most} pixels ([limits] pixels), got the shape "
            f"{volume.header.shape}"
        )
    return volume


def _opened(path: Path) -> Volume:
    name = path.name.lower()
    if name.endswith(nifti.SUFFIXES):
        return nifti.NiftiVolume(path)
    if name.endswith(sitk_image.SUFFIXES):
        return sitk_image.SitkVolume(path)
    if name.endswith(tiff.SUFFIXES):
        return tiff.TiffVolume(path)
    path = dicom_frames.only_file(path)
    if dicom_seg.is_segmentation(path):
        return dicom_seg.SegVolume(path)
    if os.path.isdir(path) or name.endswith(dicom_frames.SUFFIXES) or dicom_frames.is_dicom(path):
        return dicom.DicomVolume(path)
    raise CaseError(f"image {path}: expected NIfTI, NRRD, MHA, DICOM or TIFF, got another file")


def stem_of(path: Path) -> str:
    """Return a volume's name without its suffix ("case.nii.gz" gives "case")."""
    lower = path.name.lower()
    for suffix in sorted((*SUFFIXES, *tiff.SUFFIXES), key=len, reverse=True):
        if lower.endswith(suffix):
            return path.name[: -len(suffix)]
    return path.name if os.path.isdir(path) else path.stem
