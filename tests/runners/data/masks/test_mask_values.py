"""Mask files to arrays: what is declared is done, what is clear is stated, what is doubtful is refused."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from robustness.errors import CaseError, InputError
from robustness.runners.data.masks.declaration import MaskDeclaration
from robustness.runners.data.masks.mask_values import read_mask

DISK = (np.hypot(*np.mgrid[-32:32, -32:32]) < 20).astype(np.uint8)
CLASSES = np.zeros((64, 64), np.uint8)
CLASSES[5:25, 5:25], CLASSES[30:50, 5:25], CLASSES[30:50, 30:50] = 1, 2, 3


@pytest.fixture
def save(tmp_path):
    def write(pixels, suffix=".png", **options):
        path = tmp_path / f"mask{suffix}"
        image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
        image.save(path, **options)
        return path

    return write


class TestUndeclared:
    @pytest.mark.parametrize("value", [1, 7, 128, 255])
    def test_one_value_beside_0_is_foreground(self, save, value):
        reading = read_mask(save(DISK * np.uint8(value)))
        assert np.array_equal(reading.mask, DISK == 1)
        assert str(value) in reading.decision

    def test_an_empty_and_a_full_mask(self, save):
        assert not read_mask(save(DISK * 0)).mask.any()
        assert read_mask(save(DISK * 0 + 255)).mask.all()

    def test_one_bit_files_and_16_bit_files(self, save):
        assert np.array_equal(read_mask(save(Image.fromarray(DISK * np.uint8(255)).convert("1"))).mask, DISK == 1)
        assert np.array_equal(read_mask(save(DISK.astype(np.uint16) * 65535)).mask, DISK == 1)

    def test_label_map_values_0_to_3_are_refused_with_the_cure(self, save):
        with pytest.raises(CaseError, match=r"values 0, 1, 2, 3; a label map needs \[data\] labels"):
            read_mask(save(CLASSES))

    def test_values_0_1_255_are_refused_and_not_read_as_the_ring(self, save):
        ring = DISK * np.uint8(255)
        ring[ndimage.binary_erosion(DISK, iterations=3)] = 1
        with pytest.raises(CaseError, match="values 0, 1, 255"):
            read_mask(save(ring))

    def test_a_trimap_0_128_255_is_refused(self, save):
        trimap = DISK * np.uint8(255)
        trimap[ndimage.binary_dilation(DISK, iterations=4) & (DISK == 0)] = 128
        with pytest.raises(CaseError, match="values 0, 128, 255"):
            read_mask(save(trimap))

    def test_classes_with_an_ignore_value_are_refused(self, save):
        void = CLASSES.copy()
        void[:, 60:] = 255
        with pytest.raises(CaseError, match="values 0, 1, 2, 3, 255"):
            read_mask(save(void))

    @pytest.mark.parametrize("resampling", [Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.BOX])
    @pytest.mark.parametrize("size", [40, 96, 131, 256])
    def test_edges_of_a_resized_mask_are_cut_at_half(self, save, resampling, size):
        resized = Image.fromarray(DISK * np.uint8(255)).resize((size, size), resampling)
        reading = read_mask(save(resized))
        assert np.array_equal(reading.mask, np.asarray(resized) >= 127.5)
        assert "half" in reading.decision or "0 and 255" in reading.decision

    @pytest.mark.parametrize("quality", [50, 75, 95])
    def test_a_jpeg_and_a_jpeg_saved_as_png_are_cut_at_half(self, save, quality):
        path = save(DISK * np.uint8(255), ".jpg", quality=quality)
        assert np.array_equal(read_mask(path).mask, np.asarray(Image.open(path)) >= 127.5)
        again = save(Image.open(path))
        assert np.array_equal(read_mask(again).mask, np.asarray(Image.open(again)) >= 127.5)

    def test_a_probability_map_is_refused(self, save):
        soft = ndimage.gaussian_filter(DISK.astype(float), 8)
        with pytest.raises(CaseError, match="soft"):
            read_mask(save((soft * 255).astype(np.uint8)))

    def test_one_colour_on_black_is_foreground(self, save):
        blue = np.zeros((64, 64, 3), np.uint8)
        blue[..., 2] = DISK * 255
        assert np.array_equal(read_mask(save(blue)).mask, DISK == 1)

    def test_two_colours_of_equal_brightness_are_refused(self, save):
        colors = np.zeros((64, 64, 3), np.uint8)
        colors[CLASSES == 1], colors[CLASSES == 2] = (128, 0, 0), (0, 128, 0)
        with pytest.raises(CaseError, match=r"#008000, #800000.*masks.colors"):
            read_mask(save(colors))

    @pytest.mark.parametrize("pixels", [DISK, DISK * 0, DISK * 0 + 1], ids=["disk", "all 0", "all 1"])
    def test_a_palette_of_white_and_black_is_refused_where_indices_and_colours_differ(self, save, pixels):
        """Tools that choose a palette call white 0; an inverting table of ImageJ shows 0 as white."""
        image = Image.fromarray(pixels)
        image.putpalette([0, 0, 0, 255, 255, 255])
        assert np.array_equal(read_mask(save(image)).mask, pixels > 0)
        image.putpalette([255, 255, 255, 0, 0, 0])
        with pytest.raises(CaseError, match=r"two different things of what is inside; .* declare \[data\] masks"):
            read_mask(save(image))

    def test_what_says_which_of_both_counts_is_declared(self, save):
        image = Image.fromarray(DISK)
        image.putpalette([255, 255, 255, 0, 0, 0])
        by_colour = MaskDeclaration(kind="colors", colors=((255, 255, 255),))
        assert np.array_equal(read_mask(save(image), declaration=by_colour).mask, DISK == 0)

    def test_a_palette_that_was_never_filled_in_is_read_by_its_indices(self, save):
        image = Image.fromarray(DISK)
        image.putpalette(bytes(768))
        assert np.array_equal(read_mask(save(image)).mask, DISK == 1)
        labels = Image.fromarray(CLASSES)
        labels.putpalette(bytes(768))
        with pytest.raises(CaseError, match="got the values 0, 1, 2"):
            read_mask(save(labels))
        declared = MaskDeclaration(kind="labels", values=(2,), name="two")
        assert np.array_equal(read_mask(save(labels), declaration=declared).mask, CLASSES == 2)

    def test_a_palette_label_map_is_refused(self, save):
        image = Image.fromarray(CLASSES, mode=None).convert("P")
        image.putdata(CLASSES.ravel().tolist())
        image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0, 0, 0, 128])
        with pytest.raises(CaseError, match="colours"):
            read_mask(save(image))

    def test_transparent_pixels_are_background(self, save):
        rgba = np.full((64, 64, 4), 255, np.uint8)
        rgba[..., 3] = DISK * 255
        assert np.array_equal(read_mask(save(rgba)).mask, DISK == 1)


class TestDeclared:
    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32])
    def test_labels(self, save, dtype):
        reading = read_mask(
            save(CLASSES.astype(dtype), ".tif"), declaration=MaskDeclaration(kind="labels", values=(1, 3), name="both")
        )
        assert np.array_equal(reading.mask, (CLASSES == 1) | (CLASSES == 3))
        assert reading.decision == "labels 1, 3 (both)"

    def test_labels_of_a_palette_are_its_indices(self, save):
        image = Image.fromarray(CLASSES).convert("P")
        image.putdata(CLASSES.ravel().tolist())
        image.putpalette([0, 0, 0, 9, 9, 9, 9, 9, 9, 200, 0, 0])
        assert np.array_equal(
            read_mask(save(image), declaration=MaskDeclaration(kind="labels", values=(2,))).mask, CLASSES == 2
        )

    def test_a_label_that_a_slice_lacks_is_an_empty_mask(self, save):
        assert not read_mask(save(CLASSES), declaration=MaskDeclaration(kind="labels", values=(9,))).mask.any()

    def test_labels_of_a_jpeg_and_of_colours_are_refused(self, save):
        declaration = MaskDeclaration(kind="labels", values=(1,))
        with pytest.raises(CaseError, match="lossless"):
            read_mask(save(CLASSES, ".jpg"), declaration=declaration)
        colors = np.stack([CLASSES, CLASSES * 0, CLASSES * 0], axis=2)
        with pytest.raises(CaseError, match=r"masks\.colors"):
            read_mask(save(colors), declaration=declaration)

    def test_colours(self, save):
        colors = np.zeros((64, 64, 3), np.uint8)
        colors[CLASSES == 1], colors[CLASSES == 2] = (255, 0, 0), (0, 255, 0)
        declaration = MaskDeclaration(kind="colors", colors=((0, 255, 0),))
        assert np.array_equal(read_mask(save(colors), declaration=declaration).mask, CLASSES == 2)

    @pytest.mark.parametrize("scale", [1, 255])
    def test_one_hot_channels(self, save, scale):
        channels = np.stack([value == CLASSES for value in (1, 2, 3)], axis=2).astype(np.uint8) * np.uint8(scale)
        declaration = MaskDeclaration(kind="channel", channel=1)
        assert np.array_equal(read_mask(save(channels), declaration=declaration).mask, CLASSES == 2)
        with pytest.raises(CaseError, match="at least 5 channels, got 3"):
            read_mask(save(channels), declaration=MaskDeclaration(kind="channel", channel=4))

    def test_a_soft_mask_is_cut_at_its_threshold_whatever_its_maximum(self, save):
        soft = np.linspace(0, 200, 64 * 64).reshape(64, 64).astype(np.uint8)
        for threshold in (0.25, 0.5):
            reading = read_mask(save(soft), declaration=MaskDeclaration(kind="soft", threshold=threshold))
            assert np.array_equal(reading.mask, soft >= threshold * 255)
        floats = (soft / 255).astype(np.float32)
        reading = read_mask(save(floats, ".tif"), declaration=MaskDeclaration(kind="soft"))
        assert np.array_equal(reading.mask, floats >= 0.5)
        with pytest.raises(CaseError, match="full_scale"):
            read_mask(save(floats * 80, ".tif"), declaration=MaskDeclaration(kind="soft"))

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"kind": "label"}, "expected one of"),
            ({"kind": "labels"}, "above 0"),
            ({"kind": "colors"}, "colour for each label"),
            ({"kind": "channel"}, "counted from 0"),
            ({"kind": "soft", "threshold": 0.0}, "above 0"),
            ({"kind": "soft", "full_scale": -1.0}, "full_scale"),
        ],
    )
    def test_a_wrong_declaration_is_refused(self, fields, message):
        with pytest.raises(InputError, match=message):
            MaskDeclaration(**fields)


class TestFiles:
    def test_a_missing_file_names_the_near_one(self, tmp_path, save):
        save(DISK)
        with pytest.raises(CaseError, match=r"did you mean 'mask\.png'"):
            read_mask(tmp_path / "mask.bmp")

    def test_a_broken_file(self, tmp_path):
        (tmp_path / "mask.png").write_bytes(b"no image")
        with pytest.raises(CaseError, match="readable image"):
            read_mask(tmp_path / "mask.png")

    def test_exif_turns_the_mask_only_where_asked(self, save):
        exif = Image.Exif()
        exif[0x0112] = 6
        path = save(CLASSES, exif=exif)
        declaration = MaskDeclaration(kind="labels", values=(3,))
        assert np.array_equal(read_mask(path, declaration=declaration, upright=False).mask, CLASSES == 3)
        assert np.array_equal(read_mask(path, declaration=declaration).mask, np.rot90(CLASSES, -1) == 3)


class TestFilesThatAreNotWhatTheySeem:
    """Each was read in silence: as empty, as another class, or as a smaller structure."""

    def test_a_png_that_is_called_jpg_is_read_as_what_it_holds(self, save, tmp_path):
        save(DISK).rename(tmp_path / "mask.jpg")
        assert np.array_equal(read_mask(tmp_path / "mask.jpg").mask, DISK == 1)

    def test_a_jpeg_that_is_called_png_is_no_label_map(self, save, tmp_path):
        save(CLASSES * np.uint8(50), ".jpg").rename(tmp_path / "mask.png")
        with pytest.raises(CaseError, match="lossless label map, got a JPEG"):
            read_mask(tmp_path / "mask.png", declaration=MaskDeclaration(kind="labels", values=(50,)))

    @pytest.mark.parametrize("levels", [(0, 1, 1, 1), (0, 100, 100, 100), (0, 85, 170, 255)])
    def test_labels_in_a_jpeg_are_refused(self, save, levels):
        labels = np.array(levels, np.uint8)[CLASSES]
        with pytest.raises(CaseError, match=r"black and white blurred by JPEG.*saved as PNG"):
            read_mask(save(labels, ".jpg", quality=100))

    def test_an_empty_jpeg_and_one_of_one_colour_are_masks(self, save):
        assert not read_mask(save(DISK * 0, ".jpg")).mask.any()
        red = np.stack([DISK * 255, DISK * 0, DISK * 0], axis=2).astype(np.uint8)
        found = read_mask(save(red, ".jpg", quality=95, subsampling=0)).mask
        assert (found != DISK).mean() < 0.01

    def test_two_colours_in_a_jpeg_are_not_joined(self, save):
        colors = np.zeros((64, 64, 3), np.uint8)
        colors[CLASSES == 1], colors[CLASSES == 2] = (255, 0, 0), (0, 255, 0)
        with pytest.raises(CaseError, match="one colour blurred by JPEG, got several"):
            read_mask(save(colors, ".jpg", quality=95, subsampling=0))

    @pytest.mark.parametrize("order", [(0, 1, 2, 5), (5, 0, 2, 1)])
    def test_labels_of_a_shrunk_png_are_its_gray_levels(self, save, order):
        values = np.array([0, 1, 2, 5], np.uint8)[CLASSES]
        image = Image.new("P", (64, 64))
        image.putdata([order.index(value) for value in values.ravel().tolist()])
        image.putpalette([level for value in order for level in (value,) * 3])
        path = save(image)
        for value in (1, 2, 5):
            declaration = MaskDeclaration(kind="labels", values=(value,), table_values=(1, 2, 5))
            assert np.array_equal(read_mask(path, declaration=declaration).mask, values == value)

    def test_grays_that_were_chosen_to_look_at_are_none(self, save):
        image = Image.new("P", (64, 64))
        image.putdata(CLASSES.ravel().tolist())
        image.putpalette([level for value in (0, 85, 170, 255) for level in (value,) * 3])
        for table in ((1, 2, 3), ()):
            declaration = MaskDeclaration(kind="labels", values=(2,), table_values=table)
            assert np.array_equal(read_mask(save(image), declaration=declaration).mask, CLASSES == 2)

    def test_indices_and_grays_that_both_fit_are_refused(self, save):
        image = Image.new("P", (64, 64))
        image.putdata(CLASSES.ravel().tolist())
        image.putpalette([level for value in (0, 2, 1, 3) for level in (value,) * 3])
        declaration = MaskDeclaration(kind="labels", values=(2,), table_values=(1, 2, 3))
        with pytest.raises(CaseError, match="both may be labels; save it as a gray PNG without a palette"):
            read_mask(save(image), declaration=declaration)

    def test_labels_of_two_bits_are_those_that_are_stored(self, save):
        path = save(CLASSES)
        raw = b"".join(
            b"\0" + bytes(int(a) << 6 | int(b) << 4 | int(c) << 2 | int(d) for a, b, c, d in row.reshape(-1, 4))
            for row in CLASSES
        )
        chunks = [
            (b"IHDR", struct.pack(">IIBBBBB", 64, 64, 2, 0, 0, 0, 0)),
            (b"IDAT", zlib.compress(raw)),
            (b"IEND", b""),
        ]
        path.write_bytes(
            b"\x89PNG\r\n\x1a\n"
            + b"".join(struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d)) for t, d in chunks)
        )
        declaration = MaskDeclaration(kind="labels", values=(2,), table_values=(1, 2, 3))
        assert np.array_equal(read_mask(path, declaration=declaration).mask, CLASSES == 2)

    def test_few_blended_colours_are_refused_and_further_classes_are_not(self, save):
        declaration = MaskDeclaration(kind="colors", colors=((255, 0, 0),), table_colors=((255, 0, 0),))
        colors = np.zeros((32, 32, 3), np.uint8)
        colors[5:17, 5:17] = (255, 0, 0)
        half = Image.fromarray(colors).resize((16, 16), Image.Resampling.BILINEAR)
        with pytest.raises(CaseError, match="2 others such as #400000, #800000: the mask was resampled"):
            read_mask(save(half), declaration=declaration)
        colors[20:30, 5:17], colors[5:17, 20:30] = (128, 0, 0), (0, 0, 255)
        assert np.array_equal(
            read_mask(save(colors), declaration=declaration).mask, (colors == (255, 0, 0)).all(axis=2)
        )
