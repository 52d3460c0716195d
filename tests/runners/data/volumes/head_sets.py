"""The phantom's head as a dataset: one table, one volume, the same cases whatever format it is written in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from robustness.runners.data.dataset import Dataset
from robustness.runners.data.load import load_dataset
from tests.runners.data.volumes import phantom

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
