"""DICOM segmentations: segments by label and number, slices that are left out, fractions, overlaps, one image."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robustness.errors import CaseError, InputError
from robustness.runners.data.check.dataset import check_dataset
from robustness.runners.data.load import load_dataset
from tests.runners.data.masks import segmentations
from tests.runners.data.volumes import phantom

pytest.importorskip("highdicom")

# highdicom and pydicom warn of made-up identifiers and of their own changes.
pytestmark = pytest.mark.filterwarnings("ignore")
MARKER, BLOCK = segmentations.of_head(1000), segmentations.of_head(650)
AXIAL = {"plane": "axial"}


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return segmentations.write_series(tmp_path_factory.mktemp("head") / "series")


@pytest.fixture
def folder(series: Path, tmp_path: Path) -> Path:
    shutil.copytree(series, tmp_path / "series")
    return tmp_path


def write(folder: Path, segments: dict[str, np.ndarray], name: str = "seg.dcm", **options: Any) -> Path:
    return segmentations.write_segmentation(
        folder / name, segmentations.sources(folder / "series"), segments, **options
    )


def table(folder: Path, rows: list[dict[str, Any]]) -> Path:
    path = folder / "cases.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(key for row in rows for key in row)))
        writer.writeheader()
        writer.writerows(rows)
    return path


def one(folder: Path, **fields: Any) -> Path:
    return table(folder, [{"image": "series", "mask": "seg.dcm", **fields}])


def areas(path: Path, **options: Any) -> dict[str, list[int]]:
    """Return label -> areas of its slices, from the patient's feet up."""
    found: dict[str, list[int]] = {}
    for case in load_dataset(path, slices=options.pop("slices", AXIAL), window=[0, 1000], **options):
        found.setdefault(case.target, []).append(int(case.mask.sum()))
    return found


def expected(mask: np.ndarray) -> list[int]:
    return [int(count) for count in mask.sum(axis=(1, 2)) if count]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL", "LABELMAP"])
@pytest.mark.parametrize("omit", [False, True])
def test_segments_are_the_cases_under_their_own_labels(folder: Path, kind: str, omit: bool) -> None:
    write(folder, {"Liver": MARKER, "Tumor": BLOCK}, kind=kind, omit_empty_frames=omit)
    data = load_dataset(one(folder), slices=AXIAL, window=[0, 1000], groups=["scanner", "sex"])
    assert {case.target for case in data} == {"Liver", "Tumor"}
    for case in data:
        lit = case.image[..., 0] == (255 if case.target == "Liver" else round(0.65 * 255))
        assert np.array_equal(case.mask, lit)
    assert data.infos[0].subject_id == "P001"
    assert data.infos[0].metadata["modality"] == "MRI"
    assert data.infos[0].metadata["groups"] == {"scanner": "Scanner X", "sex": "F"}
    assert areas(one(folder)) == {"Liver": expected(MARKER), "Tumor": expected(BLOCK)}


def test_pixels_are_counted_not_rows(folder: Path) -> None:
    write(folder, {"Liver": MARKER})
    assert expected(MARKER)[0] == 9
    assert len(load_dataset(one(folder), slices={**AXIAL, "min_pixels": 9})) == 3
    with pytest.raises(InputError, match="slices that show a declared label"):
        load_dataset(one(folder), slices={**AXIAL, "min_pixels": 10})


@pytest.mark.parametrize("label", ["Tumor", "2"])
def test_a_row_asks_for_a_segment_by_label_or_number(folder: Path, label: str) -> None:
    write(folder, {"Liver": MARKER, "Tumor": BLOCK})
    (found,) = areas(one(folder, mask_label=label)).values()
    assert found == expected(BLOCK)
    # The file itself names what a table lacks.
    (found,) = areas(one(folder, mask_label=label), labels={"1": "Liver"}).values()
    assert found == expected(BLOCK)


def test_overlapping_segments_count_once_in_their_union(folder: Path) -> None:
    write(folder, {"Liver": MARKER | BLOCK, "Tumor": BLOCK})
    table_of_labels = {"Liver": 1, "Tumor": 2, "all": [1, 2]}
    assert areas(one(folder), labels=table_of_labels)["all"] == expected(MARKER | BLOCK)


def test_a_segment_that_one_patient_lacks_is_no_fault(folder: Path) -> None:
    write(folder, {"Liver": MARKER, "Tumor": BLOCK}, "both.dcm")
    write(folder, {"Liver": MARKER}, "liver.dcm")
    rows = [{"image": "series", "mask": f"{n}.dcm", "subject_id": n, "case_id": n} for n in ("both", "liver")]
    found = areas(table(folder, rows), labels={"1": "Liver", "2": "Tumor"})
    assert found == {"Liver": expected(MARKER) * 2, "Tumor": expected(BLOCK)}


