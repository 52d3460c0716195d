"""Slices that the reader cuts from real volumes against the images and masks that others made of them."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from robustness.runners.data.load import load_dataset

pytest.importorskip("nibabel")

FOLDERS = [parent / "shared" / "data" / "hippocampus_msd" for parent in Path(__file__).resolve().parents[3:5]]
HIPPOCAMPUS = next((folder for folder in FOLDERS if folder.is_dir()), FOLDERS[0])
RULE = {"plane": "sagittal", "where": "every target", "min_pixels": 40, "max_per_subject": 4}
LABELS = {"anterior": 1, "posterior": 2, "whole": [1, 2]}


@pytest.mark.skipif(not HIPPOCAMPUS.is_dir(), reason="needs the shared hippocampus volumes beside the checkout")
def test_slices_are_those_of_the_set_and_equal_its_images_and_masks(tmp_path: Path) -> None:
    names = sorted(path.name for path in (HIPPOCAMPUS / "volumes" / "imagesTr").iterdir())[::12]
    table = tmp_path / "cases.csv"
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "mask"])
        writer.writerows(
            [[str(HIPPOCAMPUS / "volumes" / kind / n) for kind in ("imagesTr", "labelsTr")] for n in names]
        )
    window = {"quantiles": [0.0, 1.0], "of": "volume"}
    data = load_dataset(table, labels=LABELS, slices=RULE, window=window, modality="MRI")
    compared: dict[str, set[str]] = {}
    for case in data:
        volume, _, rest = case.case_id.rpartition("__")[2].partition("_sagittal")
        index, _, part = rest.partition("_")
        stem = f"{volume}_x{int(index):02d}"
        compared.setdefault(volume, set()).add(stem)
        mask = np.asarray(Image.open(HIPPOCAMPUS / "masks" / f"{stem}_{part}.png")) > 0
        assert np.array_equal(np.kron(case.mask, np.ones((3, 3))) > 0, mask), case.case_id
        image = np.asarray(Image.open(HIPPOCAMPUS / "images" / f"{stem}.png").convert("L"), dtype=int)
        # A value half-way between two levels may round to either, as single precision falls.
        differences = np.abs(_as_published(case.metadata["image_float"], image.shape) - image)
        assert differences.max() <= 2, case.case_id
        assert (differences > 0).mean() < 0.05, (case.case_id, (differences > 0).mean())
    own = {path.stem for path in (HIPPOCAMPUS / "images").iterdir()}
    assert len(compared) == len(names)
    for volume, stems in compared.items():
        assert stems == {stem for stem in own if stem.startswith(f"{volume}_")}


def _as_published(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return a slice as the set made its images: 8 bits between its quantiles 0.005 and 0.995, enlarged three times."""
    low, high = np.quantile(values, [0.005, 0.995])
    gray = np.rint(np.clip((values.astype(float) - low) / (high - low), 0, 1) * 255).astype(np.uint8)
    size = (shape[1], shape[0])
    return np.asarray(Image.fromarray(gray).resize(size, Image.Resampling.BICUBIC), dtype=int)
