"""DICOM folders and segmentations as hospitals have them: read as they are meant, or refused in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robustness.errors import CaseError
from robustness.runners.data.load import load_dataset
from robustness.runners.data.volumes.dicom_header import frame_display_groups, windows_of
from tests.runners.data.masks import segmentations
from tests.runners.data.volumes import phantom
from tests.runners.data.volumes.phantom import AFFINE, HEAD, VALUES, load, mask, series, shown
from tests.runners.data.volumes.phantom import plain as plain_cases

for library in ("nibabel", "pydicom", "SimpleITK", "highdicom"):
    pytest.importorskip(library)

# highdicom and pydicom warn of made-up identifiers.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, bytes, bytes]]:
    return plain_cases(tmp_path_factory.mktemp("plain"))


class TestSeries:
    def test_what_else_lies_in_the_folder_is_left_out(self, tmp_path: Path, plain: list[Any]) -> None:
        import pydicom

        segmentations.write_series(tmp_path / "series")
        sources = segmentations.sources(tmp_path / "series")
        segmentations.write_segmentation(tmp_path / "series" / "seg.dcm", sources, {"x": segmentations.of_head(1000)})
        copied = sorted((tmp_path / "series").glob("IM*"))[3]
        (tmp_path / "series" / "copy.dcm").write_bytes(copied.read_bytes())
        state = pydicom.dcmread(copied)
        del state.PixelData, state.Rows, state.Columns
        state.Modality, state.SeriesInstanceUID = "PR", "1.2.9"
        state.save_as(tmp_path / "series" / "state")
        (tmp_path / "series" / "DICOMDIR").write_bytes(bytes(128) + b"DICM")
        (tmp_path / "series" / "README.txt").write_text("of the hospital")
        data = load(tmp_path, [{"image": "series", "mask": mask(tmp_path)}])
        assert shown(data) == plain
        assert any("left out (PR, SEG)" in note for note in data.notes)
        assert any("copies of 1 of its files" in note for note in data.notes)

    def test_a_sheet_of_many_slices_is_remarked(self, tmp_path: Path, plain: list[Any]) -> None:
        def change(dataset: Any, number: int) -> None:
            dataset.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]

        data = load(tmp_path, series(tmp_path, change))
        assert shown(data) == plain
        assert any("is a MOSAIC, many slices side by side" in note for note in data.notes)

    def test_what_is_no_dicom_file_is_told_without_advice_on_a_library(self, tmp_path: Path) -> None:
        (tmp_path / "scan.dcm").write_bytes(b"hello world" * 50)
        with pytest.raises(CaseError, match="does not begin as one") as caught:
            load(tmp_path, [{"image": "scan.dcm", "mask": mask(tmp_path)}])[0]
        assert "force" not in str(caught.value)

    def test_slices_with_one_identifier_are_all_read(self, tmp_path: Path, plain: list[Any]) -> None:
        def change(dataset: Any, number: int) -> None:
            dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3"

        assert shown(load(tmp_path, series(tmp_path, change))) == plain

    @pytest.mark.parametrize(
        "syntax", ["RLELossless", "ImplicitVRLittleEndian", "twelve bits", "overlay in the high bits"]
    )
    def test_every_way_to_store_pixels_gives_the_same(self, tmp_path: Path, syntax: str, plain: list[Any]) -> None:
        import pydicom

        def change(dataset: Any, number: int) -> None:
            if syntax == "RLELossless":
                dataset.compress(pydicom.uid.RLELossless)
            elif syntax == "ImplicitVRLittleEndian":
                dataset.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
                dataset.set_original_encoding(True, True)
            else:
                values = dataset.pixel_array.astype(np.int16) - (500 if syntax == "twelve bits" else 0)
                raw = values.astype(np.uint16) & 0x0FFF
                raw[2:5, 2:5] |= 0 if syntax == "twelve bits" else 0x1000
                dataset.BitsStored, dataset.HighBit, dataset.PixelData = 12, 11, raw.astype("<u2").tobytes()
                dataset.PixelRepresentation = int(syntax == "twelve bits")

        rows = series(tmp_path, change)
        low = -500 if syntax == "twelve bits" else 0
        assert shown(load(tmp_path, rows, window=[low, low + 1000])) == plain

    def test_every_slice_has_its_own_slope(self, tmp_path: Path) -> None:
        def change(dataset: Any, number: int) -> None:
            dataset.PixelData = (dataset.pixel_array * 10 // (number + 1)).astype("<i2").tobytes()
            dataset.RescaleSlope, dataset.RescaleIntercept = (number + 1) / 10, 0

        for case in load(tmp_path, series(tmp_path, change)):
            lit = case.image[..., 0][case.mask]
            assert np.abs(lit.astype(int) - (255 if case.target == "marker" else 166)).max() <= 1

    def test_padding_is_black_and_decides_no_window(self, tmp_path: Path) -> None:
        def change(dataset: Any, number: int) -> None:
            values = dataset.pixel_array.copy()
            values[:3] = -2000
            dataset.PixelData = values.astype("<i2").tobytes()
            dataset.add_new("PixelPaddingValue", "SS", -2000)
            dataset.PhotometricInterpretation = "MONOCHROME1"

        data = load(tmp_path, series(tmp_path, change), window=None)
        assert any("stored values 0 to 650" in note for note in data.notes)
        assert not data[0].image[:3].any()
        assert (data[0].image[4:, 0] == 255).all()

    @pytest.mark.parametrize(
        ("fields", "note"),
        [
            ({"WindowCenter": 500, "WindowWidth": 1001}, "the window of every header"),
            ({}, "quantiles 0.005 and 0.995 of the set"),
        ],
    )
    def test_a_window_that_differs_from_slice_to_slice_is_none(
        self, tmp_path: Path, fields: dict[str, int], note: str
    ) -> None:
        def change(dataset: Any, number: int) -> None:
            if not fields:
                dataset.WindowCenter, dataset.WindowWidth = 100 + number, 200

        assert any(note in text for text in load(tmp_path, series(tmp_path, change, **fields), window=None).notes)

    def test_a_tilted_gantry_is_remarked(self, tmp_path: Path) -> None:
        affine = AFFINE.copy()
        affine[1, 2] = 1.0
        head, stored = phantom.stored(HEAD, affine, "LPS")
        phantom.write_series(tmp_path / "series", head, stored)
        phantom.write_nifti(tmp_path / "m.nii", VALUES, affine)
        notes = load(tmp_path, [{"image": "series", "mask": "m.nii"}]).notes
        assert any("not at right angles (by 18 degrees" in note for note in notes)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda d, n: n or setattr(d, "HighBit", 11), "HighBit one below BitsStored"),
            (lambda d, n: n or d.update({"Rows": 10, "Columns": 48}), "one size, found 20 x 24, 48 x 10"),
        ],
    )
    def test_what_cannot_be_meant_is_one_line(self, tmp_path: Path, change: Any, message: str) -> None:
        data = load(tmp_path, series(tmp_path, change))
        with pytest.raises(CaseError, match=message) as caught:
            data[0]
        assert "\n" not in str(caught.value)

    def test_a_folder_of_folders_names_them(self, tmp_path: Path) -> None:
        (tmp_path / "p1").mkdir()
        series(tmp_path / "p1")
        data = load(tmp_path, [{"image": "p1", "mask": "p1/m.nii.gz"}])
        with pytest.raises(CaseError, match="found the folders series; name that of one series"):
            data[0]


class TestMasksOfOtherScans:
    def test_another_frame_of_reference_is_remarked(self, tmp_path: Path) -> None:
        segmentations.write_series(tmp_path / "series")
        images = segmentations.sources(tmp_path / "series")
        for image in images:
            image.FrameOfReferenceUID = "1.2.826.0.1.3680043.8.498.77"
        segmentations.write_segmentation(tmp_path / "seg.dcm", images, {"marker": segmentations.of_head(1000)})
        data = load(tmp_path, [{"image": "series", "mask": "seg.dcm"}], labels=None)
        assert any("another frame of reference" in note for note in data.notes)

    def test_a_folder_with_one_segmentation_is_that_segmentation(self, tmp_path: Path) -> None:
        segmentations.write_series(tmp_path / "series")
        (tmp_path / "segs").mkdir()
        sources = segmentations.sources(tmp_path / "series")
        segments = {"marker": segmentations.of_head(1000)}
        segmentations.write_segmentation(tmp_path / "segs" / "a.dcm", sources, segments)
        rows = [{"image": "series", "mask": "segs"}]
        assert {case.target for case in load(tmp_path, rows, labels=None)} == {"marker"}
        segmentations.write_segmentation(tmp_path / "segs" / "b.dcm", sources, segments)
        with pytest.raises(CaseError, match=r"got 2 other objects \(SEG\); name one of the files"):
            load(tmp_path, rows, labels=None)[0]

    def test_a_mask_without_a_place_is_remarked(self, tmp_path: Path) -> None:
        rows = series(tmp_path)
        stored, _ = phantom.stored(VALUES, AFFINE, "LPS")
        import tifffile

        tifffile.imwrite(tmp_path / "m.tif", np.ascontiguousarray(stored.transpose(2, 1, 0)), photometric="minisblack")
        data = load(tmp_path, [{**rows[0], "mask": "m.tif"}])
        assert any("in the order in which they are stored" in note for note in data.notes)


def test_more_frames_than_the_file_can_hold_are_refused_at_once(tmp_path: Path) -> None:
    """A header of a few bytes asked for a thousand million frames, each of which was made."""
    rows = series(tmp_path, lambda dataset, number: setattr(dataset, "NumberOfFrames", 1_000_000_000))
    file = sorted((tmp_path / "series").iterdir())[0]
    data = load(tmp_path, [rows[0] | {"image": f"series/{file.name}"}])
    with pytest.raises(CaseError, match=r"as many frames as its \d+ bytes can hold, got 1000000000"):
        data[0]


class TestDisplayFunctions:
    """A header's window is applied as DICOM PS3.3, C.11.2.1.2 and C.11.2.1.3.1 say, and as pydicom does."""

    @pytest.mark.parametrize("kind", ["MONOCHROME1", "MONOCHROME2"])
    @pytest.mark.parametrize(
        ("function", "center", "width"),
        [
            ("", 40, 400),
            ("LINEAR", 41.5, 2),
            ("LINEAR", 42, 1),
            ("LINEAR_EXACT", 40, 400),
            ("LINEAR_EXACT", 40.25, 0.5),
            ("SIGMOID", 40, 400),
            ("SIGMOID", 10.5, 0.75),
            ("SIGMOID", -900, 1),
        ],
    )
    def test_images_are_those_of_pydicom(
        self, tmp_path: Path, function: str, center: float, width: float, kind: str
    ) -> None:
        from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

        values = np.arange(-1000, 1000, dtype=np.int16).reshape(40, 50)
        fields = {"WindowCenter": center, "WindowWidth": width, "PhotometricInterpretation": kind}
        fields |= {"RescaleSlope": 0.5, "RescaleIntercept": -100, **({"VOILUTFunction": function} if function else {})}
        dataset = phantom.slice_dataset(values, phantom.affine_ras(), 0, **fields)
        dataset.save_as(tmp_path / "a.dcm", enforce_file_format=True)
        np.save(tmp_path / "m.npy", values > 0)
        (tmp_path / "cases.csv").write_text("image,mask,prompt\na.dcm,m.npy,x\n")
        data = load_dataset(tmp_path / "cases.csv")
        shown_by_pydicom = apply_voi_lut(apply_modality_lut(values, dataset), dataset)
        # Black and white of pydicom are the lowest and highest value that the type can hold, rescaled.
        low, high = (bound * 0.5 - 100 for bound in (-32768, 32767))
        unit = (shown_by_pydicom - low) / (high - low)
        want = 1 - unit if kind == "MONOCHROME1" else unit
        np.testing.assert_allclose(data[0].metadata["image_float"], want, atol=1e-6)
        assert np.abs(data[0].image[..., 0] - want * 255).max() <= 0.5001
        assert any(("along a sigmoid" in note) == (function == "SIGMOID") for note in data.notes if "window" in note)

    def test_the_function_of_frames_counts(self) -> None:
        from pydicom.dataset import Dataset

        frame, group, shared = Dataset(), Dataset(), Dataset()
        group.WindowCenter, group.WindowWidth, group.VOILUTFunction = 40, 400, "SIGMOID"
        frame.FrameVOILUTSequence = [group]
        shared.SharedFunctionalGroupsSequence = [frame]
        assert [windows_of(item) for item in frame_display_groups(shared, 3)] == [((-160, 240, True),)]

    @pytest.mark.parametrize(
        "fields",
        [{"VOILUTFunction": "GAMMA"}, {"WindowWidth": 0}, {"WindowWidth": 0.5}, {"WindowCenter": float("nan")}],
    )
    def test_what_the_standard_does_not_know_proposes_nothing(self, fields: dict[str, Any]) -> None:
        from pydicom.dataset import Dataset

        dataset = Dataset()
        for name, value in {"WindowCenter": 40, "WindowWidth": 400, **fields}.items():
            setattr(dataset, name, value)
        assert windows_of(dataset) == ()


