"""A mask declared as what it is not ends in one line that shows its values and how to declare them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFilter

from robustness.errors import CaseError, InputError
from robustness.runners.data.masks import source as mask_source
from robustness.runners.data.masks.convention import parse_convention
from robustness.runners.data.masks.declaration import MaskDeclaration
from robustness.runners.data.masks.label_map import label_slug, names_of, parse_labels, pick
from robustness.runners.data.masks.mask_pixels import read_pixels
from robustness.runners.data.masks.mask_values import read_mask
from robustness.runners.data.masks.source import MaskSource
from robustness.runners.data.volumes.cache import VolumeCache
from robustness.runners.data.volumes.slices import slice_rule

SIZE = 64
DISK = np.hypot(*np.mgrid[-32:32, -32:32]) < 20
CLASSES = np.zeros((SIZE, SIZE), np.uint8)
CLASSES[5:25, 5:25], CLASSES[30:50, 5:25], CLASSES[30:50, 30:50] = 1, 2, 3
COLORS = {1: (255, 0, 0), 2: (0, 255, 0), 3: (0, 0, 255)}


def colored() -> np.ndarray:
    image = np.zeros((SIZE, SIZE, 3), np.uint8)
    for value, color in COLORS.items():
        image[value == CLASSES] = color
    return image


def palette() -> Image.Image:
    image = Image.fromarray(CLASSES, mode="P")
    image.putpalette([0, 0, 0, *(channel for color in COLORS.values() for channel in color)])
    return image


BINARY = DISK.astype(np.uint8) * np.uint8(255)
SOFT = Image.fromarray(BINARY).resize((SIZE, SIZE)).filter(ImageFilter.GaussianBlur(4))
BLENDED = Image.fromarray(colored()).resize((97, 97), Image.Resampling.BICUBIC)

LABELS: dict[str, Any] = {"labels": {"1": "liver", "2": "tumor"}}
TABLE: dict[str, Any] = {"masks": {"colors": {"liver": [255, 0, 0], "tumor": "#00ff00"}}}
CHANNELS: dict[str, Any] = {"masks": {"channels": {"liver": 0, "tumor": 2}}}
SOFT_MASKS: dict[str, Any] = {"masks": {"kind": "soft"}}


@pytest.mark.parametrize(
    ("pixels", "stated", "label", "message"),
    [
        (BINARY, LABELS, "tumor", "label values among 1, 2 .* got the values 0, 255; declare every value"),
        (colored(), LABELS, "tumor", r"got the colours #0000ff, #00ff00, #ff0000; declare \[data\] masks.colors"),
        (Image.fromarray(DISK.astype(np.float32) * 0.5), LABELS, "tumor", "fractions such as 0.5; declare masks"),
        (BINARY, TABLE, "liver", r"the colours #00ff00, #ff0000 .* got #ffffff; declare the colours"),
        (CLASSES, TABLE, "liver", r"#00ff00, #ff0000 .* got #010101, #020202, #030303; declare"),
        (BLENDED, TABLE, "liver", r"got \d+ others such as #.* resample it with nearest neighbours"),
        (DISK.astype(np.uint16) * 9, TABLE, "liver", "colour-coded mask, got uint16 gray levels"),
        (CLASSES, CHANNELS, "tumor", r"at least 3 channels, got 1 \(masks.channels\) with the values 0, 1, 2, 3"),
        (colored()[..., :1].repeat(2, 2), CHANNELS, "tumor", "at least 3 channels, got 2"),
        (CLASSES, SOFT_MASKS, None, "up to 255, got the values 0, 1, 2, 3, none of which reaches 0.5"),
        ((DISK * 100).astype(np.uint8), SOFT_MASKS, None, r"got the values 0, 100, none .* masks.full_scale"),
        (colored(), SOFT_MASKS, None, "soft mask.* got the colours #0000ff, #00ff00, #ff0000; declare"),
        (palette(), SOFT_MASKS, None, "soft mask.* got the colours"),
        (Image.fromarray(DISK.astype(np.float32) * 7), SOFT_MASKS, None, "floats up to 1 .* got 7; declare masks.full"),
        (CLASSES, {}, None, r"values 0, 1, 2, 3; a label map needs \[data\] labels"),
        (colored(), {}, None, r"black and one colour, got 4 colours \(#0000ff, #00ff00, #ff0000\); declare"),
        (SOFT, {}, None, r"a probability map needs \[data\] masks"),
    ],
)
def test_it_is_refused(tmp_path: Path, pixels: Any, stated: dict[str, Any], label: str | None, message: str) -> None:
    if isinstance(pixels, np.ndarray):
        pixels = Image.fromarray(pixels, mode="LA" if pixels.ndim == 3 and pixels.shape[2] == 2 else None)
    path = tmp_path / ("mask.tif" if pixels.mode == "F" else "mask.png")
    pixels.save(path)
    declaration = parse_convention(stated.get("labels"), stated.get("masks"), "[data]").declaration(label, "entry 0")
    with pytest.raises(CaseError, match=message) as caught:
        read_mask(path, declaration=declaration)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("pixels", "stated", "label", "expected"),
    [
        (CLASSES, LABELS, "tumor", CLASSES == 2),
        # The file shows another label of the table: the reference is empty, and that is what it says.
        ((CLASSES == 1).astype(np.uint8), LABELS, "tumor", DISK & False),
        (palette(), LABELS, "tumor", CLASSES == 2),
        (palette(), TABLE, "tumor", CLASSES == 2),
        (colored(), TABLE, "liver", CLASSES == 1),
        (np.zeros((SIZE, SIZE, 3), np.uint8), TABLE, "liver", DISK & False),
        (colored(), CHANNELS, "tumor", CLASSES == 3),
        ((colored() > 0).astype(np.uint8), CHANNELS, "tumor", CLASSES == 3),
        ((DISK * 100).astype(np.uint8), {"masks": {"kind": "soft", "full_scale": 100}}, None, DISK),
        (SOFT, SOFT_MASKS, None, np.asarray(SOFT) >= 127.5),
        (BINARY * 0, SOFT_MASKS, None, DISK & False),
    ],
)
def test_what_is_declared_rightly_is_read(
    tmp_path: Path, pixels: Any, stated: dict[str, Any], label: str | None, expected: np.ndarray
) -> None:
    image = Image.fromarray(pixels) if isinstance(pixels, np.ndarray) else pixels
    image.save(tmp_path / "mask.png")
    declaration = parse_convention(stated.get("labels"), stated.get("masks"), "[data]").declaration(label, "entry 0")
    assert np.array_equal(read_mask(tmp_path / "mask.png", declaration=declaration).mask, expected)


@pytest.mark.parametrize(
    ("masks", "slices", "message"),
    [
        ({"colors": 3}, None, r"masks.colors in \[data\]: expected a table of names, got 3"),
        ({"channels": ["tumor"]}, None, r"masks.channels in \[data\]: expected a table of names, got \['tumor'\]"),
        (None, {"every": "2"}, "slices.every: expected a whole number of at least 1, got '2'"),
        (None, {"every": 1.5}, "slices.every: expected a whole number of at least 1, got 1.5"),
        (None, {"channel": -1}, "slices.channel: expected a whole number of at least 0, got -1"),
        (None, {"max_per_subject": True}, "slices.max_per_subject: expected a whole number of at least 1, got True"),
        (None, {"orientation": 3}, "slices.orientation: expected 'radiological', .* got 3"),
    ],
)
def test_a_value_of_another_type_is_one_line(masks, slices, message):
    with pytest.raises(InputError, match=message):
        slice_rule(slices) if slices else parse_convention(None, masks, "[data]")


PARTS = {"anterior": (1,), "posterior": (2,), "hippocampus": (1, 2)}


class TestTable:
    def test_value_to_name_and_name_to_value_say_the_same(self):
        assert parse_labels({"1": "anterior", "2": "posterior"}, "card") == {"anterior": (1,), "posterior": (2,)}
        assert parse_labels({"anterior": 1, "posterior": "2"}, "card") == {"anterior": (1,), "posterior": (2,)}

    def test_values_and_names_count_together(self):
        table = {"1": "anterior", "2": "posterior", "hippocampus": ["anterior", 2]}
        assert parse_labels(table, "card") == PARTS

    @pytest.mark.parametrize(
        ("table", "message"),
        [
            ({}, "expected a table"),
            ([1, 2], "expected a table"),
            ({"1": "a", "2": "a"}, "'a' is there twice"),
            ({"whole": ["anterior"]}, "names of the table"),
            ({"a": ["b"], "b": ["a"]}, "made of itself"),
            ({"a": 1.5}, "expected a value"),
            ({"a": True}, "expected a value"),
            ({"1": " "}, "empty text"),
        ],
    )
    def test_what_is_no_table_is_refused_with_its_place(self, table, message):
        with pytest.raises(InputError, match=message) as caught:
            parse_labels(table, "dataset_card.json")
        assert "dataset_card.json" in str(caught.value)


class TestPick:
    @pytest.mark.parametrize(
        ("label", "values", "name"),
        [
            ("posterior", (2,), "posterior"),
            ("hippocampus", (1, 2), "hippocampus"),
            (2, (2,), "posterior"),
            ("2", (2,), "posterior"),
            (["anterior", 2], (1, 2), "anterior+posterior"),
        ],
    )
    def test_a_name_a_value_or_several(self, label, values, name):
        declaration = pick(label, PARTS, "anns/test.json entry 0")
        assert (declaration.kind, declaration.values, declaration.name) == ("labels", values, name)

    def test_an_unknown_name_is_refused_with_the_near_one(self):
        with pytest.raises(InputError, match=r"entry 3.*did you mean 'posterior'"):
            pick("postrior", PARTS, "anns/test.json entry 3")

    def test_a_name_where_none_are_named_says_how_to_name_it(self):
        with pytest.raises(InputError, match=r"no labels are named, got 'polyp'; name .* labels = \{ 1 = 'polyp' \}"):
            pick("polyp", {}, "entry 3")

    def test_a_value_that_the_table_lacks_is_refused_whatever_the_files_hold(self, tmp_path):
        """It was an error of the images that lack it alone, which then were left out."""
        Image.fromarray(CLASSES).save(tmp_path / "mask.png")
        table = {"anterior": (1,), "posterior": (2,)}
        for value in (3, 7, [1, 7]):
            with pytest.raises(
                InputError, match=r"entry 0.* named \(1 anterior, 2 posterior\), got [37]; .* = \"NAME\""
            ):
                pick(value, table, "entry 0")
        assert read_mask(tmp_path / "mask.png", declaration=pick(3, {}, "entry 0")).mask.sum() == 400
        # A named structure that a slice does not show is an empty mask.
        assert not read_mask(tmp_path / "mask.png", declaration=pick("d", {**table, "d": (4,)}, "entry 0")).mask.any()

    def test_labels_inside_of_masks_are_told_their_place(self):
        with pytest.raises(InputError, match="got 'labels'; labels stand beside masks, not in it"):
            parse_convention(None, {"labels": {"1": "polyp"}}, "[data]")

    def test_background_is_no_label(self):
        with pytest.raises(InputError, match="0 is background"):
            pick(0, PARTS, "entry 0")

    def test_nothing_is_no_label(self):
        with pytest.raises(InputError, match="empty list"):
            pick([], PARTS, "entry 0")


def test_a_slug_is_fit_for_a_file_name():
    assert label_slug("left ventricle/apex", {}) == "left-ventricle-apex"
    assert label_slug(1, PARTS) == "anterior"


def test_values_are_shown_with_their_names():
    assert names_of([1, 9], PARTS) == ["1 anterior", "9"]


class TestLabelMapsOfSeveralCases:
    def test_a_file_is_decoded_once_for_cases_that_follow_each_other_and_again_when_it_changes(
        self, tmp_path, monkeypatch
    ):
        path, cache, files = tmp_path / "labels.png", VolumeCache(), []
        monkeypatch.setattr(
            mask_source, "read_pixels", lambda path, **options: files.append(path) or read_pixels(path, **options)
        )
        Image.fromarray(np.array([[0, 1], [2, 2]], np.uint8)).save(path)

        def of(label):
            declaration = MaskDeclaration(kind="labels", values=(label,), table_values=(1, 2))
            return mask_source.read_source(MaskSource(paths=(path,), declaration=declaration), (2, 2), cache=cache).mask

        assert of(1).tolist() == [[False, True], [False, False]]
        assert of(2).tolist() == [[False, False], [True, True]]
        assert len(files) == 1
        Image.fromarray(np.array([[1, 1, 1], [2, 2, 0]], np.uint8)).save(path)
        os.utime(path, (1, 1))
        assert of(1).tolist() == [[True, True, True], [False, False, False]]
        assert len(files) == 2
        path.unlink()
        with pytest.raises(CaseError, match="no such file"):
            of(1)
