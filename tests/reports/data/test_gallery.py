"""Pictures: re-encoded, stripped, shared, bounded."""

from __future__ import annotations

import base64
import io
import itertools
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image, PngImagePlugin

from robustness.reports.data import gallery as gallery_module
from robustness.reports.data.frames import merge
from robustness.reports.data.gallery import (
    CHANGED_COLOUR,
    CLEAN_COLOUR,
    REFERENCE_COLOUR,
    _palette_png,
    changed_words,
    encoded_pictures,
    make_gallery,
)
from robustness.reports.data.run_tables import RunTables


def decoded(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))


def test_only_differing_words_are_marked() -> None:
    before, after = changed_words("one large left lobe", "one small left lobe")
    assert before == ((False, "one "), (True, "large"), (False, " left lobe"))
    assert after == ((False, "one "), (True, "small"), (False, " left lobe"))


def test_segments_join_to_the_prompts() -> None:
    pairs = [("a, b", "a b"), ("", "x"), ("same", "same"), ("left-sided  mass", "right-sided mass")]
    for before, after in pairs:
        left, right = changed_words(before, after)
        assert ("".join(s for _, s in left), "".join(s for _, s in right)) == (before, after)


def test_metadata_does_not_survive(runs: tuple[RunTables, ...]) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("PatientName", "DOE^JANE")
    stream = io.BytesIO()
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(stream, "PNG", pnginfo=info)
    table = runs[0].gallery.head(1).assign(image=[stream.getvalue()])
    gallery = make_gallery(table)
    raw = base64.b64decode(gallery.images[gallery.pictures[0].image].partition(",")[2])
    assert b"DOE" not in raw
    assert "PatientName" not in decoded(gallery.images[gallery.pictures[0].image]).info


def test_equal_images_are_stored_once(runs: tuple[RunTables, ...]) -> None:
    table = merge(runs).gallery
    gallery = make_gallery(table, budget=10**9)
    assert len(gallery.pictures) == len(table)
    assert len(gallery.images) < 4 * len(gallery.pictures)


def test_the_contour_surrounds_the_reference(runs: tuple[RunTables, ...]) -> None:
    gallery = make_gallery(runs[0].gallery.head(1))
    row = runs[0].gallery.iloc[0]
    mask = (
        np.asarray(Image.open(io.BytesIO(row["reference"])).convert("L").resize((256, 256), Image.Resampling.NEAREST))
        > 127
    )
    drawn = np.asarray(decoded(gallery.images[gallery.pictures[0].reference]).convert("RGBA"))
    line = drawn[..., 3] == 255
    assert line.any()
    assert not (line & ~mask).any()
    assert line.sum() < 0.2 * mask.sum()


def test_masks_keep_their_pixels(runs: tuple[RunTables, ...]) -> None:
    row = runs[0].gallery.iloc[0]
    gallery = make_gallery(runs[0].gallery.head(1))
    mask = (
        np.asarray(Image.open(io.BytesIO(row["perturbed"])).convert("L").resize((256, 256), Image.Resampling.NEAREST))
        > 127
    )
    drawn = np.asarray(decoded(gallery.images[gallery.pictures[0].changed]).convert("RGBA"))
    assert np.array_equal(drawn[..., 3] > 0, mask)


def test_pictures_that_another_process_encoded_make_the_same_gallery(
    runs: tuple[RunTables, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = merge(runs[:1]).gallery
    plain = make_gallery(table)
    table.drop(columns="series").to_parquet(tmp_path / "gallery.parquet")
    encoded = encoded_pictures(tmp_path / "gallery.parquet")
    assert encoded == plain.images

    def again(*_: object) -> str:
        raise AssertionError("encoded again")

    monkeypatch.setattr(gallery_module, "_photo", again)
    monkeypatch.setattr(gallery_module, "_overlay", again)
    gallery = make_gallery(table, encoded=encoded)
    assert (gallery.pictures, gallery.images, gallery.used) == (plain.pictures, plain.images, plain.used)
    pd.DataFrame().to_parquet(tmp_path / "empty.parquet")
    assert encoded_pictures(tmp_path / "empty.parquet") == {}


def test_a_budget_keeps_the_first_of_every_condition_and_counts_the_rest(runs: tuple[RunTables, ...]) -> None:
    table = runs[0].gallery
    gallery = make_gallery(table, budget=60_000)
    assert gallery.left_out == len(table) - len(gallery.pictures) > 0
    assert {p.rank for p in gallery.pictures} == {"worst"}


def test_a_broken_picture_is_counted_and_the_rest_goes_on(runs: tuple[RunTables, ...]) -> None:
    table = runs[0].gallery.head(3).copy()
    table["image"] = [b"not a picture", *table["image"].iloc[1:]]
    gallery = make_gallery(table)
    assert (gallery.unreadable, len(gallery.pictures)) == (1, 2)


def test_a_clean_picture_marks_no_words(runs: tuple[RunTables, ...]) -> None:
    row = runs[0].gallery.head(1).assign(condition="clean", clean_prompt="")
    picture = make_gallery(row).pictures[0]
    assert not any(differs for differs, _ in picture.prompt)
    assert picture.dice_clean == picture.dice


@pytest.mark.parametrize("width", [1, 4, 6, 7, 33])
def test_a_palette_picture_is_read_back_as_it_was_written(width: int) -> None:
    levels = np.random.default_rng(width).integers(0, 3, (5, width), dtype=np.uint8)
    written = _palette_png(levels, bytes([0, 0, 0, 9, 8, 7, 15, 18, 22, 0, 0, 0]), bytes([0, 255, 190, 0]))
    with Image.open(io.BytesIO(written)) as opened:
        assert np.array_equal(np.asarray(opened), levels)
        pixels = np.asarray(opened.convert("RGBA"))
    for level, colour in enumerate(((0, 0, 0, 0), (9, 8, 7, 255), (15, 18, 22, 190))):
        assert (pixels[levels == level] == colour).all()


# Machado, Oliveira and Fernandes 2009 (doi:10.1109/TVCG.2009.113), severity 1: linear RGB as a reader sees it.
COLOUR_BLIND = {
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.01182, 0.04294, 0.968881)),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.3039)),
}


def lab(linear: np.ndarray) -> np.ndarray:
    """Return CIE L*a*b* (D65) of linear sRGB."""
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x, y, z = np.cbrt(to_xyz @ linear / [0.9505, 1.0, 1.089])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("kind", COLOUR_BLIND)
def test_outline_and_masks_stay_apart_for_colour_blind_readers(kind: str) -> None:
    linear = [((np.array(c) / 255 + 0.055) / 1.055) ** 2.4 for c in (REFERENCE_COLOUR, CLEAN_COLOUR, CHANGED_COLOUR)]
    seen = [lab(np.clip(np.array(COLOUR_BLIND[kind]) @ colour, 1e-3, 1)) for colour in linear]
    # A distance of 2.3 is just noticeable.
    assert min(math.dist(a, b) for a, b in itertools.combinations(seen, 2)) > 20
