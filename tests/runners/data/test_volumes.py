"""Datasets of volumes: slices by rule, patients as subjects, masks matched by place, memory that does not grow."""

from __future__ import annotations

import csv
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from robustness.errors import CaseError, InputError
from robustness.runners.data.load import load_dataset
from tests.runners.data.volumes import phantom

pytest.importorskip("nibabel")
pytest.importorskip("pydicom")

LABELS = {"1": "marker", "2": "block"}


def labels_of(voxels: np.ndarray) -> np.ndarray:
    return ((voxels == 1000) * 1 + (voxels == 650) * 2).astype(np.uint8)


def table(folder: Path, rows: list[dict]) -> Path:
    path = folder / "cases.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture
def volumes(tmp_path: Path) -> Path:
    rows = []
    for n, (image_order, mask_order) in enumerate((("RAS", "RAS"), ("LPS", "RAS"), ("PIR", "LAS"))):
        head, affine = phantom.head_ras(), phantom.affine_ras()
        phantom.write_nifti(tmp_path / f"p{n}.nii.gz", *phantom.stored(head, affine, image_order))
        phantom.write_nifti(tmp_path / f"p{n}_seg.nii", *phantom.stored(labels_of(head), affine, mask_order))
        rows.append(
            {"image": f"p{n}.nii.gz", "mask": f"p{n}_seg.nii", "subject_id": f"patient{n}", "site": "AB"[n % 2]}
        )
    return table(tmp_path, rows)


