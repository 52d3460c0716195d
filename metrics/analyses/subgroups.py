"""Effects by subgroup of subjects, with "too few" in place of a number where a group is small."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from robustness.errors import InputError, suggest_column
from robustness.metrics.inference.intervals import Interval, t_interval
from robustness.metrics.inference.signflip import check_alpha
from robustness.metrics.pairing.direction import orientation_of
from robustness.metrics.pairing.pairs import pair, subject_means, subject_values
from robustness.metrics.pairing.rows import codes, read_rows
from robustness.results import CLEAN

COLUMNS = (
    "model",
    "dataset",
    "condition",
    "metric",
    "group",
    "n_images",
    "n_subjects",
    "mean",
    "mean_low",
    "mean_high",
    "effect",
    "ci_low",
    "ci_high",
    "level",
    "note",
)


def subgroups(
    table: pd.DataFrame,
    by: str,
    *,
    metric: str = "dice",
    alpha: float = 0.05,
    at_least: int = 10,
    higher_is_better: Mapping[str, bool | None] | None = None,
) -> pd.DataFrame:
    """Return, per value of a column, the mean score of every condition and its effect against clean.

    Intervals are t intervals on subject means, simultaneous over the groups that are large enough (Bonferroni: `level`
    is 1 - alpha / groups), so the worst group's bounds hold although it was picked. A group of fewer than `at_least`
    subjects gets "too few subjects" and no number: its mean would be read, and the worst of many small groups is bad by
    chance.

    Args:
        table: as for `effects`, with the column `by` (one value per case; a missing value is the group "").
        by: column that names the group, "target" or one of your own.
        at_least: subjects that a group needs.

    Returns:
        One row per model, dataset, condition (clean first, whose effect is NaN) and group, columns `COLUMNS`.

    Raises:
        InputError: no such column, or a case with two values.
    """
    check_alpha(alpha, 1)
    if by not in table.columns:
        raise InputError(f"by: the table has no column {by!r}{suggest_column(by, map(str, table.columns))}")
    rows = read_rows(table)
    group, names = _groups(rows.frame, by, rows.case)
    orientation = orientation_of(metric, higher_is_better)
    pairs, scores = pair(rows, metric, orientation), rows.values(metric)
    records: list[dict[str, Any]] = []
    for _, cells in rows.cells.groupby("group", sort=True):
        order = sorted(cells.index, key=lambda c: (cells.at[c, "condition"] != CLEAN, cells.at[c, "condition"]))
        for cell in order:
            mine = np.flatnonzero((rows.cell == cell) & np.isfinite(scores))
            where = pairs.of(int(cell))
            parts = []
            for g in range(len(names)):
                own, paired = mine[group[rows.case[mine]] == g], group[pairs.case[where]] == g
                _, values, n_images = subject_values(rows, own, scores[own])
                effect = subject_means(pairs.effect[where][paired], pairs.subject[where][paired])[1]
                parts.append((names[g], n_images, values, effect))
            enough = sum(values.size >= at_least for _, _, values, _ in parts)
            level = 1 - alpha / max(1, enough)
            key = {name: cells.at[cell, name] for name in COLUMNS[:3]} | {"metric": metric}
            records += [key | _record(*part, level, at_least) for part in parts if part[2].size]
    return pd.DataFrame(records, columns=list(COLUMNS))


def _record(
    name: str, n_images: int, values: np.ndarray, effect: np.ndarray, level: float, at_least: int
) -> dict[str, Any]:
    nothing = Interval(math.nan, math.nan, math.nan)
    few = values.size < at_least
    mean = nothing if few else t_interval(values, level=level)
    drop = nothing if effect.size < at_least else t_interval(effect, level=level)
    sizes = {"group": name, "n_images": n_images, "n_subjects": values.size}
    numbers = dict(zip(COLUMNS[7:13], (*mean, *drop), strict=True))
    return sizes | numbers | {"level": level, "note": "too few subjects" if few else ""}


def _groups(frame: pd.DataFrame, by: str, case: np.ndarray) -> tuple[np.ndarray, list[str]]:
    stated = frame[[by]].copy()
    stated[by] = stated[by].where(stated[by].notna(), "").astype("str")
    code, names = codes(stated, [by])
    of_case = np.full(int(case.max(initial=-1)) + 1, -1, dtype=np.int64)
    of_case[case] = code
    wrong = np.flatnonzero(of_case[case] != code)
    if wrong.size:
        raise InputError(f"by: expected one {by} per case, case {frame['case_id'].iloc[int(wrong[0])]!r} has several")
    return of_case, [str(name) for name in names[by]]
