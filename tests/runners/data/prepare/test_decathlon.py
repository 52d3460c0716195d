"""What a Decathlon task says of itself reaches entries: the structure, its part, the modality and the patient."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from robustness.runners.data.load import load_dataset
from robustness.runners.data.prepare.write import prepare
from tests.runners.data.prepare import downloads

pytest.importorskip("nibabel")


def prepared(tmp_path: Path, changes: dict[str, Any], **options: Any) -> list[dict[str, Any]]:
    """Prepare the miniature hippocampus task with changed fields of dataset.json, and return all entries."""
    downloads.decathlon(tmp_path / "download")
    file = tmp_path / "download" / "Task04_Hippocampus" / "dataset.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))
    made = prepare("msd", tmp_path / "download", tmp_path / "data", options=options)
    return [e for split in made.cases for e in json.loads((tmp_path / "data" / "anns" / f"{split}.json").read_text())]


def test_a_label_that_is_only_a_direction_takes_the_task_s_structure(tmp_path: Path) -> None:
    entries = prepared(tmp_path, {})
    assert {(e["target"], e["attributes"]["direction"]) for e in entries} == {
        ("hippocampus", "anterior"),
        ("hippocampus", "posterior"),
    }
    assert {e["prompts"]["p3"] for e in entries} == {
        "anterior hippocampus in axial MRI",
        "posterior hippocampus in axial MRI",
    }
    assert {case.metadata["modality"] for case in load_dataset(tmp_path / "data", "test")} == {"MRI"}


def test_volumes_of_one_scan_are_one_patient(tmp_path: Path) -> None:
    subject_of = {e["volume"]: e["subject"] for e in prepared(tmp_path, {})}
    assert subject_of == {
        "hippocampus_001": "hippocampus_001-002",
        "hippocampus_002": "hippocampus_001-002",
        "hippocampus_003": "hippocampus_003-004",
        "hippocampus_004": "hippocampus_003-004",
        "hippocampus_006": "hippocampus_005-006",
        "hippocampus_007": "hippocampus_007-008",
    }


def test_files_of_other_tasks_are_patients(tmp_path: Path) -> None:
    entries = prepared(tmp_path, {"name": "Spleen"})
    assert all(e["subject"] == e["volume"] for e in entries)


@pytest.mark.parametrize(
    ("task", "labels", "targets"),
    [
        ("Prostate", {"1": "PZ", "2": "TZ"}, {"peripheral zone", "transition zone"}),
        ("Liver", {"1": "liver", "2": "cancer"}, {"liver", "liver tumor"}),
        ("Pancreas", {"1": "pancreas", "2": "cancer"}, {"pancreas", "pancreatic tumor"}),
        ("HepaticVessel", {"1": "Vessel", "2": "Tumour"}, {"hepatic vessel", "liver tumor"}),
        ("Heart", {"1": "left atrium", "2": "left lung"}, {"left atrium", "lung"}),
    ],
)
def test_short_labels_are_written_in_full(tmp_path: Path, task: str, labels: dict[str, str], targets: set[str]) -> None:
    entries = prepared(tmp_path, {"name": task, "labels": {"0": "background", **labels}})
    assert {e["target"] for e in entries} == targets


@pytest.mark.parametrize(
    ("stated", "modality"),
    [
        ({"0": "CT"}, "CT"),
        ({"0": "FLAIR", "1": "T1w", "2": "t1gd", "3": "T2w"}, "MRI"),
        ({"0": "T2", "1": "ADC"}, "MRI"),
        ({"0": "MRI", "1": "CT"}, None),
        ({"0": "PET"}, None),
    ],
)
def test_the_modality_is_what_all_sequences_belong_to(tmp_path: Path, stated: dict[str, str], modality: str) -> None:
    entries = prepared(tmp_path, {"modality": stated})
    assert {e.get("modality") for e in entries} == {modality}


def test_stated_labels_may_overlap(tmp_path: Path) -> None:
    entries = prepared(tmp_path, {}, labels={"hippocampus": [1, 2], "anterior hippocampus": 1})
    assert {e["prompts"]["p2"] for e in entries} == {"hippocampus", "anterior hippocampus"}


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
