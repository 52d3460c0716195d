"""Image and mask files of every common mode."""

from __future__ import annotations

import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PILImage

from robustness.errors import CaseError
from robustness.limits import Limits, limited_to
from robustness.runners.data.decode import read_image
from robustness.runners.data.load import load_dataset
from robustness.runners.data.masks.declaration import MaskDeclaration
from robustness.runners.data.masks.mask_values import read_mask as mask_reading

GRAY = np.arange(0, 240, 10, dtype=np.uint8).reshape(4, 6)


def png_of_sixteen_bits(values: np.ndarray) -> bytes:
    """Return a PNG of two (gray, alpha) or three samples, which Pillow cannot write."""
    height, width, samples = values.shape

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, {2: 4, 3: 2}[samples], 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(name, content) for name, content in parts)


def saved(path: Path, picture: PILImage.Image, **options: object) -> Path:
    picture.save(path, **options)
    return path


class TestImageModes:
    @pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "P", "1", "CMYK", "I;16", "F"])
    def test_every_mode_becomes_uint8_rgb_of_the_same_size(self, tmp_path: Path, mode: str) -> None:
        base = PILImage.fromarray(GRAY)
        if mode == "I;16":
            picture = PILImage.fromarray(GRAY.astype(np.uint16) * 257)
        elif mode == "F":
            picture = PILImage.fromarray(GRAY.astype(np.float32) / 255)
        else:
            picture = base.convert("RGB").convert(mode) if mode == "CMYK" else base.convert(mode)
        decoded = read_image(saved(tmp_path / "a.tif", picture))
        assert decoded.image.shape == (4, 6, 3)
        assert decoded.image.dtype == np.uint8
        if mode != "1":
            np.testing.assert_array_equal(decoded.image, np.repeat(GRAY[..., None], 3, axis=2))

    def test_alpha_is_dropped_and_colours_stay(self, tmp_path: Path) -> None:
        pixels = np.zeros((3, 3, 4), np.uint8)
        pixels[..., :3] = (10, 20, 30)
        decoded = read_image(saved(tmp_path / "a.png", PILImage.fromarray(pixels)))
        assert decoded.image[1, 1].tolist() == [10, 20, 30]
        assert decoded.image_float is None

    def test_a_palette_gives_its_colours(self, tmp_path: Path) -> None:
        picture = PILImage.new("P", (2, 1))
        picture.putpalette([200, 0, 0, 0, 0, 90])
        picture.putpixel((1, 0), 1)
        assert read_image(saved(tmp_path / "a.png", picture)).image.tolist() == [[[200, 0, 0], [0, 0, 90]]]


class TestDeepImages:
    def test_sixteen_bits_are_scaled_by_their_range_and_kept_as_floats(self, tmp_path: Path) -> None:
        values = np.linspace(0, 65535, 60).astype(np.uint16).reshape(6, 10)
        decoded = read_image(saved(tmp_path / "a.png", PILImage.fromarray(values)))
        np.testing.assert_array_equal(decoded.image[..., 0], np.rint(values / 257).astype(np.uint8))
        np.testing.assert_allclose(decoded.image_float, values / 65535, atol=1e-7)
        assert decoded.full_scale == 65535

    def test_twelve_bits_in_sixteen_are_not_black(self, tmp_path: Path) -> None:
        values = np.linspace(0, 4095, 60).astype(np.uint16).reshape(6, 10)
        decoded = read_image(saved(tmp_path / "a.png", PILImage.fromarray(values)))
        assert decoded.image.max() == 255
        assert decoded.full_scale == 4095

    def test_signed_values_are_stretched_from_least_to_most(self, tmp_path: Path) -> None:
        values = np.array([[-1000.0, 0.0, 3000.0]], dtype=np.float32)
        assert read_image(saved(tmp_path / "a.tif", PILImage.fromarray(values))).image[0, :, 0].tolist() == [0, 64, 255]

    def test_a_constant_deep_image_is_black_and_not_an_error(self, tmp_path: Path) -> None:
        values = np.full((2, 2), 7.5, dtype=np.float32)
        assert read_image(saved(tmp_path / "a.tif", PILImage.fromarray(values))).image.max() == 0

    def test_nan_is_a_case_error(self, tmp_path: Path) -> None:
        values = np.array([[np.nan, 1.0]], dtype=np.float32)
        with pytest.raises(CaseError, match="expected finite values"):
            read_image(saved(tmp_path / "a.tif", PILImage.fromarray(values)))

    def test_the_case_keeps_the_float_copy_in_its_metadata(self, tmp_path: Path) -> None:
        values = np.linspace(0, 65535, 60).astype(np.uint16).reshape(6, 10)
        saved(tmp_path / "a.png", PILImage.fromarray(values))
        saved(tmp_path / "m.png", PILImage.fromarray((values > 30000).astype(np.uint8) * 255))
        (tmp_path / "cases.csv").write_text("image,mask,prompt\na.png,m.png,the bright half\n")
        case = load_dataset(tmp_path / "cases.csv")[0]
        np.testing.assert_allclose(case.metadata["image_float"], values / 65535, atol=1e-7)