class TestMixtures:
    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"PhotometricInterpretation": "MONOCHROME1"}, "found MONOCHROME1 and MONOCHROME2"),
            ({"PhotometricInterpretation": "PALETTE COLOR"}, "found MONOCHROME2 and colours"),
            ({"PixelSpacing": [2.0, 1.6]}, "expected slices of one pixel spacing, found 2 x 1.5, 2 x 1.6 mm"),
        ],
    )
    def test_one_slice_of_another_kind_is_no_slice(self, tmp_path: Path, fields: dict[str, Any], message: str) -> None:
        data = load(tmp_path, series(tmp_path, lambda dataset, n: dataset.update(fields if n == 5 else {})))
        with pytest.raises(CaseError, match=message):
            data[0]

    def test_rounding_makes_no_other_spacing(self, tmp_path: Path, plain: list[Any]) -> None:
        rows = series(tmp_path, lambda dataset, n: dataset.update({"PixelSpacing": [2.0, 1.5 + 1e-4 * (n % 2)]}))
        assert len(load(tmp_path, rows)) == len(plain)

    @pytest.mark.parametrize("number", [None, 4])
    def test_slices_that_nothing_orders_are_refused(self, tmp_path: Path, number: int | None) -> None:
        def change(dataset: Any, n: int) -> None:
            del dataset.ImagePositionPatient
            if n == 5:
                dataset.InstanceNumber = number

        with pytest.raises(CaseError, match="an InstanceNumber of their own, which tell their order"):
            load(tmp_path, series(tmp_path, change))[0]
