"""A head that looks different from every side, written in every format with known directions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from robustness.runners.data.dataset import Dataset
from robustness.runners.data.load import load_dataset
from tests.runners.data.volumes import phantom

SPACING = (1.5, 2.0, 3.0)
# Voxels toward the patient's right, front and top; the marker lies right, in front and high.
SHAPE = (20, 24, 16)


def head_ras() -> np.ndarray:
    """Values (right, front, top) of int16: a block with a bright marker at the patient's right, front and top."""
    voxels = np.zeros(SHAPE, dtype=np.int16)
    voxels[3:17, 3:21, 2:14] = 300
    voxels[13:16, 16:19, 10:13] = 1000
    voxels[4:6, 4:8, 3:5] = 650
    return voxels


def affine_ras() -> np.ndarray:
    affine = np.diag([*SPACING, 1.0])
    affine[:3, 3] = (-15.0, -24.0, -20.0)
    return affine


def rotated(affine: np.ndarray, degrees: float) -> np.ndarray:
    """Tilt an affine about the patient's front-back axis."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn = np.eye(4)
    turn[:3, :3] = [[c, 0, s], [0, 1, 0], [-s, 0, c]]
    return turn @ affine


def stored(voxels: np.ndarray, affine: np.ndarray, codes: str) -> tuple[np.ndarray, np.ndarray]:
    """Reorder RAS voxels so that stored axes run as `codes` says ("LPS", "PIR", ...); the patient stays in place."""
    from nibabel.orientations import apply_orientation, axcodes2ornt, inv_ornt_aff, ornt_transform

    change = ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(codes))
    return np.ascontiguousarray(apply_orientation(voxels, change)), affine @ inv_ornt_aff(change, voxels.shape)


def write_nifti(path: Path, voxels: np.ndarray, affine: np.ndarray) -> Path:
    import nibabel

    nibabel.save(nibabel.Nifti1Image(voxels, affine), path)
    return path


def write_sitk(path: Path, voxels: np.ndarray, affine: np.ndarray) -> Path:
    import SimpleITK as sitk  # noqa: N813

    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    sizes = np.sqrt((lps[:3, :3] ** 2).sum(axis=0))
    image = sitk.GetImageFromArray(np.ascontiguousarray(voxels.transpose(2, 1, 0)))
    image.SetSpacing(sizes.tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    image.SetDirection((lps[:3, :3] / sizes).ravel().tolist())
    sitk.WriteImage(image, str(path))
    return path


def write_series(folder: Path, voxels: np.ndarray, affine: np.ndarray, **fields: object) -> Path:
    """Write one file a slice; stored axes are columns, rows and slices. Names are shuffled on purpose."""
    folder.mkdir(parents=True, exist_ok=True)
    count = voxels.shape[2]
    for number in range(count):
        dataset = slice_dataset(voxels[:, :, number].T, affine, number, **fields)
        dataset.save_as(folder / f"IM{(number * 7) % count:04d}.dcm", enforce_file_format=True)
    return folder


def slice_dataset(pixels: np.ndarray, affine: np.ndarray, number: int, **fields: object):
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    sizes = np.sqrt((lps[:3, :3] ** 2).sum(axis=0))
    cosines = lps[:3, :3] / sizes
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[str(number)])
    dataset.SeriesInstanceUID = generate_uid(entropy_srcs=["series"])
    dataset.Modality, dataset.PatientID, dataset.InstanceNumber = "MR", "P001", number + 1
    dataset.ImageOrientationPatient = [float(f"{v:.8f}") for v in (*cosines[:, 0], *cosines[:, 1])]
    dataset.ImagePositionPatient = [float(f"{v:.6f}") for v in (lps @ [0, 0, number, 1])[:3]]
    dataset.PixelSpacing = [float(sizes[1]), float(sizes[0])]
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 1
    dataset.PixelData = np.ascontiguousarray(pixels).astype("<i2").tobytes()
    for name, value in fields.items():
        setattr(dataset, name, value)
    return dataset


HEAD, AFFINE = phantom.head_ras(), phantom.affine_ras()
VALUES = ((HEAD == 1000) * 1 + (HEAD == 650) * 2).astype(np.uint8)
LABELS = {"1": "marker", "2": "block"}


def load(folder: Path, rows: list[dict[str, str]], **options: Any) -> Dataset:
    """Open rows of a table as axial slices with a stated window; None takes an option away."""
    pd.DataFrame(rows).to_csv(folder / "cases.csv", index=False)
    chosen = {"labels": LABELS, "slices": {"plane": "axial"}, "window": [0, 1000], **options}
    return load_dataset(folder / "cases.csv", **{name: value for name, value in chosen.items() if value is not None})


def shown(data: Dataset) -> list[tuple[str, bytes, bytes]]:
    """Return target, image and mask of every case, in an order of their own."""
    return sorted((case.target, case.image.tobytes(), case.mask.tobytes()) for case in data)


def mask(folder: Path, name: str = "m.nii.gz") -> str:
    """Write the head's label map and return its name."""
    phantom.write_nifti(folder / name, VALUES, AFFINE)
    return name


def plain(folder: Path) -> list[tuple[str, bytes, bytes]]:
    """Return what an ordinary NIfTI file of the head shows."""
    phantom.write_nifti(folder / "i.nii.gz", HEAD, AFFINE)
    return shown(load(folder, [{"image": "i.nii.gz", "mask": mask(folder)}]))


def series(folder: Path, change: Callable[[Any, int], None] | None = None, **fields: object) -> list[dict[str, str]]:
    """Write the head as a series; `change` may alter each data set, counted from the patient's feet."""
    import pydicom

    head, affine = phantom.stored(HEAD, AFFINE, "LPS")
    phantom.write_series(folder / "series", head, affine, **fields)
    files = [(file, pydicom.dcmread(file)) for file in sorted((folder / "series").iterdir())]
    for number, (file, dataset) in enumerate(sorted(files, key=lambda pair: float(pair[1].ImagePositionPatient[2]))):
        if change:
            change(dataset, number)
            dataset.save_as(file, enforce_file_format=True)
    return [{"image": "series", "mask": mask(folder)}]
