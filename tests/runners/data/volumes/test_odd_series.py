"""DICOM folders and segmentations as hospitals have them: read as they are meant, or refused in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robustness.errors import CaseError
from robustness.runners.data.dataset import Dataset
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
        assert any("stored values 0 to 1000" in note for note in data.notes)
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


def by_the_standard(values: np.ndarray, first: int, entries: list[int], bits: int) -> np.ndarray:
    """Return shades of 0 to 1, value by value as DICOM PS3.3, C.11.2.1.1 says."""
    last = first + len(entries) - 1
    shown = [entries[0] if v <= first else entries[-1] if v >= last else entries[v - first] for v in values.ravel()]
    return np.array(shown).reshape(values.shape) / (2**bits - 1)


def table(count: int, first: int, bits: int, *, vr: str = "US", packed: bool = False, data: str = "OW") -> Any:
    """Return an item of a VOI LUT Sequence and its entries, which are no straight line."""
    from pydicom.dataset import Dataset

    top = 2**bits - 1
    entries = [round(top * (number / (count - 1)) ** 0.5) for number in range(count)]
    item = Dataset()
    item.add_new("LUTDescriptor", vr, [count % 65536, first, bits])
    words = np.array(entries, dtype="u1" if packed else "<u2").tobytes()
    item.add_new("LUTData", data, words if data == "OW" else entries)
    return item, entries


class TestTables:
    """A header's table (VOI LUT Sequence) is applied as DICOM PS3.3, C.11.2.1.1 says; pydicom 3.0.2 wraps 8 bits."""

    def opened(self, folder: Path, values: np.ndarray, change: Any = None, **fields: Any) -> Dataset:
        import pydicom

        dataset = phantom.slice_dataset(values, phantom.affine_ras(), 0, PixelRepresentation=int(values.min() < 0))
        for name, value in fields.items():
            setattr(dataset, name, value)
        if change:
            change(dataset)
        implicit = dataset.file_meta.TransferSyntaxUID == pydicom.uid.ImplicitVRLittleEndian
        dataset.save_as(folder / "a.dcm", enforce_file_format=True, implicit_vr=implicit, little_endian=True)
        np.save(folder / "m.npy", np.arange(values.size).reshape(values.shape) > values.size // 2)
        (folder / "cases.csv").write_text("image,mask,prompt\na.dcm,m.npy,x\n")
        return load_dataset(folder / "cases.csv")

    @pytest.mark.parametrize("kind", ["MONOCHROME1", "MONOCHROME2"])
    @pytest.mark.parametrize(
        ("count", "first", "bits", "storage"),
        [
            (256, 0, 8, {}),
            (256, 1000, 8, {"packed": True}),
            (4096, 0, 8, {}),
            (1023, 512, 8, {"data": "US"}),
            (4096, 0, 16, {}),
            (65536, 0, 16, {}),
            (1000, 40000, 16, {}),
            (300, 100, 12, {"data": "US"}),
        ],
    )
    def test_unsigned_values_are_shown_as_the_standard_says(
        self, tmp_path: Path, count: int, first: int, bits: int, storage: dict[str, Any], kind: str
    ) -> None:
        values = np.concatenate([np.arange(3000), np.arange(39000, 41990), np.full(10, 65535)]).astype(np.uint16)
        item, entries = table(count, first, bits, **storage)
        data = self.opened(tmp_path, values.reshape(60, 100), VOILUTSequence=[item], PhotometricInterpretation=kind)
        shown = by_the_standard(values.reshape(60, 100).astype(int), first, entries, bits)
        want = 1 - shown if kind == "MONOCHROME1" else shown
        np.testing.assert_allclose(data[0].metadata["image_float"], want, atol=1e-6)
        assert any("the table (VOI LUT) of every header" in note for note in data.notes)

    @pytest.mark.parametrize("syntax", ["ExplicitVRLittleEndian", "ImplicitVRLittleEndian"])
    @pytest.mark.parametrize(
        ("signed", "slope", "intercept", "first"),
        [
            (True, None, None, -700),
            (False, 1, -1024, -700),
            (True, 1, 32768, 40000),
            (False, 0.5, -100, -90),
            (True, -1, 0, -700),
        ],
    )
    def test_the_first_value_is_signed_where_values_may_be(
        self, tmp_path: Path, signed: bool, slope: float | None, intercept: float | None, first: int, syntax: str
    ) -> None:
        import pydicom

        values = (np.arange(6000).reshape(60, 100) * 5 - (15000 if signed else 0)).astype("<i2")
        vr = "US" if first > 0 else "SS"
        item, entries = table(1000, first, 16, vr=vr)

        def change(dataset: Any) -> None:
            dataset.file_meta.TransferSyntaxUID = getattr(pydicom.uid, syntax)
            dataset.VOILUTSequence = [item]
            dataset.PixelRepresentation = int(signed)
            if slope is not None:
                dataset.RescaleSlope, dataset.RescaleIntercept = slope, intercept

        data = self.opened(tmp_path, values, change)
        rescaled = np.rint(values.astype(float) * (slope or 1.0) + (intercept or 0)).astype(int)
        np.testing.assert_allclose(
            data[0].metadata["image_float"], by_the_standard(rescaled, first, entries, 16), atol=1e-6
        )

    def test_the_first_of_several_tables_goes_before_windows(self, tmp_path: Path) -> None:
        values = np.arange(6000, dtype=np.int16).reshape(60, 100)
        (one, entries), (other, _) = table(2000, 0, 16), table(4000, 100, 8)
        fields = {"WindowCenter": 40, "WindowWidth": 400}
        data = self.opened(tmp_path, values, VOILUTSequence=[one, other], **fields)
        np.testing.assert_allclose(data[0].metadata["image_float"], by_the_standard(values, 0, entries, 16), atol=1e-6)
        assert any("every header, the first of 3 alternatives" in note for note in data.notes)

    def test_a_stated_window_goes_before_tables(self, tmp_path: Path) -> None:
        values = np.arange(6000, dtype=np.int16).reshape(60, 100)
        self.opened(tmp_path, values, VOILUTSequence=[table(2000, 0, 16)[0]])
        data = load_dataset(tmp_path / "cases.csv", window=[0, 6000])
        np.testing.assert_allclose(data[0].metadata["image_float"], values / 6000, atol=1e-6)

    @pytest.mark.parametrize(
        ("change", "remark"),
        [
            (lambda item: item.add_new("LUTDescriptor", "US", [5000, 0, 16]), "expected 5000 entries"),
            (
                lambda item: item.add_new("LUTDescriptor", "US", [2000, 0, 32]),
                "expected entries of 8 to 16 bits, got 32",
            ),
            (
                lambda item: item.add_new("LUTDescriptor", "US", [2000, 0, 8]),
                "expected entries below 256, as its 8 bits",
            ),
            (lambda item: item.pop("LUTDescriptor"), "expected the three numbers of LUT Descriptor, got 0"),
            (lambda item: item.pop("LUTData"), "expected 2000 entries, as LUT Descriptor states, got 0"),
        ],
    )
    def test_a_broken_table_is_remarked_and_the_window_counts(self, tmp_path: Path, change: Any, remark: str) -> None:
        values = np.arange(6000, dtype=np.int16).reshape(60, 100)
        item, _ = table(2000, 0, 16)
        change(item)
        data = self.opened(tmp_path, values, VOILUTSequence=[item], WindowCenter=3000.5, WindowWidth=6001)
        np.testing.assert_allclose(data[0].metadata["image_float"], values / 6000, atol=1e-6)
        assert any(remark in note for note in data.notes), data.notes

    def test_sixteen_bits_stated_for_entries_of_twelve_are_not_nearly_black(self, tmp_path: Path) -> None:
        values = np.arange(6000, dtype=np.int16).reshape(60, 100)
        item, entries = table(4096, 0, 12)
        item.LUTDescriptor = [4096, 0, 16]
        data = self.opened(tmp_path, values, VOILUTSequence=[item])
        np.testing.assert_allclose(data[0].metadata["image_float"], by_the_standard(values, 0, entries, 12), atol=1e-6)
        assert any("states 16 bits, but fills 12" in note for note in data.notes)

    @pytest.mark.parametrize(
        ("kind", "shape", "contradicts"),
        [
            ("MONOCHROME1", "INVERSE", False),
            ("MONOCHROME2", "IDENTITY", False),
            ("MONOCHROME1", "IDENTITY", True),
            ("MONOCHROME2", "INVERSE", True),
        ],
    )
    def test_a_presentation_shape_never_turns_twice(
        self, tmp_path: Path, kind: str, shape: str, contradicts: bool
    ) -> None:
        values = np.arange(6000, dtype=np.int16).reshape(60, 100)
        fields = {"WindowCenter": 3000.5, "WindowWidth": 6001, "PresentationLUTShape": shape}
        data = self.opened(tmp_path, values, PhotometricInterpretation=kind, **fields)
        want = 1 - values / 6000 if kind == "MONOCHROME1" else values / 6000
        np.testing.assert_allclose(data[0].metadata["image_float"], want, atol=1e-6)
        assert any("contradict each other" in note for note in data.notes) == contradicts

    def test_a_modality_table_comes_first(self, tmp_path: Path) -> None:
        """Its first value is signed as pixels are, and a table of 8-bit pixels may have any length."""
        values = np.tile(np.arange(-128, 127, dtype=np.int8), (60, 1))
        modality, middle = table(200, -100, 16, vr="SS")
        voi, entries = table(60000, 5000, 8)

        def change(dataset: Any) -> None:
            dataset.BitsAllocated = dataset.BitsStored = 8
            dataset.HighBit = 7
            dataset.add_new("PixelData", "OB", values.tobytes() + bytes(values.size % 2))
            dataset.ModalityLUTSequence, dataset.VOILUTSequence = [modality], [voi]

        data = self.opened(tmp_path, values, change)
        after = np.rint(by_the_standard(values.astype(int), -100, middle, 16) * 65535).astype(int)
        np.testing.assert_allclose(data[0].metadata["image_float"], by_the_standard(after, 5000, entries, 8), atol=1e-6)

    def test_each_header_may_count_for_itself(self, tmp_path: Path) -> None:
        values = np.arange(6000, dtype=np.int16).reshape(60, 100)
        wanted = []
        for number, (count, bits) in enumerate([(2000, 16), (500, 8)]):
            item, entries = table(count, 0, bits)
            phantom.slice_dataset(values, phantom.affine_ras(), 0, VOILUTSequence=[item]).save_as(
                tmp_path / f"{number}.dcm", enforce_file_format=True
            )
            wanted.append(by_the_standard(values, 0, entries, bits))
        phantom.slice_dataset(values, phantom.affine_ras(), 0).save_as(tmp_path / "2.dcm", enforce_file_format=True)
        np.save(tmp_path / "m.npy", values > 100)
        (tmp_path / "cases.csv").write_text(
            "image,mask,prompt,case_id\n" + "".join(f"{n}.dcm,m.npy,x,{n}\n" for n in range(3))
        )
        data = load_dataset(tmp_path / "cases.csv", window="each header")
        for case, want in zip((data[0], data[1]), wanted, strict=True):
            np.testing.assert_allclose(case.metadata["image_float"], want, atol=1e-6)
        assert any("as its own header proposes" in note for note in data.notes)
        with pytest.raises(CaseError, match=r"expected a window or table \(VOI LUT\)"):
            data[2]
        assert any("quantiles" in note for note in load_dataset(tmp_path / "cases.csv").notes)

    def test_a_table_of_the_frames_counts_and_long_ones_are_read(self, tmp_path: Path) -> None:
        from pydicom.dataset import Dataset as Tags

        values = np.arange(6000, dtype=np.int16).reshape(60, 100)
        item, entries = table(65536, -32768, 16, vr="SS")
        frame, shared = Tags(), Tags()
        frame.VOILUTSequence = [item]
        shared.FrameVOILUTSequence = [frame]
        data = self.opened(tmp_path, values - 3000, SharedFunctionalGroupsSequence=[shared])
        np.testing.assert_allclose(
            data[0].metadata["image_float"], by_the_standard(values.astype(int) - 3000, -32768, entries, 16), atol=1e-6
        )
