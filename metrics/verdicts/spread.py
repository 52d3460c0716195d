"""Between-subject standard deviations of a finished run: what planning the next one rests on."""

from __future__ import annotations

import pandas as pd

from robustness.metrics.inference.intervals import sample_sd
from robustness.metrics.pairing.direction import CHANGE, orientation_of
from robustness.metrics.pairing.pairs import pair, subject_means
from robustness.metrics.pairing.rows import read_rows
from robustness.metrics.verdicts.evidence import common_baseline, gather, prompt_cells
from robustness.results import CLEAN

Spread = dict[tuple[str, str], float]
EXCESS = "excess"


def subject_spread(table: pd.DataFrame, metrics: list[str]) -> Spread:
    """Return the standard deviation of the subjects' mean effects by (condition, metric).

    Of several models the largest counts. The metric `EXCESS` is the mask change beyond that of a paraphrase, on which
    prompt claims rest. What has fewer than two subjects, or no spread at all, is left out: no spread was seen, so none
    can be assumed.

    Args:
        table: a run's rows, see `robustness.metrics.analyses.effects.effects`.
        metrics: columns of it; those that it lacks are left out.
    """
    rows = read_rows(table)
    spread: Spread = {}
    for metric in (m for m in metrics if m in table.columns):
        pairs = pair(rows, metric, orientation_of(metric, None))
        for cell, row in rows.cells[rows.cells["condition"] != CLEAN].iterrows():
            where = pairs.of(int(cell))
            _keep(spread, row["condition"], metric, subject_means(pairs.effect[where], pairs.subject[where])[1])
    if CHANGE in table.columns:
        changes = pair(rows, CHANGE, "itself")
        for _, cells in rows.cells.groupby("group", sort=True):
            baseline = common_baseline(rows, changes, cells)
            for cell in prompt_cells(rows, cells):
                _keep(spread, rows.cells.at[cell, "condition"], EXCESS, gather(rows, baseline, cell).excess)
    return spread


def _keep(spread: Spread, condition: str, metric: str, values: object) -> None:
    sd = sample_sd(values)  # type: ignore[arg-type]
    if sd > 0:
        spread[condition, metric] = max(spread.get((condition, metric), 0.0), sd)
