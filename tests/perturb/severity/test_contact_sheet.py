"""Contact sheets: every severity of every kind is on them, readable and said for what it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from robustness.errors import InputError, UnknownNameError
from robustness.perturb.modality import MODALITIES
from robustness.perturb.severity.contact_sheet import Row, Tile, draw_sheet, image_case, save_sheet, sheet_rows
from robustness.perturb.severity.phantoms import phantom


def scene() -> np.ndarray:
    image = np.random.default_rng(0).integers(60, 200, (64, 48, 3), dtype=np.uint8)
    image[20:40, 10:30] = (220, 40, 40)
    return image


class TestRows:
    def test_a_row_holds_the_clean_picture_and_each_severity_with_its_similarity(self) -> None:
        (row,) = sheet_rows(["gaussian_noise"], [image_case(scene(), "c", "MRI")])
        assert row.title.startswith("gaussian_noise: ")
        assert [tile.caption.split()[0] for tile in row.tiles] == ["clean", "1", "2", "3", "4", "5"]
        np.testing.assert_array_equal(row.tiles[0].image, scene())
        similar = [float(tile.caption.split()[-1]) for tile in row.tiles[1:]]
        assert similar == sorted(similar, reverse=True)
        assert similar[0] > similar[-1]

    def test_a_kind_without_degrees_has_one(self) -> None:
        (row,) = sheet_rows(["horizontal_flip"], [image_case(scene(), "c", "MRI")])
        assert len(row.tiles) == 2

    def test_what_does_not_apply_to_the_first_picture_is_shown_on_the_next_and_says_so(self) -> None:
        gray = np.repeat(scene()[..., :1], 3, axis=2)
        cases = [image_case(gray, "gray", "microscopy"), image_case(scene(), "drawn", "microscopy")]
        noise, stain = sheet_rows(["gaussian_noise", "stain_shift"], cases, stand_ins=["drawn"])
        assert not noise.title.endswith("[stand-in]")
        assert stain.title.endswith("[stand-in]")
        np.testing.assert_array_equal(stain.tiles[0].image, scene())

    def test_what_applies_to_none_gives_its_reason(self) -> None:
        gray = np.repeat(scene()[..., :1], 3, axis=2)
        (row,) = sheet_rows(["stain_shift"], [image_case(gray, "gray", "microscopy")])
        assert [tile.caption for tile in row.tiles] == [
            "not applicable: the image is gray: it has no colour that could change"
        ]


class TestSheet:
    def test_every_tile_is_on_the_sheet_in_its_own_colours(self) -> None:
        colours = [(250, 0, 0), (0, 250, 0), (0, 0, 250), (250, 250, 0)]
        tiles = [Tile(np.full((30, 40, 3), colour, np.uint8), "x") for colour in colours]
        rows = [Row("first", tuple(tiles[:2])), Row("second", tuple(tiles[2:]))]
        sheet = np.asarray(draw_sheet(rows, title="t", note="n", tile=60))
        for colour in colours:
            assert (sheet == colour).all(-1).sum() == 60 * 80

    def test_many_rows_stand_in_two_blocks(self) -> None:
        row = Row("x", (Tile(scene(), "clean"),))
        one, two = (draw_sheet([row] * count, title="t", note="n", tile=48) for count in (12, 24))
        assert one.height == two.height
        assert two.width > 1.8 * one.width

    @pytest.mark.parametrize("suffix", [".png", ".jpg"])
    def test_it_is_written_whole(self, tmp_path: Path, suffix: str) -> None:
        sheet = draw_sheet([Row("x", (Tile(scene(), "clean"),))], title="t", note="n")
        with Image.open(save_sheet(sheet, tmp_path / f"new/sheet{suffix}")) as read:
            assert read.size == sheet.size
        assert [file.name for file in (tmp_path / "new").iterdir()] == [f"sheet{suffix}"]

    def test_other_endings_and_sizes_are_refused(self, tmp_path: Path) -> None:
        row = Row("x", (Tile(scene(), "clean"),))
        with pytest.raises(InputError, match=r"ends in \.png or \.jpg"):
            save_sheet(draw_sheet([row], title="t", note="n"), tmp_path / "sheet.gif")
        with pytest.raises(InputError, match="48 pixels or more"):
            draw_sheet([row], title="t", note="n", tile=20)


class TestPhantoms:
    @pytest.mark.parametrize("modality", MODALITIES)
    def test_every_modality_has_one_that_is_no_flat_field_and_varies_with_the_seed(self, modality: str) -> None:
        image = phantom(modality)
        assert (image.shape, image.dtype) == ((256, 288, 3), np.uint8)
        assert image.std() > 15
        np.testing.assert_array_equal(image, phantom(modality))
        if modality not in ("MRI", "x-ray"):
            assert not np.array_equal(image, phantom(modality, 1))

    def test_an_unknown_one_is_named(self) -> None:
        with pytest.raises(UnknownNameError, match=r"modality: expected one of CT, .*got 'thermography'"):
            phantom("thermography")