def read_mask(path: Path) -> np.ndarray:
    return mask_reading(path).mask


class TestMasks:
    @pytest.mark.parametrize("high", [1, 3, 255])
    @pytest.mark.parametrize("mode", ["L", "P"])
    def test_two_values_are_background_and_foreground(self, tmp_path: Path, high: int, mode: str) -> None:
        truth = GRAY > 100
        picture = PILImage.fromarray(truth.astype(np.uint8) * high)
        if mode == "P":
            picture.putpalette([0, 0, 0, *([0, 0, 200] * 255)])
        np.testing.assert_array_equal(read_mask(saved(tmp_path / "m.png", picture)), truth)

    @pytest.mark.parametrize("mode", ["1", "LA", "RGB", "RGBA"])
    def test_colour_and_bit_masks_are_read(self, tmp_path: Path, mode: str) -> None:
        truth = GRAY > 100
        picture = PILImage.fromarray(truth.astype(np.uint8) * 255).convert(mode)
        np.testing.assert_array_equal(read_mask(saved(tmp_path / "m.png", picture)), truth)

    def test_a_mask_in_the_alpha_channel_is_read(self, tmp_path: Path) -> None:
        pixels = np.full((4, 6, 4), 255, np.uint8)
        pixels[..., 3] = np.where(GRAY > 100, 255, 0)
        np.testing.assert_array_equal(read_mask(saved(tmp_path / "m.png", PILImage.fromarray(pixels))), GRAY > 100)

    @pytest.mark.parametrize("deep", [np.uint16, np.float32])
    def test_deep_masks_are_read(self, tmp_path: Path, deep: type) -> None:
        values = (GRAY > 100).astype(deep) * deep(1 if deep is np.float32 else 65535)
        np.testing.assert_array_equal(read_mask(saved(tmp_path / "m.tif", PILImage.fromarray(values))), GRAY > 100)

    def test_a_jpeg_mask_comes_back_as_it_was_drawn(self, tmp_path: Path) -> None:
        truth = np.zeros((64, 64), bool)
        truth[16:48, 24:56] = True
        path = saved(tmp_path / "m.jpg", PILImage.fromarray(truth.astype(np.uint8) * 255), quality=60)
        np.testing.assert_array_equal(read_mask(path), truth)

    def test_jpeg_masks_are_noted(self, tmp_path: Path) -> None:
        saved(tmp_path / "a.png", PILImage.fromarray(GRAY))
        saved(tmp_path / "m.jpg", PILImage.fromarray(GRAY))
        (tmp_path / "cases.csv").write_text("image,mask,prompt\na.png,m.jpg,x\n")
        assert any("JPEG" in note and "50%" in note for note in load_dataset(tmp_path / "cases.csv").notes)


class TestOrientation:
    def turned(self, tmp_path: Path) -> Path:
        exif = PILImage.Exif()
        exif[0x0112] = 6
        saved(tmp_path / "a.png", PILImage.fromarray(GRAY), exif=exif)
        (tmp_path / "cases.csv").write_text("image,mask,prompt\na.png,m.png,x\n")
        return tmp_path / "cases.csv"

    def test_a_picture_is_turned_as_viewers_show_it(self, tmp_path: Path) -> None:
        manifest = self.turned(tmp_path)
        saved(tmp_path / "m.png", PILImage.new("L", (4, 6)))
        np.testing.assert_array_equal(load_dataset(manifest)[0].image[..., 0], np.rot90(GRAY, -1))

    def test_a_mask_that_was_drawn_on_the_stored_pixels_keeps_them(self, tmp_path: Path) -> None:
        manifest = self.turned(tmp_path)
        saved(tmp_path / "m.png", PILImage.new("L", (6, 4)))
        np.testing.assert_array_equal(load_dataset(manifest)[0].image[..., 0], GRAY)


