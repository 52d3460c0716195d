"""Image and mask files of every common mode."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PILImage

from robustness.errors import CaseError
from robustness.limits import Limits, limited_to
from robustness.runners.data.decode import read_image
from robustness.runners.data.load import load_dataset
from robustness.runners.data.masks.mask_values import read_mask as mask_reading

GRAY = np.arange(0, 240, 10, dtype=np.uint8).reshape(4, 6)


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

    def test_signed_values_of_eight_bits_are_refused(self, tmp_path: Path) -> None:
        tifffile = pytest.importorskip("tifffile")
        tifffile.imwrite(tmp_path / "a.tif", GRAY.astype(np.int8) - 5)
        with pytest.raises(CaseError, match="signed type; save it with 16 bits"):
            read_image(tmp_path / "a.tif")
