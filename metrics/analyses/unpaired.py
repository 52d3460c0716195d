"""Two groups of different subjects: another hospital, another scanner. Never the paired engine."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pandas as pd

from robustness.errors import InputError
from robustness.metrics.inference.intervals import Values, sample_sd
from robustness.metrics.inference.signflip import check_alpha
from robustness.metrics.pairing.pairs import subject_values
from robustness.metrics.pairing.rows import read_rows
from robustness.results import CLEAN
from robustness.seeds import generator


class Unpaired(NamedTuple):
    """Difference of two group means, `first` - `second`, over subjects."""

    first_mean: float
    second_mean: float
    difference: float
    ci_low: float
    ci_high: float
    p_value: float
    n_first: int
    n_second: int
    method: str


def compare_unpaired(
    first: pd.DataFrame,
    second: pd.DataFrame,
    *,
    metric: str = "dice",
    condition: str = CLEAN,
    alpha: float = 0.05,
    resamples: int = 9999,
    seed: int = 0,
) -> Unpaired:
    """Compare one condition's `metric` between two tables whose subjects differ.

    Welch's t interval on subject means; p by permuting the group labels of whole subjects, with Welch's statistic, so
    that groups of unequal size and spread are compared fairly. NaN with fewer than two subjects in a group. Every
    subject weighs alike.

    Raises:
        InputError: a subject is in both tables (then compare pairs), or a table lacks a column.

    Source: Welch 1947, doi:10.1093/biomet/34.1-2.28; Janssen 1997, doi:10.1016/S0167-7152(97)00043-6.
    """
    check_alpha(alpha, resamples)
    shared = _subjects(first) & _subjects(second)
    if shared:
        who = " of ".join(reversed(min(shared)))
        raise InputError(f"second: subject {who} is in both tables; use effects, which pairs, instead")
    a, b = (_subject_means(table, metric, condition) for table in (first, second))
    low, high = _welch_interval(a, b, alpha)
    p_value = _permutation_p(a, b, resamples, seed)
    mean_a, mean_b = (float(v.mean()) if v.size else math.nan for v in (a, b))
    method = "Welch t on subject means; p by permuting subjects"
    return Unpaired(mean_a, mean_b, mean_a - mean_b, low, high, p_value, a.size, b.size, method)


def _subjects(table: pd.DataFrame) -> set[tuple[str, str]]:
    if "subject_id" not in table.columns:
        return set()
    dataset = table["dataset"] if "dataset" in table.columns else pd.Series("", index=table.index)
    stated = table["subject_id"].notna()
    return set(zip(dataset[stated].astype(str), table.loc[stated, "subject_id"].astype(str), strict=True))


def _subject_means(table: pd.DataFrame, metric: str, condition: str) -> Values:
    rows = read_rows(table)
    values = rows.values(metric)
    used = (rows.cells["condition"] == condition).to_numpy()[rows.cell] & np.isfinite(values)
    where = np.flatnonzero(used)
    return subject_values(rows, where, values[where])[1]


def _welch_interval(a: Values, b: Values, alpha: float) -> tuple[float, float]:
    from scipy.special import stdtrit

    if min(a.size, b.size) < 2:
        return math.nan, math.nan
    parts = [sample_sd(v) ** 2 / v.size for v in (a, b)]
    difference, variance = float(a.mean() - b.mean()), sum(parts)
    if variance == 0:
        return difference, difference
    df = variance**2 / sum(p**2 / (v.size - 1) for p, v in zip(parts, (a, b), strict=True))
    half = float(stdtrit(df, 1 - alpha / 2)) * math.sqrt(variance)
    return difference - half, difference + half


def _permutation_p(a: Values, b: Values, resamples: int, seed: int) -> float:
    if min(a.size, b.size) < 2:
        return math.nan
    pooled = np.concatenate([a, b])
    rng = generator(seed, "unpaired", a.size, b.size)
    observed, extreme, done = _statistic(pooled[None, :], a.size)[0], 0, 0
    block = max(1, 4_000_000 // pooled.size)
    while done < resamples:
        n = min(block, resamples - done)
        drawn = rng.permuted(np.broadcast_to(pooled, (n, pooled.size)), axis=1)
        extreme += int((_statistic(drawn, a.size) >= observed * (1 - 1e-10)).sum())
        done += n
    return (1 + extreme) / (resamples + 1)


def _statistic(values: Values, n_first: int) -> Values:
    """Return |mean difference| / its standard error per row; a constant split counts as extreme as can be."""
    a, b = values[:, :n_first], values[:, n_first:]
    gap = np.abs(a.mean(axis=1) - b.mean(axis=1))
    error = np.sqrt(a.var(axis=1, ddof=1) / a.shape[1] + b.var(axis=1, ddof=1) / b.shape[1])
    tiny = 1e-12 * max(1.0, float(np.abs(values).max(initial=0.0)))
    return np.where(gap <= tiny, 0.0, gap / np.maximum(error, tiny))
