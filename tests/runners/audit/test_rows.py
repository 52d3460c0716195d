"""A row of the results: its columns are the contract's, whatever happened to its prediction."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image as PILImage
from PIL import Image as PilImage

import robustness as rb
from robustness.results import COLUMNS, FLAGS, MEASURED
from robustness.run_folder import RunFolder
from robustness.runners.audit.parts import SAMPLE, Part, sampled_images, shows_noise
from robustness.runners.audit.row_progress import STEP, RowProgress, planned_rows
from robustness.runners.audit.rows import ResultRow, SeriesIdentity, results_table
from robustness.runners.audit.scoring import resize_nearest
from robustness.types import CaseInfo, Prompt
from tests.synthetic import reads_side, write_dataset

SERIES = SeriesIdentity("m", "d", "test")
INFO = CaseInfo("c", "i", "s", "polyp", (Prompt("a polyp"),), {"groups": {"scanner": "A"}})
SCORES = dict.fromkeys((*MEASURED, *FLAGS), 0.0)


def test_the_columns_of_a_scored_row_are_those_of_the_contract() -> None:
    row = dataclasses.replace(ResultRow.of(SERIES, INFO), measured=SCORES)
    assert set(row.cells()) == {*COLUMNS, "params", "truth", "scanner"}


def test_a_condition_fills_its_columns() -> None:
    row = ResultRow.of(SERIES, INFO, "antonym:size+image:gaussian_noise@3")
    assert (row.family, row.attribute, row.severity) == ("joint", "size", 0)
    assert ResultRow.of(SERIES, INFO).family == "clean"


def test_failed_and_inapplicable_rows_keep_who_they_are_and_measure_nothing() -> None:
    row = ResultRow.of(SERIES, INFO, "antonym:size")
    table = results_table([row.failed(ValueError("broken")), row.inapplicable("no size is named")])
    assert table["error"].tolist() == ["broken", ""]
    assert table["applicable"].tolist() == [True, False]
    assert table["note"].tolist() == ["", "no size is named"]
    assert table["scanner"].tolist() == ["A", "A"]
    assert table[[*MEASURED, *FLAGS, "dice_other"]].isna().all(axis=None)
    assert (row.error, row.applicable) == ("", True)


def test_a_row_of_no_such_column_cannot_be_made() -> None:
    with pytest.raises(TypeError, match="promt"):
        dataclasses.replace(ResultRow.of(SERIES, INFO), promt="a polyp")  # type: ignore[call-arg]


def part(index: int, dataset: int = 0) -> Part:
    return Part(index, 0, dataset, (f"image-{index}",))


def finish(run: RunFolder, index: int, rows: int) -> None:
    pd.DataFrame({"a": range(rows)}).to_parquet(run.part(index))


def test_the_total_falls_from_what_is_planned_and_grows_only_with_more_rows_than_that(tmp_path: Path) -> None:
    run, reports = RunFolder.create(tmp_path / "run"), []
    parts = [part(0), part(1), part(2, dataset=1), part(3)]
    rows = RowProgress(run, parts, [20, 40, 21, 10], lambda *counts: reports.append(counts))
    rows.parts_done(0, 4)
    assert reports[-1] == (0, 20 + 40 + 21 + 10)
    finish(run, 0, 15)
    rows.parts_done(1, 4)
    # One part with less than its plan says nothing of the others: their time must not come on top later.
    assert reports[-1] == (15, 15 + 40 + 21 + 10)
    finish(run, 1, 75)
    rows.parts_done(2, 4)
    assert reports[-1] == (90, 90 + 21 + 15)
    finish(run, 2, 20)
    finish(run, 3, 15)
    rows.parts_done(4, 4)
    assert reports[-1] == (125, 125)


def test_every_listed_text_is_planned_under_every_condition_and_paraphrased_once() -> None:
    conditions = ["rare:size", "paraphrase", "image:jpeg@1", "image:jpeg@1+paraphrase"]
    assert planned_rows([1, 6], conditions) == 7 * (2 + 2) + 2 * 2 * 3


def test_the_part_under_way_is_reported_every_so_many_rows_and_never_beyond_the_total(tmp_path: Path) -> None:
    run, reports = RunFolder.create(tmp_path / "run"), []
    rows = RowProgress(run, [part(0)], [10], lambda *counts: reports.append(counts))
    rows.parts_done(0, 1)
    for n in range(1, 3 * STEP + 1):
        rows.rows_of_part(n)
    assert reports == [(0, 10), (STEP, STEP), (2 * STEP, 2 * STEP), (3 * STEP, 3 * STEP)]


@pytest.mark.parametrize("size", [(217, 181), (512, 512), (256, 320), (360, 360), (100, 37)])
@pytest.mark.parametrize("side", [352, 224, 416, 256, 48])
def test_masks_are_resized_as_pil_does(size, side):
    mask = np.random.default_rng(0).random(size) > 0.5
    expected = PILImage.fromarray(mask.astype(np.uint8) * 255).resize((side, side), PILImage.Resampling.NEAREST)
    np.testing.assert_array_equal(resize_nearest(mask, (side, side)), np.asarray(expected) > 0)


IMAGES = [f"s{number:02d}" for number in range(50)]


class TestSample:
    def test_few_images_are_all_run_twice(self):
        assert sampled_images(IMAGES[:SAMPLE], first=8, seed=0) == set(IMAGES[:SAMPLE])

    def test_of_many_a_sample_with_the_whole_first_part(self):
        sample = sampled_images(IMAGES, first=8, seed=0)
        assert len(sample) == SAMPLE
        assert set(IMAGES[:8]) <= sample

    def test_a_large_first_part_is_run_twice_whole(self):
        assert sampled_images(IMAGES, first=40, seed=0) == set(IMAGES[:40])

    def test_another_seed_draws_another_sample_and_order_does_not_count(self):
        assert sampled_images(IMAGES, first=8, seed=0) != sampled_images(IMAGES, first=8, seed=1)
        turned = [*IMAGES[:8], *reversed(IMAGES[8:])]
        assert sampled_images(IMAGES, first=8, seed=0) == sampled_images(turned, first=8, seed=0)


@pytest.mark.parametrize(
    ("changes", "noisy"), [([0.0, 0.0], False), ([0.0, 1e-6], True), ([float("nan"), 0.0], False), ([], False)]
)
def test_noise_is_any_change_of_a_mask_between_two_equal_runs(changes, noisy):
    rows = pd.DataFrame({"condition": ["rerun"] * len(changes), "mask_change": pd.Series(changes, dtype=float)})
    other = pd.DataFrame({"condition": ["antonym:side"], "mask_change": [0.5]})
    assert shows_noise(pd.concat([rows, other])) is noisy


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return rb.load_dataset(write_dataset(tmp_path_factory.mktemp("set") / "set", images=36), prompt="p5")


class TestAudit:
    def _twice(self, predict, data, out):
        model = rb.segmenter(predict, name="model")
        rows = rb.audit(model, data, perturbations=["empty"], out=out, report=False).results()
        return rows[rows.condition == "rerun"].case_id.nunique(), rows[rows.condition == "clean"].case_id.nunique()

    @pytest.mark.slow
    def test_a_quiet_model_runs_a_sample_twice(self, data, tmp_path):
        twice, clean = self._twice(reads_side, data, tmp_path / "run")
        assert twice / clean == SAMPLE / 36

    @pytest.mark.slow
    def test_a_noisy_model_runs_every_image_twice(self, data, tmp_path):
        rng = np.random.default_rng(0)

        def noisy(images, prompts):
            return [np.clip(p + rng.normal(0, 0.6, p.shape), 0, 1) for p in reads_side(images, prompts)]

        twice, clean = self._twice(noisy, data, tmp_path / "run")
        assert twice == clean


@pytest.fixture
def stored(tmp_path):
    """Predictions of the reader, as its own audit saved them."""
    data = rb.load_dataset(write_dataset(tmp_path / "set", images=4), prompt="p5")
    direct = rb.audit(
        rb.segmenter(reads_side, name="reader"),
        data,
        perturbations=["antonym:side", "paraphrase", "gaussian_noise"],
        severities=[1],
        out=tmp_path / "direct",
        report=False,
        engine={"save_predictions": True},
    )
    return data, direct, tmp_path / "direct" / "predictions" / "reader" / "set"


def _again(data, folder, out):
    return rb.audit(
        rb.load_predictions(folder, name="reader"),
        data,
        perturbations=["antonym:side", "paraphrase", "gaussian_noise"],
        severities=[1],
        out=out,
        report=False,
    )


@pytest.mark.slow
def test_saved_masks_score_as_the_direct_audit_did(stored, tmp_path):
    data, direct, folder = stored
    again = _again(data, folder, tmp_path / "again").results()
    before = direct.results()
    assert again.dice.equals(before.dice)
    assert again.mask_change.equals(before.mask_change)


@pytest.mark.slow
def test_a_missing_mask_is_an_error_in_its_row_only(stored, tmp_path):
    data, _, folder = stored
    (folder / "antonym_side" / "s01_left.png").unlink()
    (folder / "clean" / "s02_left.png").unlink()
    rows = _again(data, folder, tmp_path / "again").results()
    failed = rows[rows.error != ""]
    assert set(zip(failed.condition, failed.case_id, strict=True)) == {
        ("antonym:side", "s01_left"),
        ("clean", "s02_left"),
        ("rerun", "s02_left"),
    }
    without_clean = rows[(rows.case_id == "s02_left") & (rows.condition == "antonym:side")]
    assert without_clean.dice.notna().all()
    assert without_clean.mask_change.isna().all()


@pytest.mark.slow
def test_a_mask_of_another_size_is_an_error_in_its_row(stored, tmp_path):
    data, _, folder = stored
    PilImage.fromarray(np.zeros((7, 9), np.uint8)).save(folder / "antonym_side" / "s01_left.png")
    rows = _again(data, folder, tmp_path / "again").results()
    failed = rows[rows.error != ""]
    assert failed.case_id.tolist() == ["s01_left"]
    assert "7" in failed.error.iloc[0]


def test_the_overlap_of_two_targets_is_a_column_where_there_are_two() -> None:
    row = dataclasses.replace(ResultRow.of(SERIES, INFO, "other:side"), other_case_id="d", other_overlap=1.0)
    table = results_table([row, ResultRow.of(SERIES, INFO)])
    assert table["other_overlap"].tolist()[0] == 1.0
    assert table["other_overlap"].isna().tolist() == [False, True]
