from __future__ import annotations

import dataclasses
import io
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image as PilImage

import robustness as rb
from robustness.runners.audit.gallery import LONG_SIDE, _small_image, harm
from robustness.runners.audit.rows import ResultRow, SeriesIdentity
from robustness.runners.audit.scoring import resize_nearest
from robustness.types import CaseInfo, Prompt
from tests.synthetic import reads_side, write_dataset


@pytest.fixture(scope="module")
def gallery(tmp_path_factory):
    root = tmp_path_factory.mktemp("set")
    data = rb.load_dataset(write_dataset(root / "set", images=8), prompt="p5")
    run = rb.audit(
        rb.segmenter(reads_side, name="reader"),
        data,
        perturbations=["antonym:side", "other", "paraphrase", "horizontal_flip", "gaussian_noise"],
        severities=[5],
        out=root / "run",
        report=False,
        engine={"images_per_part": 3},
    )
    return pd.read_parquet(run.path / "gallery.parquet"), run.results()


def _mask(data):
    return np.asarray(PilImage.open(io.BytesIO(data)))


def test_each_condition_has_its_worst_and_some_random_cases(gallery):
    pictures, rows = gallery
    assert set(pictures.condition) == set(rows.condition)
    counts = pictures.groupby("condition")["rank"].value_counts()
    assert counts["image:gaussian_noise@5"]["worst"] == 6
    assert counts["image:gaussian_noise@5"]["random"] == 2


def test_the_worst_are_the_largest_losses_of_the_whole_run(gallery):
    pictures, rows = gallery
    noisy = rows[rows.condition == "image:gaussian_noise@5"].set_index("case_id").dice
    clean = rows[rows.condition == "clean"].drop_duplicates("case_id").set_index("case_id").dice
    losses = (clean - noisy).sort_values(ascending=False)
    shown = pictures[(pictures.condition == "image:gaussian_noise@5") & (pictures["rank"] == "worst")]
    assert sorted(shown.effect.round(9), reverse=True) == sorted(losses.head(6).round(9), reverse=True)


def test_masks_are_bits_in_the_frame_that_they_belong_to(gallery):
    pictures, _ = gallery
    flipped = pictures[pictures.condition == "image:horizontal_flip@1"].iloc[0]
    reference, moved = _mask(flipped.reference), _mask(flipped.reference_perturbed)
    assert reference.dtype == np.bool_
    np.testing.assert_array_equal(reference[:, ::-1], moved)
    assert (_mask(flipped.clean) & reference).sum() > 0.8 * reference.sum()


def test_the_second_target_is_the_reference_of_other(gallery):
    pictures, _ = gallery
    other = pictures[pictures.condition == "other:side"].iloc[0]
    assert not (_mask(other.reference) & _mask(other.reference_perturbed)).any()
    assert (_mask(other.perturbed) & _mask(other.reference_perturbed)).sum() > 50


def test_pictures_carry_no_metadata(gallery):
    pictures, _ = gallery
    picture = PilImage.open(io.BytesIO(pictures.image.iloc[0]))
    assert (picture.format, picture.size) == ("JPEG", (48, 48))
    assert not picture.getexif()


@pytest.mark.parametrize("size", [(40, 60), (LONG_SIDE, 31)])
def test_what_is_small_enough_is_kept_as_it_is_and_lets_the_batch_go(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    levels = rng.integers(0, 256, (4, *size, 3), dtype=np.uint8)
    masks = levels[..., 0] > 128
    for picture in (_small_image(levels[1], size), _small_image((levels[1] / 255).astype(np.float32), size)):
        np.testing.assert_array_equal(picture, levels[1])
        assert not np.shares_memory(picture, levels)
    small = resize_nearest(masks[1], size)
    np.testing.assert_array_equal(small, masks[1])
    assert not np.shares_memory(small, masks)


INFO = CaseInfo("c", "i", "s", "polyp", (Prompt("a polyp"),))


def row(expectation: str, *, dice_other: float | None = None, **scores: float) -> ResultRow:
    blank = {"dice": 0.5, "mask_change": math.nan, "area_fraction": 0.0}
    return dataclasses.replace(
        ResultRow.of(SeriesIdentity("m", "d", "test"), INFO),
        expectation=expectation,
        dice_other=dice_other,
        measured={**blank, **scores},
    )


@pytest.mark.parametrize(
    ("expectation", "success", "failure"),
    [
        ("follow", {"dice": 0.0, "dice_other": 0.9}, {"dice": 0.9, "dice_other": 0.0}),
        ("change", {"dice": 0.0, "mask_change": 1.0}, {"dice": 0.9, "mask_change": 0.0}),
        ("abstain", {"dice": 0.0, "area_fraction": 0.0}, {"dice": 0.0, "area_fraction": 0.2}),
        ("invariant", {"dice": 0.9}, {"dice": 0.1}),
        ("none", {"dice": 0.9, "mask_change": 1.0}, {"dice": 0.1, "mask_change": 0.0}),
    ],
)
def test_failures_rank_above_successes(expectation: str, success: dict[str, Any], failure: dict[str, Any]) -> None:
    assert harm(row(expectation, **failure), 0.9) > harm(row(expectation, **success), 0.9)


def test_without_the_score_that_an_expectation_needs_the_loss_decides() -> None:
    assert harm(row("follow", dice=0.2), 0.9) == pytest.approx(0.7)
