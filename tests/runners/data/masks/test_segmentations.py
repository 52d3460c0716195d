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


def changed(folder: Path, change: Any) -> None:
    import pydicom

    dataset = pydicom.dcmread(folder / "seg.dcm")
    change(dataset)
    dataset.save_as(folder / "seg.dcm")


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
    assert areas(one(folder, mask_label=label)) == {"Tumor": expected(BLOCK)}
    # The file itself names what a table lacks.
    assert areas(one(folder, mask_label=label), labels={"1": "Liver"}) == {"Tumor": expected(BLOCK)}


@pytest.mark.parametrize("fields", [{}, {"mask_label": "Tumor"}, {"mask_label": "2"}])
def test_shares_count_from_the_stated_threshold_on(folder: Path, fields: dict[str, str]) -> None:
    write(folder, {"Liver": 0.2 * MARKER, "Tumor": 0.4 * BLOCK}, kind="FRACTIONAL", fractional_type="PROBABILITY")
    path = one(folder, **fields)
    assert areas(path, masks={"threshold": 0.3})["Tumor"] == expected(BLOCK)
    assert areas(path, masks={"kind": "soft", "threshold": 0.3})["Tumor"] == expected(BLOCK)
    with pytest.raises(InputError, match=r"end at 0\.4; state \[data\] masks = \{ threshold = 0\.2 \}"):
        areas(path, masks={"threshold": 0.5})


@pytest.mark.parametrize(
    "change",
    [
        # Files that are published without them cannot be read by highdicom 0.28.
        segmentations.without("DimensionIndexSequence", "DimensionOrganizationSequence", "FrameContentSequence"),
        segmentations.without("FrameOfReferenceUID", "DerivationImageSequence", "ReferencedSeriesSequence"),
        segmentations.in_another_order,
        segmentations.as_thick(3),
        segmentations.as_thick(0.3),
        # Slices are 3 mm apart, as neither all distances of frames below nor their thickness say.
        segmentations.as_thick(4),
        segmentations.as_thick(4.5),
    ],
)
@pytest.mark.parametrize("shown", [(3, 4, 5, 9), (3, 6, 9), (3, 5, 8), (4,)])
def test_frames_are_matched_by_their_place(folder: Path, change: Any, shown: tuple[int, ...]) -> None:
    few = np.zeros_like(MARKER)
    for place in shown:
        few[place, 2:5, 3 : 4 + place] = True
    write(folder, {"Liver": few, "Tumor": few[:, ::-1]})
    changed(folder, change)
    found = {f"{case.target}{case.metadata['slice']}": case.mask for case in load_dataset(one(folder), slices=AXIAL)}
    assert sorted(found) == sorted(f"{name}{place}" for name in ("Liver", "Tumor") for place in shown)
    for place in shown:
        assert np.array_equal(found[f"Liver{place}"], few[place])
        assert np.array_equal(found[f"Tumor{place}"], few[place, ::-1])


@pytest.mark.parametrize("thickness", [0.5, 2.0, 7.3, 40.0])
def test_how_thick_a_single_frame_is_moves_nothing(folder: Path, thickness: float) -> None:
    few = MARKER & (np.arange(len(MARKER)) == int(MARKER.any(axis=(1, 2)).argmax()))[:, None, None]
    write(folder, {"Liver": few})
    changed(folder, segmentations.as_thick(thickness))
    assert areas(one(folder)) == {"Liver": expected(few)}


@pytest.mark.parametrize(("thickness", "shown"), [(6, (2, 4, 6)), (9, (3, 6, 9)), (7, (3, 6, 9)), (0, (3, 6, 9))])
def test_slices_inside_of_thick_frames_are_no_background(
    folder: Path, thickness: float, shown: tuple[int, ...]
) -> None:
    """Thick frames that follow each other, of an image with thinner slices: another grid."""
    few = MARKER & np.isin(np.arange(len(MARKER)), shown)[:, None, None]
    few[list(shown), 2:5, 2:5] = True
    write(folder, {"Liver": few})
    changed(folder, segmentations.as_thick(thickness))
    with pytest.raises((CaseError, InputError), match="expected the grid of its image"):
        load_dataset(one(folder), slices=AXIAL)[0]


@pytest.mark.parametrize("thickness", [1.5, 4.5])
def test_frames_between_the_slices_of_their_image_are_refused(folder: Path, thickness: float) -> None:
    """They would be nowhere: slices of the image would have no mask, without a word."""
    write(folder, {"Liver": MARKER})
    changed(folder, segmentations.as_thick(thickness))
    changed(folder, segmentations.raised(1.5))
    with pytest.raises((CaseError, InputError), match="expected the grid of its image"):
        load_dataset(one(folder), slices=AXIAL)[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (segmentations.shifted, "one regular grid, got frames that are shifted"),
        (segmentations.without("PlanePositionSequence"), "several of segment 1 in a film"),
        (segmentations.undescribed, "a description of each of its 3 frames, found 2"),
        (segmentations.nameless, "each with its label .*, found none for segment 1"),
    ],
)
def test_a_segmentation_that_cannot_be_placed_is_an_error_of_its_case(folder: Path, change: Any, message: str) -> None:
    write(folder, {"Liver": MARKER})
    changed(folder, change)
    with pytest.raises(CaseError, match=message):
        load_dataset(one(folder), slices=AXIAL)[0]


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


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
def test_one_radiograph_without_a_place_in_the_patient(tmp_path: Path, kind: str) -> None:
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
    segmentations.write_segmentation(tmp_path / "seg.dcm", [image], {"Heart": heart}, kind=kind)
    data = load_dataset(table(tmp_path, [{"image": "chest.dcm", "mask": "seg.dcm"}]), window=[0, 479])
    assert np.array_equal(data[0].mask, heart[0])
    assert (data[0].target, data[0].metadata["modality"], data[0].subject_id) == ("Heart", "x-ray", "P001")


def test_the_check_reads_what_the_audit_reads(folder: Path) -> None:
    write(folder, {"Liver": MARKER, "Tumor": BLOCK})
    found = check_dataset(one(folder), prompt="prompt", slices=AXIAL, window=[0, 1000])
    assert "error" not in set(found.level)
    assert any("stated in the plan" in message for message in found[found.code == "scale"].message)
