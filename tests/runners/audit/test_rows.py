"""A row of the results: its columns are the contract's, whatever happened to its prediction."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image as PILImage

from robustness.results import COLUMNS, FLAGS, MEASURED
from robustness.run_folder import RunFolder
from robustness.runners.audit.parts import Part
from robustness.runners.audit.results_table import results_table
from robustness.runners.audit.row_progress import STEP, RowProgress
from robustness.runners.audit.rows import ResultRow, SeriesIdentity
from robustness.runners.audit.scoring import resize_nearest
from robustness.types import CaseInfo, Prompt

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


def test_finished_parts_tell_how_many_rows_the_others_will_give(tmp_path: Path) -> None:
    run, reports = RunFolder.create(tmp_path / "run"), []
    parts = [part(0), part(1), part(2, dataset=1)]
    rows = RowProgress(run, parts, [2, 4, 3], [10, 7], lambda *counts: reports.append(counts))
    rows.parts_done(0, 3)
    # Nothing is known yet: cases times conditions.
    assert reports[-1] == (0, 6 * 10 + 3 * 7)
    finish(run, 0, 30)
    rows.parts_done(1, 3)
    assert reports[-1] == (30, 30 + 4 * 15 + 3 * 7)
    finish(run, 1, 64)
    finish(run, 2, 20)
    rows.parts_done(3, 3)
    assert reports[-1] == (114, 114)


def test_the_part_under_way_is_reported_every_so_many_rows_and_never_beyond_the_total(tmp_path: Path) -> None:
    run, reports = RunFolder.create(tmp_path / "run"), []
    rows = RowProgress(run, [part(0)], [1], [10], lambda *counts: reports.append(counts))
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
