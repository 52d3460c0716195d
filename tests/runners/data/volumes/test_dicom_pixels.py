"""Pixels of DICOM files become shades as the standard says: tables, palettes, colours, padding, polarity."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robustness.errors import CaseError
from robustness.runners.data.dataset import Dataset
from robustness.runners.data.load import load_dataset
from tests.runners.data.volumes import phantom
from tests.runners.data.volumes.phantom import load, series

for library in ("nibabel", "pydicom"):
    pytest.importorskip(library)

# pydicom warns of made-up identifiers.
pytestmark = pytest.mark.filterwarnings("ignore")


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


def one_image(folder: Path, dataset: Any, **options: Any) -> Dataset:
    """Write a data set as the only image of a table whose mask is the left half, and open it."""
    dataset.save_as(folder / "a.dcm", enforce_file_format=True)
    np.save(folder / "m.npy", np.tile(np.arange(dataset.Columns) < dataset.Columns // 2, (dataset.Rows, 1)))
    (folder / "cases.csv").write_text("image,mask,prompt\na.dcm,m.npy,x\n")
    return load_dataset(folder / "cases.csv", **options)


GRAY = (np.arange(40)[:, None] * 5 + np.arange(50)).astype(np.uint8)
COLORS = np.stack([GRAY, 255 - GRAY, GRAY // 2], axis=-1)


def pixels_of(values: np.ndarray, kind: str, *, bits: int | None = None) -> Any:
    """Return a data set with unsigned values of 8 or 16 bits, gray or of three samples."""
    dataset = phantom.slice_dataset(np.zeros(values.shape[:2], dtype=np.int16), phantom.affine_ras(), 0)
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = (3 if values.ndim == 3 else 1), kind
    dataset.BitsAllocated = 8 * values.dtype.itemsize
    dataset.BitsStored = bits or dataset.BitsAllocated
    dataset.HighBit, dataset.PixelRepresentation = dataset.BitsStored - 1, 0
    if values.ndim == 3:
        dataset.PlanarConfiguration = 0
    dataset.add_new("PixelData", "OW" if values.dtype.itemsize > 1 else "OB", values.tobytes())
    return dataset


class TestPixels:
    @pytest.mark.parametrize("bits", [8, 10, 12, 16])
    @pytest.mark.parametrize("apart", [False, True])
    def test_colours_of_every_depth_are_shown_as_bright_as_they_are(
        self, tmp_path: Path, bits: int, apart: bool
    ) -> None:
        deep = np.rint(COLORS * ((2**bits - 1) / 255)).astype(np.uint8 if bits == 8 else np.uint16)
        dataset = pixels_of(deep, "RGB", bits=bits)
        if apart:
            dataset.PlanarConfiguration = 1
            dataset.PixelData = np.ascontiguousarray(deep.transpose(2, 0, 1)).tobytes()
        assert np.abs(one_image(tmp_path, dataset)[0].image.astype(int) - COLORS).max() <= 1

    @pytest.mark.parametrize(("bits", "words"), [(8, False), (8, True), (16, True)])
    @pytest.mark.parametrize("first", [0, 10])
    def test_palettes_lie_in_bytes_or_in_words(self, tmp_path: Path, bits: int, words: bool, first: int) -> None:
        dataset = pixels_of(GRAY, "PALETTE COLOR")
        number = np.arange(256)
        for color, entries in (("Red", number), ("Green", 255 - number), ("Blue", number // 2)):
            data = (entries * (257 if bits == 16 else 1)).astype("<u2" if words else "u1")
            dataset.add_new(f"{color}PaletteColorLookupTableDescriptor", "US", [256, first, bits])
            dataset.add_new(f"{color}PaletteColorLookupTableData", "OW", data.tobytes())
        seen = np.maximum(GRAY.astype(int) - first, 0)
        want = np.stack([seen, 255 - seen, seen // 2], axis=-1)
        np.testing.assert_array_equal(one_image(tmp_path, dataset)[0].image, want)

    def test_a_deflated_file_is_read(self, tmp_path: Path) -> None:
        import pydicom

        dataset = pixels_of(GRAY, "MONOCHROME2")
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
        data = one_image(tmp_path, dataset, window=[0, 255])
        np.testing.assert_array_equal(data[0].image[..., 0], GRAY)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda d: setattr(d, "PixelData", d.PixelData[:-500]), "states, got one of at most .*; is it complete"),
            (lambda d: d.update({"RescaleSlope": 0, "RescaleIntercept": 5}), "expected a RescaleSlope other than 0"),
        ],
    )
    def test_what_shows_nothing_is_refused(self, tmp_path: Path, change: Any, message: str) -> None:
        dataset = pixels_of(GRAY, "MONOCHROME2")
        change(dataset)
        with pytest.raises(CaseError, match=message):
            one_image(tmp_path, dataset)[0]

    @pytest.mark.parametrize("kind", ["HSV", "ARGB", "CMYK", "YBR_PARTIAL_422", "MONOCHROME2"])
    def test_colours_that_are_no_rgb_are_refused(self, tmp_path: Path, kind: str) -> None:
        with pytest.raises(CaseError, match=f"got 3 of {kind}; convert it to RGB"):
            one_image(tmp_path, pixels_of(COLORS, kind))[0]


class TestPaddingOfSlices:
    """What stands for no measurement is black, whatever slope or value each slice has of its own."""

    def shown(self, folder: Path, change: Any, **fields: Any) -> Dataset:
        return load(folder, series(folder, change, **fields), window=[-2000, 1000])

    def test_slopes_of_their_own(self, tmp_path: Path) -> None:
        def change(dataset: Any, number: int) -> None:
            values = (dataset.pixel_array / (1 + number % 2)).astype("<i2")
            values[:3] = 77
            dataset.PixelData = values.tobytes()
            dataset.RescaleSlope, dataset.RescaleIntercept = 1 + number % 2, 0
            dataset.add_new("PixelPaddingValue", "SS", 77)

        for case in self.shown(tmp_path, change):
            assert not case.image[:3].any()
            assert (case.image[4:, 0] == 170).all()

    def test_values_of_their_own_in_an_inverted_image(self, tmp_path: Path) -> None:
        def change(dataset: Any, number: int) -> None:
            values = dataset.pixel_array.copy()
            values[:3] = -1000 - number
            dataset.PixelData = values.astype("<i2").tobytes()
            dataset.add_new("PixelPaddingValue", "SS", -1000 - number)

        for case in self.shown(tmp_path, change, PhotometricInterpretation="MONOCHROME1"):
            assert not case.image[:3].any()
            assert (case.image[4:, 0] == 85).all()

    def test_a_value_of_the_other_sign_is_the_one_that_was_meant(self, tmp_path: Path) -> None:
        def change(dataset: Any, number: int) -> None:
            values = dataset.pixel_array.copy()
            values[:3] = -1500
            dataset.PixelData = values.astype("<i2").tobytes()
            dataset.add_new("PixelPaddingValue", "US", 65536 - 1500)

        assert not self.shown(tmp_path, change)[0].image[:3].any()

    def test_one_behind_a_modality_table(self, tmp_path: Path) -> None:
        item = table(1001, 0, 16)[0]

        def change(dataset: Any, number: int) -> None:
            values = dataset.pixel_array.copy()
            values[:3] = 999
            dataset.PixelData = values.astype("<i2").tobytes()
            dataset.ModalityLUTSequence = [item]
            dataset.add_new("PixelPaddingValue", "SS", 999)

        data = load(tmp_path, series(tmp_path, change), window=[0, 65535])
        case = next(case for case in data if case.target == "marker")
        assert not case.image[:3].any()
        assert (case.image[..., 0][case.mask] == 255).all()