def test_segments_are_told_by_label_where_files_number_them_differently(folder: Path) -> None:
    write(folder, {"Liver": MARKER, "Tumor": BLOCK}, "a.dcm")
    write(folder, {"Tumor": BLOCK, "Liver": MARKER}, "b.dcm")
    rows = [{"image": "series", "mask": f"{n}.dcm", "case_id": n} for n in "ab"]
    assert areas(table(folder, rows)) == {"Liver": expected(MARKER) * 2, "Tumor": expected(BLOCK) * 2}


def test_several_segmentations_of_one_series_are_a_union_where_declared(folder: Path) -> None:
    write(folder, {"Lesion": MARKER}, "one.dcm")
    write(folder, {"Lesion": BLOCK}, "two.dcm")
    path = table(folder, [{"image": "series", "mask": f"{n}.dcm"} for n in ("one", "two")])
    assert areas(path, masks={"combine": "union"}) == {"Lesion": expected(MARKER | BLOCK)}
    assert areas(path) == {"Lesion": expected(MARKER) + expected(BLOCK)}


@pytest.mark.parametrize(
    ("fields", "options", "message"),
    [
        ({"mask_label": "Tumour"}, {}, "segments 1 Liver, 2 Tumor, got segment 'Tumour'"),
        ({"mask_label": "7"}, {}, "segments 1 Liver, 2 Tumor, got label 7"),
        ({}, {"labels": {"9": "Kidney"}}, "segments 1 Liver, 2 Tumor, got label 9"),
        ({}, {"labels": {"1": "Tumor", "2": "Liver"}}, "as the segmentation names them"),
    ],
)
def test_a_wrong_label_is_one_line_with_the_segments_that_are_there(
    folder: Path, fields: dict[str, str], options: dict[str, Any], message: str
) -> None:
    write(folder, {"Liver": MARKER, "Tumor": BLOCK})
    data = load_dataset(one(folder, **fields), slices=AXIAL, **options)
    assert len(data) == 1
    with pytest.raises(CaseError, match=message) as caught:
        data[0]
    assert "\n" not in str(caught.value)


def test_a_segmentation_of_another_patient_is_refused_by_its_place(folder: Path) -> None:
    images = segmentations.sources(folder / "series")
    for image in images:
        image.ImagePositionPatient = [v + 400 for v in image.ImagePositionPatient]
    segmentations.write_segmentation(folder / "seg.dcm", images, {"Liver": MARKER})
    with pytest.raises(CaseError, match="grid of its image"):
        load_dataset(one(folder), slices=AXIAL)[0]


def test_an_rt_structure_set_is_named_as_such(folder: Path) -> None:
    dataset = phantom.slice_dataset(np.zeros((4, 4), np.int16), phantom.affine_ras(), 0, Modality="RTSTRUCT")
    dataset.save_as(folder / "seg.dcm", enforce_file_format=True)
    with pytest.raises(CaseError, match="RT structure set"):
        load_dataset(one(folder, target="liver"), slices=AXIAL)[0]


def test_one_radiograph_without_a_place_in_the_patient(tmp_path: Path) -> None:
    pixels = np.arange(20 * 24, dtype=np.int16).reshape(20, 24)
    radiography = "1.2.840.10008.5.1.4.1.1.1.1"
    image = phantom.slice_dataset(
        pixels, phantom.affine_ras(), 0, **segmentations.STUDY, Modality="DX", SOPClassUID=radiography
    )
    image.file_meta.MediaStorageSOPClassUID = radiography
    del image.ImageOrientationPatient, image.ImagePositionPatient
    image.save_as(tmp_path / "chest.dcm", enforce_file_format=True)
    heart = np.zeros((1, 20, 24), bool)
    heart[0, 8:14, 4:12] = True
    segmentations.write_segmentation(tmp_path / "seg.dcm", [image], {"Heart": heart})
    data = load_dataset(table(tmp_path, [{"image": "chest.dcm", "mask": "seg.dcm"}]), window=[0, 479])
    assert np.array_equal(data[0].mask, heart[0])
    assert (data[0].target, data[0].metadata["modality"], data[0].subject_id) == ("Heart", "x-ray", "P001")


def test_the_check_reads_what_the_audit_reads(folder: Path) -> None:
    write(folder, {"Liver": MARKER, "Tumor": BLOCK})
    found = check_dataset(one(folder), prompt="prompt", slices=AXIAL, window=[0, 1000])
    assert "error" not in set(found.level)
    assert any("stated in the plan" in message for message in found[found.code == "scale"].message)