class TestLimits:
    def test_a_huge_picture_is_a_case_error(self, tmp_path: Path) -> None:
        path = saved(tmp_path / "a.png", PILImage.fromarray(GRAY))
        with limited_to(Limits(pixels=20)), pytest.raises(CaseError, match=r"at most 20 pixels, got 6 x 4"):
            read_image(path)

    def test_a_text_file_with_a_picture_name_is_a_case_error(self, tmp_path: Path) -> None:
        (tmp_path / "a.png").write_text("not a picture")
        with pytest.raises(CaseError, match=r"a\.png: expected a readable image file"):
            read_image(tmp_path / "a.png")

    def test_a_missing_folder_is_said(self, tmp_path: Path) -> None:
        with pytest.raises(CaseError, match=r"its folder .* does not exist"):
            read_image(tmp_path / "no" / "a.png")


class TestFilesWhereAFirstLookMisleads:
    def test_white_may_be_zero(self, tmp_path: Path) -> None:
        tifffile = pytest.importorskip("tifffile")
        for deep, top in ((GRAY, 255), (GRAY.astype(np.uint16) * 257, 65535)):
            tifffile.imwrite(tmp_path / "a.tif", top - deep, photometric="miniswhite")
            np.testing.assert_array_equal(read_image(tmp_path / "a.tif").image[..., 0], GRAY)

    @pytest.mark.parametrize(("factor", "refused"), [(16, True), (257, False)])
    def test_colours_of_sixteen_bits_that_use_twelve_are_refused(
        self, tmp_path: Path, factor: int, refused: bool
    ) -> None:
        """Pillow keeps the upper eight bits: twelve bits were shown as values up to 15."""
        tifffile = pytest.importorskip("tifffile")
        colors = np.stack([GRAY, GRAY // 2, GRAY // 3], axis=-1)
        tifffile.imwrite(tmp_path / "a.tif", colors.astype(np.uint16) * factor, photometric="rgb")
        if not refused:
            np.testing.assert_array_equal(read_image(tmp_path / "a.tif").image, colors)
            return
        with pytest.raises(CaseError, match="below 4096, which would be shown nearly black"):
            read_image(tmp_path / "a.tif")

    def test_planes_of_sixteen_bits_are_refused(self, tmp_path: Path) -> None:
        """Pillow mixes them up: the colours of a set were other ones."""
        tifffile = pytest.importorskip("tifffile")
        colors = np.stack([GRAY, 255 - GRAY, GRAY // 3])
        options = {"photometric": "rgb", "planarconfig": "separate"}
        tifffile.imwrite(tmp_path / "a.tif", colors, **options)
        np.testing.assert_array_equal(read_image(tmp_path / "a.tif").image, np.moveaxis(colors, 0, -1))
        tifffile.imwrite(tmp_path / "a.tif", colors.astype(np.uint16) * 257, **options)
        with pytest.raises(CaseError, match="whose channels lie together, got planes one after the other"):
            read_image(tmp_path / "a.tif")
        with pytest.raises(CaseError, match="got planes one after the other; save the mask with 8 bits"):
            mask_reading(tmp_path / "a.tif")

    @pytest.mark.parametrize("kind", ["rgb.tif", "rgb.png", "gray and alpha.png"])
    @pytest.mark.parametrize("top", [1, 255, 4095, 65535])
    def test_masks_in_colours_of_sixteen_bits_are_no_empty_ones(self, tmp_path: Path, kind: str, top: int) -> None:
        """0 and 1 were 0 alone: Pillow keeps the upper byte."""
        values = np.where(GRAY > 100, top, 0).astype(np.uint16)
        path = tmp_path / kind
        if kind.endswith("tif"):
            pytest.importorskip("tifffile").imwrite(path, np.stack([values] * 3, axis=-1), photometric="rgb")
        else:
            samples = [values] * 3 if kind.startswith("rgb") else [values, np.full_like(values, 65535)]
            path.write_bytes(png_of_sixteen_bits(np.stack(samples, axis=-1)))
        if top == 65535:
            np.testing.assert_array_equal(mask_reading(path).mask, GRAY > 100)
            return
        with pytest.raises(
            CaseError, match=r"values below 4096, .*; save the mask with 8 bits, or as one gray channel"
        ):
            mask_reading(path)

    @pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
    def test_white_may_be_zero_in_masks(self, tmp_path: Path, kind: type) -> None:
        """One of 16 bits was read inverted."""
        tifffile = pytest.importorskip("tifffile")
        top = 1.0 if kind is np.float32 else float(np.iinfo(kind).max)
        tifffile.imwrite(tmp_path / "m.tif", np.where(GRAY > 100, 0, top).astype(kind), photometric="miniswhite")
        if kind is np.float32:
            with pytest.raises(CaseError, match="expected a TIFF whose black is zero"):
                mask_reading(tmp_path / "m.tif")
            return
        np.testing.assert_array_equal(mask_reading(tmp_path / "m.tif").mask, GRAY > 100)

    @pytest.mark.parametrize("kind", [np.uint8, np.uint16])
    def test_a_mask_of_imagej_with_an_inverted_table_is_refused(self, tmp_path: Path, kind: type) -> None:
        """What is selected is 255 there and looks black; see findings/white_is_zero_masks_of_four_readers.sh."""
        tifffile = pytest.importorskip("tifffile")
        values = np.where(GRAY > 100, np.iinfo(kind).max, 0).astype(kind)
        tifffile.imwrite(tmp_path / "m.tif", values, photometric="minisblack", imagej=True)
        np.testing.assert_array_equal(mask_reading(tmp_path / "m.tif").mask, GRAY > 100)
        tifffile.imwrite(tmp_path / "m.tif", values, photometric="miniswhite", imagej=True)
        with pytest.raises(CaseError, match="expected a TIFF whose black is zero, got one of ImageJ with an inverted"):
            mask_reading(tmp_path / "m.tif")
        assert read_image(tmp_path / "m.tif").image.shape == (*GRAY.shape, 3)

    @pytest.mark.parametrize("kind", [np.float16, np.float64, "five channels"])
    def test_a_tiff_that_is_not_read_is_no_unknown_format(self, tmp_path: Path, kind: object) -> None:
        tifffile = pytest.importorskip("tifffile")
        values = np.stack([GRAY] * 5, axis=-1) if kind == "five channels" else GRAY.astype(kind)
        tifffile.imwrite(tmp_path / "a.tif", values, photometric="minisblack", planarconfig="contig")
        with pytest.raises(CaseError, match=r"a TIFF of a kind that is not read .* save it with 8 or 16 bits"):
            read_image(tmp_path / "a.tif")

    def test_signed_values_of_eight_bits_are_refused(self, tmp_path: Path) -> None:
        tifffile = pytest.importorskip("tifffile")
        tifffile.imwrite(tmp_path / "a.tif", GRAY.astype(np.int8) - 5)
        with pytest.raises(CaseError, match="signed type; save it with 16 bits"):
            read_image(tmp_path / "a.tif")


TRUTH = GRAY > 100
SIZE = TRUTH.shape


def array_set(folder: Path, image: np.ndarray, **arrays: np.ndarray) -> Path:
    np.savez_compressed(folder / "a.npz", image=image, **arrays)
    (folder / "cases.csv").write_text("image,mask,prompt,case_id\na.npz,a.npz,x,a\n")
    return folder / "cases.csv"


class TestArrays:
    """``.npy`` and ``.npz`` are read as other formats are, and nothing of them is executed."""

    @pytest.mark.parametrize("dtype", [bool, np.uint8, np.int16, np.uint16, np.int64, ">i4", np.float16, np.float64])
    def test_masks_of_every_type_are_read(self, tmp_path: Path, dtype: str) -> None:
        np.save(tmp_path / "m.npy", np.asfortranarray(TRUTH.astype(dtype)))
        np.testing.assert_array_equal(read_mask(tmp_path / "m.npy"), TRUTH)

    def test_images_are_gray_or_colours_and_deep_ones_follow_the_set(self, tmp_path: Path) -> None:
        colors = np.stack([GRAY, GRAY // 2, GRAY // 3], axis=-1)
        for name, array in {"gray": GRAY[None], "rgb": colors, "rgba": np.dstack([colors, GRAY])}.items():
            np.save(tmp_path / f"{name}.npy", array)
            want = np.repeat(GRAY[..., None], 3, axis=2) if name == "gray" else colors
            np.testing.assert_array_equal(read_image(tmp_path / f"{name}.npy").image, want)
        case = load_dataset(array_set(tmp_path, GRAY.astype(np.int16) - 1000, mask=TRUTH), window=[-1000, -770])[0]
        np.testing.assert_array_equal(case.mask, TRUTH)
        np.testing.assert_array_equal(case.image[..., 0], np.rint(GRAY / 230 * 255).astype(np.uint8))
        np.testing.assert_allclose(case.metadata["image_float"], GRAY / 230, atol=1e-6)

    @pytest.mark.parametrize("first", [True, False])
    def test_channels_are_classes_that_must_be_declared(self, tmp_path: Path, first: bool) -> None:
        channels = np.stack([~TRUTH, TRUTH, TRUTH & (GRAY < 150)], axis=0 if first else -1).astype(np.uint8)
        np.save(tmp_path / "m.npy", channels)
        declared = MaskDeclaration(kind="channel", channel=1, name="polyp")
        got = mask_reading(tmp_path / "m.npy", declaration=declared, size=SIZE).mask
        np.testing.assert_array_equal(got, TRUTH)
        with pytest.raises(CaseError, match="3 channels that are no colours"):
            mask_reading(tmp_path / "m.npy", size=SIZE)

    def test_a_label_map_of_an_archive_needs_labels_as_any_other(self, tmp_path: Path) -> None:
        labels = TRUTH * 1 + (GRAY > 150) * 1.0
        table = array_set(tmp_path, GRAY, label=labels)
        with pytest.raises(CaseError, match="the values 0, 1, 2"):
            _ = load_dataset(table)[0]
        table.write_text("image,mask,prompt,mask_label,mask_key,case_id\na.npz,a.npz,x,2,label,a\n")
        np.testing.assert_array_equal(load_dataset(table)[0].mask, GRAY > 150)

    def test_a_small_label_beside_a_larger_one_is_no_soft_edge(self, tmp_path: Path) -> None:
        """Types without a white of their own: the file's highest label was taken for white, the others for its edge."""
        values = np.zeros((12, 12), np.int32)
        values[3:9, 3:9], values[3:9, 2] = 2, 1
        PILImage.fromarray(values).save(tmp_path / "i.tif")
        PILImage.fromarray(values.astype(np.float32)).save(tmp_path / "f.tif")
        np.save(tmp_path / "a.npy", values)
        for name in ("i.tif", "f.tif", "a.npy"):
            with pytest.raises(CaseError, match="the values 0, 1, 2"):
                read_mask(tmp_path / name)

    @pytest.mark.parametrize(
        ("arrays", "key", "message"),
        [
            ({"a": TRUTH, "b": TRUTH}, "", "expected one array, or one called mask or masks or label, got a, b"),
            ({"mask": TRUTH, "label": TRUTH}, "", "got mask, label; state mask_key"),
            ({"image": GRAY}, "", "got image; state mask_key"),
            ({"a": TRUTH}, "b", "expected an array 'b', got a"),
            ({"a": np.full(SIZE, np.nan)}, "", "NaN or infinity"),
            ({"a": TRUTH.astype(complex)}, "", "plain numbers or booleans, got values of type complex128"),
            ({"a": np.array([["x"]])}, "", "plain numbers or booleans"),
            ({"a": np.array([[{}]])}, "", r"Python objects \(a pickle\), which are never read"),
            ({"a": TRUTH[0]}, "", r"expected an array \(H, W\)"),
            ({"a": TRUTH[:0]}, "", r"expected an array \(H, W\) of at most .* got the shape \(0, 6\)"),
            ({"a": -TRUTH.astype(int)}, "", "the values -1, 0"),
            ({"a": np.full(SIZE, -1)}, "", "the values -1"),
        ],
    )
    def test_what_is_no_mask_is_one_line(
        self, tmp_path: Path, arrays: dict[str, np.ndarray], key: str, message: str
    ) -> None:
        np.savez(tmp_path / "m.npz", **arrays)
        with pytest.raises(CaseError, match=message):
            mask_reading(tmp_path / "m.npz", key=key)

    def test_heads_that_lie_and_files_of_another_kind_are_one_line(self, tmp_path: Path) -> None:
        np.save(tmp_path / "m.npy", TRUTH)
        content = (tmp_path / "m.npy").read_bytes()
        with zipfile.ZipFile(tmp_path / "z.npz", "w") as archive:
            archive.writestr("mask.npy", content[:-3])
        damaged = {
            "cut.npy": content[:-3],
            "vast.npy": content.replace(b"(4, 6), }    ", b"(99999, 9), }"),
            "text.npy": b"no array",
            "png.npz": b"\x89PNG",
            "z.npz": (tmp_path / "z.npz").read_bytes(),
        }
        for name, held in damaged.items():
            (tmp_path / name).write_bytes(held)
            with pytest.raises(CaseError, match="expected a readable array"):
                read_mask(tmp_path / name)

    @pytest.mark.parametrize("shape", [(3, 4, 6), (5, 4, 6), (2, 3, 4, 6)])
    def test_volumes_and_channels_first_are_no_images(self, tmp_path: Path, shape: tuple[int, ...]) -> None:
        np.save(tmp_path / "a.npy", np.zeros(shape, np.uint8))
        cure = "channels last" if shape == (3, 4, 6) else "save a volume as NIfTI"
        with pytest.raises(CaseError, match=cure):
            read_image(tmp_path / "a.npy")

    def test_transposed_masks_and_other_sizes_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(CaseError, match="expected the size of its image"):
            _ = load_dataset(array_set(tmp_path, GRAY, mask=TRUTH.T))[0]


class TestAlpha:
    """A mask may lie in the alpha channel; what alpha hides is no empty mask."""

    def pixels(self, tmp_path: Path, colour: np.ndarray, alpha: np.ndarray) -> Path:
        rgba = np.zeros((*SIZE, 4), np.uint8)
        rgba[..., :3], rgba[..., 3] = colour[..., None] if colour.ndim == 2 else colour, alpha
        return saved(tmp_path / "m.png", PILImage.fromarray(rgba))

    def test_a_black_shape_on_nothing_is_the_mask(self, tmp_path: Path) -> None:
        np.testing.assert_array_equal(read_mask(self.pixels(tmp_path, np.zeros(SIZE), TRUTH * 255)), TRUTH)
        gray = PILImage.fromarray(np.dstack([np.zeros(SIZE, np.uint8), TRUTH.astype(np.uint8) * 255]))
        np.testing.assert_array_equal(read_mask(saved(tmp_path / "la.png", gray)), TRUTH)

    @pytest.mark.parametrize("top", [1, 255])
    def test_one_hot_channels_are_no_empty_mask(self, tmp_path: Path, top: int) -> None:
        one_hot = np.stack([~TRUTH, TRUTH & (GRAY < 150), TRUTH & False], axis=-1).astype(np.uint8) * top
        path = self.pixels(tmp_path, one_hot, (GRAY >= 150) * np.uint8(top))
        with pytest.raises(CaseError, match="4 channels that are no colours to be seen"):
            read_mask(path)
        declared = MaskDeclaration(kind="channel", channel=3, name="polyp")
        np.testing.assert_array_equal(mask_reading(path, declaration=declared).mask, GRAY >= 150)

    def test_colours_whose_alpha_was_never_set_are_no_empty_mask(self, tmp_path: Path) -> None:
        with pytest.raises(CaseError, match="no colours to be seen"):
            read_mask(self.pixels(tmp_path, TRUTH * np.uint8(255), np.zeros(SIZE)))

    def test_nothing_at_all_is_empty(self, tmp_path: Path) -> None:
        for alpha in (0, 255):
            assert not read_mask(self.pixels(tmp_path, np.zeros(SIZE), np.full(SIZE, alpha))).any()

    def test_a_label_whose_palette_index_is_transparent_stays_a_label(self, tmp_path: Path) -> None:
        labels = (TRUTH * 1 + (GRAY > 150)).astype(np.uint8)
        picture = PILImage.frombytes("P", SIZE[::-1], labels.tobytes())
        picture.putpalette([0, 0, 0, 200, 0, 0, 0, 200, 0])
        path = saved(tmp_path / "m.png", picture, transparency=2)
        declared = MaskDeclaration(kind="labels", values=(2,), table_values=(1, 2))
        np.testing.assert_array_equal(mask_reading(path, declaration=declared).mask, GRAY > 150)


class TestSoftMasks:
    """What a share of 1 is stored as never follows from one file's own maximum."""

    @pytest.mark.parametrize("kind", ["soft", "channel"])
    def test_types_without_a_white_need_the_full_scale(self, tmp_path: Path, kind: str) -> None:
        faint = np.where(TRUTH, 40, 3)
        np.save(tmp_path / "m.npy", faint if kind == "soft" else np.stack([faint, faint + 1], axis=-1))
        declared = MaskDeclaration(kind=kind, channel=0 if kind == "channel" else None)
        with pytest.raises(CaseError, match=r"int64 up to 4[01]; state masks\.full_scale"):
            mask_reading(tmp_path / "m.npy", declaration=declared, size=SIZE)
        stated = MaskDeclaration(kind=kind, channel=declared.channel, full_scale=255)
        assert not mask_reading(tmp_path / "m.npy", declaration=stated, size=SIZE).mask.any()