class TestSlices:
    def test_every_stored_order_gives_the_same_cases(self, volumes: Path) -> None:
        data = load_dataset(volumes, labels=LABELS, slices={"plane": "axial"}, window=[0, 1000], groups=["site"])
        by_subject: dict[str, list] = {}
        for case in data:
            by_subject.setdefault(case.subject_id, []).append(case)
        assert set(by_subject) == {"patient0", "patient1", "patient2"}
        shown = [
            sorted((c.target, c.image.tobytes(), c.mask.tobytes()) for c in cases) for cases in by_subject.values()
        ]
        assert shown[0] == shown[1] == shown[2]
        assert {case.target for case in data} == {"marker", "block"}
        assert all(case.mask.any() and case.spacing_mm == pytest.approx((2.0, 1.5)) for case in data)
        assert data.infos[0].metadata["groups"] == {"site": "A"}

    def test_the_marker_of_the_patients_right_lies_on_the_images_left_and_the_prompt_says_so(
        self, volumes: Path
    ) -> None:
        data = load_dataset(volumes, labels=LABELS, slices={"plane": "axial"}, window=[0, 1000])
        for case in (case for case in data if case.target == "marker"):
            assert np.nonzero(case.mask)[1].mean() < case.mask.shape[1] / 2
            assert case.image[case.mask].min() == 255
            assert "left of the image" in case.prompt.text or "top left" in case.prompt.text

    @pytest.mark.parametrize("order", ["RAS", "LPS", "SPR", "PIR"])
    def test_quantiles_of_the_set_do_not_depend_on_the_stored_order(self, tmp_path: Path, order: str) -> None:
        """Of a plane of 512 columns four were looked at, so that bone was no part of the window of a CT."""
        rng = np.random.default_rng(4)
        x, y = np.meshgrid(np.linspace(-1, 1, 512), np.linspace(-1, 1, 512), indexing="ij")
        plane = np.where(x**2 / 0.6 + y**2 / 0.4 < 1, 40 + rng.normal(0, 20, x.shape), -1000)
        plane[x**2 + (y - 0.3) ** 2 < 0.02] = 700
        voxels = np.stack([plane + slope for slope in range(12)], axis=-1).astype(np.int16)
        affine = np.diag([0.7, 0.7, 5.0, 1.0])
        phantom.write_nifti(tmp_path / "ct.nii", *phantom.stored(voxels, affine, order))
        phantom.write_nifti(tmp_path / "seg.nii", *phantom.stored((voxels > 600).astype(np.uint8), affine, order))
        path = table(tmp_path, [{"image": "ct.nii", "mask": "seg.nii", "subject_id": "a", "site": "A"}])
        data = load_dataset(path, labels={"1": "bone"}, slices={"plane": "axial"})
        (note,) = (note for note in data.notes if "quantiles 0.005 and 0.995 of the set" in note)
        assert "stored values -1000 to 708 become black to white" in note

    @pytest.mark.parametrize("key", ["subject", "subject_id"])
    def test_a_volume_whose_row_names_nobody_is_told_by_its_file(self, volumes: Path, key: str) -> None:
        """All slices without a name were one patient, or a patient each."""
        rows = list(csv.DictReader(volumes.read_text().splitlines()))
        for names in (["unknown", "NA", "?"], ["", "", ""], ["a", "", "unknown"]):
            stated = [
                {**{k: v for k, v in row.items() if k != "subject_id"}, key: n}
                for row, n in zip(rows, names, strict=True)
            ]
            data = load_dataset(
                table(volumes.parent, stated), labels=LABELS, slices={"plane": "axial"}, window=[0, 1000]
            )
            assert {info.subject_id for info in data.infos} == {"a" if "a" in names else "p0", "p1", "p2"}
            assert not data.subject_is_image

    def test_the_rule_thins_slices_and_limits_subjects(self, volumes: Path) -> None:
        def count(**rule: object) -> int:
            return len(
                load_dataset(volumes, labels={"1": "marker"}, slices={"plane": "axial", **rule}, window=[0, 1000])
            )

        assert count() == 9
        assert count(every=2) == 6
        assert count(max_per_subject=1) == 3
        assert count(where="all") == 3 * phantom.SHAPE[2]

    def test_one_window_holds_for_the_set_and_is_noted(self, volumes: Path) -> None:
        data = load_dataset(volumes, labels=LABELS, slices={"plane": "coronal"})
        assert any("quantiles 0.005 and 0.995 of the set" in note for note in data.notes)
        assert len({case.metadata["full_scale"] for case in data}) == 1

    def test_labels_by_number_become_a_plan(self, volumes: Path) -> None:
        from robustness.plans.audit import DataSpec

        data = load_dataset(volumes, labels={1: "marker", 2: "block"}, slices={"plane": "axial"}, window=[0, 1000])
        assert DataSpec(path=str(volumes), labels=data.spec()["labels"]).labels == LABELS

    def test_labels_that_nobody_names_are_asked_for(self, volumes: Path) -> None:
        with pytest.raises(InputError, match=r"labels = \{1"):
            load_dataset(volumes, slices={"plane": "axial"})

    def test_a_mask_on_another_grid_fails_that_patient_and_no_other(self, volumes: Path) -> None:
        head, affine = phantom.head_ras(), phantom.affine_ras().copy()
        affine[:3, 3] += 0.7
        phantom.write_nifti(volumes.parent / "p0_seg.nii", labels_of(head), affine)
        data = load_dataset(volumes, labels=LABELS, slices={"plane": "axial"}, window=[0, 1000])
        broken = [number for number, info in enumerate(data.infos) if info.subject_id == "patient0"]
        assert len(broken) == 1
        with pytest.raises(CaseError, match="grid of its image"):
            data[broken[0]]
        assert {case.subject_id for case in data.subset(n for n in range(len(data)) if n not in broken)} == {
            "patient1",
            "patient2",
        }


