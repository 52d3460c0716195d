"""Progress of an audit by rows: what is done is counted, what is left is expected from what is done."""

from pathlib import Path

import pandas as pd

from robustness.run_folder import RunFolder
from robustness.runners.audit.parts import Part
from robustness.runners.audit.row_progress import STEP, RowProgress


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
