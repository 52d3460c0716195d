"""Means over units of inference with their t interval: texts within case, cases within unit, then units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from robustness.metrics.inference.intervals import t_interval


def unit_means(rows: pd.DataFrame, column: str) -> pd.Series:
    """Return one mean per `subject_id`: first over the rows of a case, then over the cases; missing values left out."""
    units = rows[["subject_id", "case_id"]]
    values = units.assign(value=pd.to_numeric(rows[column], errors="coerce")).dropna(subset=["value"])
    by_case = values.groupby(["subject_id", "case_id"], sort=False, dropna=False)["value"].mean()
    return by_case.groupby(level=0, sort=True, dropna=False).mean()


def unit_interval(rows: pd.DataFrame, column: str, *, level: float) -> dict[str, Any]:
    """Return n_images (cases), n_subjects, mean, ci_low and ci_high (NaN for fewer than two units), and level."""
    # A copy of all columns would cost more than the means.
    scored = rows.loc[pd.to_numeric(rows[column], errors="coerce").notna(), ["subject_id", "case_id", column]]
    means = unit_means(scored, column)
    interval = t_interval(means.to_numpy(dtype=np.float64), level=level)
    return {
        "n_images": int(scored["case_id"].nunique()),
        "n_subjects": len(means),
        "mean": interval.estimate,
        "ci_low": interval.low,
        "ci_high": interval.high,
        "level": level,
    }


def unit_intervals(rows: pd.DataFrame, column: str, *, by: Sequence[str], level: float) -> pd.DataFrame:
    """Return what `unit_interval` does for each group of rows, indexed by `by`; groups without a value are left out."""
    scored = rows[[*by, "subject_id", "case_id"]].assign(value=pd.to_numeric(rows[column], errors="coerce"))
    scored = scored.dropna(subset=["value"])
    by_case = scored.groupby([*by, "subject_id", "case_id"], sort=False, dropna=False)["value"].mean()
    means = by_case.groupby(level=[*by, "subject_id"], sort=True, dropna=False).mean()
    n_images = {name: rows["case_id"].nunique() for name, rows in scored.groupby([*by], sort=False)}
    records = {}
    for name, units in means.groupby(level=[*by], sort=False):
        interval = t_interval(units.to_numpy(dtype=np.float64), level=level)
        # A list of one key gives texts here and tuples above, as pandas has it.
        key = name if isinstance(name, tuple) else (name,)
        records[key] = [n_images[key], len(units), *interval, level]
    index = pd.MultiIndex.from_tuples(records, names=[*by])
    columns = ["n_images", "n_subjects", "mean", "ci_low", "ci_high", "level"]
    return pd.DataFrame(records.values(), index, columns=columns)