class TestDicom:
    def test_a_series_with_a_segmentation_in_nifti(self, tmp_path: Path) -> None:
        head, affine = phantom.stored(phantom.head_ras(), phantom.affine_ras(), "LPS")
        phantom.write_series(
            tmp_path / "series", head, affine, WindowCenter=500, WindowWidth=1001, ManufacturerModelName="Scanner X"
        )
        phantom.write_nifti(tmp_path / "seg.nii.gz", labels_of(phantom.head_ras()), phantom.affine_ras())
        path = table(tmp_path, [{"image": "series", "mask": "seg.nii.gz"}])
        data = load_dataset(path, labels=LABELS, slices={"plane": "axial"}, groups=["scanner"])
        assert any("window of every header" in note for note in data.notes)
        assert data.infos[0].metadata["groups"] == {"scanner": "Scanner X"}
        assert all((case.image[case.mask] >= 160).all() for case in data)

    def test_monochrome1_is_shown_the_other_way_round(self, tmp_path: Path) -> None:
        values = np.arange(20 * 24, dtype=np.int16).reshape(20, 24)
        for name in ("MONOCHROME1", "MONOCHROME2"):
            dataset = phantom.slice_dataset(values, phantom.affine_ras(), 0, PhotometricInterpretation=name)
            dataset.save_as(tmp_path / f"{name}.dcm", enforce_file_format=True)
        Image.fromarray((values > 200).astype(np.uint8) * 255).save(tmp_path / "m.png")
        rows = [
            {"image": f"{n}.dcm", "mask": "m.png", "prompt": "x", "case_id": n} for n in ("MONOCHROME1", "MONOCHROME2")
        ]
        one, two = load_dataset(table(tmp_path, rows), window=[0, 479])
        assert np.array_equal(two.image[..., 0], np.rint(values / 479 * 255).astype(np.uint8))
        assert np.abs(one.image.astype(int) + two.image - 255).max() <= 1


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_volumes(tmp_path: Path) -> None:
    rows = []
    rng = np.random.default_rng(0)
    voxels = rng.integers(0, 800, (128, 128, 40)).astype(np.int16)
    labels = np.zeros(voxels.shape, np.uint8)
    labels[20:40, 20:40, 10:14] = 1
    for n in range(12):
        phantom.write_nifti(tmp_path / f"v{n}.nii.gz", voxels, np.eye(4))
        phantom.write_nifti(tmp_path / f"v{n}_seg.nii.gz", labels, np.eye(4))
        rows.append({"image": f"v{n}.nii.gz", "mask": f"v{n}_seg.nii.gz"})

    def peak(count: int) -> int:
        tracemalloc.start()
        data = load_dataset(
            table(tmp_path, rows[:count]), labels={"1": "cube"}, slices={"plane": "axial", "max_per_subject": 1}
        )
        assert sum(1 for _ in data) == count
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest

    peak(4)  # what is imported and cached once
    few = peak(4)
    assert peak(12) <= 1.15 * few


def test_two_labels_of_one_structure_have_prompts_of_their_own(tmp_path: Path) -> None:
    """The part of a label's name that is no target reaches the prompt, whatever the modality and level."""
    voxels = np.zeros((12, 14, 9), np.int16)
    voxels[2:5, 2:6, 2:7], voxels[7:10, 8:12, 2:7] = 1, 2
    for name, values in (("a.nii.gz", voxels.astype(np.float32)), ("a_seg.nii.gz", voxels)):
        phantom.write_nifti(tmp_path / name, values, np.eye(4))
    rows = [{"image": "a.nii.gz", "mask": "a_seg.nii.gz"}]
    for modality in ("MRI", "x-ray", "ultrasound", None):
        for prompt in ("p1", "p2", "p6"):
            data = load_dataset(
                table(tmp_path, rows),
                labels={"1": "left kidney", "2": "right kidney"},
                slices={"plane": "axial", "max_per_subject": 1},
                modality=modality,
                prompt=prompt,
            )
            for case in data:
                side = case.metadata["attributes"]["side"]
                assert f"{side} kidney" in case.prompt.text.lower()
                assert case.target == "kidney"
                assert [a.value.lower() for a in case.prompt.attributes if a.kind == "side"] == [side]
