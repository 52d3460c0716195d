"""Several models on the same images: does any differ, which pairs do, and how stable is their order."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from robustness.errors import InputError
from robustness.metrics.inference.bootstrap import bootstrap_weights, expanded_tail
from robustness.metrics.inference.intervals import Values
from robustness.metrics.inference.mean_interval import mean_interval
from robustness.metrics.inference.signflip import check_alpha, guarded, sign_flip
from robustness.metrics.pairing.direction import effect_range, orientation_of
from robustness.metrics.pairing.pairs import subject_matrix, subject_values
from robustness.metrics.pairing.rows import read_rows
from robustness.results import CLEAN

PAIR_COLUMNS = (
    "dataset",
    "condition",
    "metric",
    "better",
    "worse",
    "difference",
    "ci_low",
    "ci_high",
    "p_value",
    "p_adjusted",
    "n_subjects",
    "friedman_p",
)
RANK_COLUMNS = (
    "dataset",
    "condition",
    "metric",
    "model",
    "mean",
    "rank",
    "rank_low",
    "rank_high",
    "p_top",
    "n_subjects",
    "kendall_tau",
    "tau_low",
    "shares",
)


class Scores(NamedTuple):
    """Subject means of every model on one dataset, (K, M), higher is better; only subjects that all models have."""

    dataset: str
    models: list[str]
    values: Values


def compare_models(
    table: pd.DataFrame,
    *,
    metric: str = "dice",
    condition: str = CLEAN,
    alpha: float = 0.05,
    resamples: int = 9999,
    seed: int = 0,
    higher_is_better: Mapping[str, bool | None] | None = None,
) -> pd.DataFrame:
    """Compare every pair of models on one condition, per dataset: sign-flip tests with max-T over the pairs.

    `friedman_p` is the omnibus test on subject means (exact ties in all subjects: 1). Each pair's p is its own: unlike
    post hoc tests on mean ranks it does not depend on the other models. `difference` is better - worse, in the metric's
    units, with a simultaneous t interval (level 1 - alpha / number of pairs). Interval and p value are guarded where a
    sample is skewed or has no spread (`mean_interval`, `guarded`).

    Args:
        table: rows of several models; subjects that a model lacks are left out for all.

    Returns:
        One row per dataset and pair, columns `PAIR_COLUMNS`; p values are NaN with fewer than two subjects.

    Raises:
        InputError: fewer than two models, or the metric has no direction.

    Source: Friedman 1937; Benavoli 2016, http://jmlr.org/papers/v17/benavoli16a.html.
    """
    check_alpha(alpha, resamples)
    records: list[dict[str, Any]] = []
    for scores in _scores(table, metric, condition, higher_is_better):
        ends = effect_range(metric, scores.values)
        pairs = list(itertools.combinations(range(len(scores.models)), 2))
        differences = np.column_stack([scores.values[:, i] - scores.values[:, j] for i, j in pairs])
        test = sign_flip(differences, resamples=resamples, seed=seed)
        test = guarded(test, differences, low=ends[0], high=ends[1])
        omnibus = friedman_p(scores.values)
        for column, (i, j) in enumerate(pairs):
            level = 1 - alpha / len(pairs)
            interval = mean_interval(differences[:, column], level=level, low=ends[0], high=ends[1]).interval
            swap = interval.estimate < 0
            low, high = (-interval.high, -interval.low) if swap else (interval.low, interval.high)
            records.append(
                {
                    "dataset": scores.dataset,
                    "condition": condition,
                    "metric": metric,
                    "better": scores.models[j if swap else i],
                    "worse": scores.models[i if swap else j],
                    "difference": abs(interval.estimate),
                    "ci_low": low,
                    "ci_high": high,
                    "p_value": test.p_value[column],
                    "p_adjusted": test.p_adjusted[column],
                    "n_subjects": len(scores.values),
                    "friedman_p": omnibus,
                }
            )
    return pd.DataFrame(records, columns=list(PAIR_COLUMNS))


def friedman_p(values: Values) -> float:
    """Return Friedman's p for subject means (K, M); 1 where every subject ties all models, NaN for K < 2 or M < 3."""
    rounded = np.round(values, 9)
    if len(values) < 2 or values.shape[1] < 3:
        return math.nan
    if (np.ptp(rounded, axis=1) == 0).all():
        return 1.0
    # Here, not before: two models need no library whose import takes a third of a second.
    from scipy.stats import friedmanchisquare

    return float(friedmanchisquare(*rounded.T).pvalue)


def rank_stability(
    table: pd.DataFrame,
    *,
    metric: str = "dice",
    condition: str = CLEAN,
    alpha: float = 0.05,
    resamples: int = 9999,
    seed: int = 0,
    higher_is_better: Mapping[str, bool | None] | None = None,
) -> pd.DataFrame:
    """Rank models by their mean over subjects and say how much the order depends on who was in the sample.

    Subjects are resampled, all models together. `rank_low` to `rank_high` holds 1 - alpha of the resampled ranks,
    `p_top` is the share of resamples that a model wins (ties shared), `shares` the same for every place, first to last
    (a tuple; its first is `p_top`), `kendall_tau` the mean rank correlation (tau-b)
    of resampled orders with the observed one and `tau_low` its lower alpha quantile, both the same for all models of a
    dataset.

    Returns:
        One row per dataset and model, best first, columns `RANK_COLUMNS`; NaN intervals with fewer than two subjects.

    Raises:
        InputError: fewer than two models, or the metric has no direction.

    Source: Wiesenfarth 2021, doi:10.1038/s41598-021-82017-6, who resamples cases.
    """
    check_alpha(alpha, resamples)
    records: list[dict[str, Any]] = []
    for scores in _scores(table, metric, condition, higher_is_better):
        records += _ranked(scores, metric, condition, alpha, resamples, seed)
    return pd.DataFrame(records, columns=list(RANK_COLUMNS))


def _ranked(
    scores: Scores, metric: str, condition: str, alpha: float, resamples: int, seed: int
) -> list[dict[str, Any]]:
    k = len(scores.values)
    mean = scores.values.mean(axis=0) if k else np.full(len(scores.models), math.nan)
    rank = _ranks(-mean)
    low = high = np.full(mean.size, math.nan)
    shares = np.full((mean.size, mean.size), math.nan)
    tau = np.full(1, math.nan)
    if k >= 2:
        drawn = bootstrap_weights(k, resamples, seed) @ scores.values / k
        ranks = _ranks(-np.round(drawn, 12))
        tail = expanded_tail(k, 1 - alpha)
        low, high = np.quantile(ranks, [tail, 1 - tail], axis=0, method="nearest")
        shares = _shares(ranks)
        tau = _taus(ranks, rank)
    return [
        {
            "dataset": scores.dataset,
            "condition": condition,
            "metric": metric,
            "model": scores.models[i],
            "mean": mean[i],
            "rank": rank[i],
            "rank_low": low[i],
            "rank_high": high[i],
            "p_top": shares[i, 0],
            "n_subjects": k,
            "kendall_tau": tau.mean(),
            "tau_low": np.quantile(tau, alpha),
            "shares": tuple(shares[i].tolist()),
        }
        for i in np.argsort(rank, kind="stable")
    ]


def _ranks(values: Values) -> Values:
    """Return the ranks 1, 2, ... of the last axis, smallest first; tied values share the mean of their ranks.

    All are NaN where one of the values is.
    """
    below = (values[..., None, :] < values[..., :, None]).sum(axis=-1)
    tied = (values[..., None, :] == values[..., :, None]).sum(axis=-1)
    unknown = np.isnan(values).any(axis=-1, keepdims=True)
    return np.asarray(np.where(unknown, np.nan, below + (tied + 1) / 2), dtype=np.float64)


def _shares(ranks: Values) -> Values:
    """Return, per model, the share of resamples (rows of mean ranks) at each place; t tied models share t places."""
    tied = (ranks[:, :, None] == ranks[:, None, :]).sum(axis=2)
    first = ranks - (tied - 1) / 2
    places = np.arange(1, ranks.shape[1] + 1)
    tied_here = (places >= first[..., None]) & (places < (first + tied)[..., None])
    return np.asarray((tied_here / tied[..., None]).mean(axis=0), dtype=np.float64)


def _taus(ranks: Values, observed: Values) -> Values:
    """Return Kendall's tau-b of each row of `ranks` with `observed`; 0 where a row ties all models."""
    first, second = np.triu_indices(observed.size, 1)
    there, here = np.sign(ranks[:, first] - ranks[:, second]), np.sign(observed[first] - observed[second])
    scale = np.sqrt((there != 0).sum(axis=1) * int((here != 0).sum()))
    return np.asarray((there @ here) / np.where(scale > 0, scale, 1.0), dtype=np.float64)


def _scores(
    table: pd.DataFrame, metric: str, condition: str, higher_is_better: Mapping[str, bool | None] | None
) -> list[Scores]:
    sign = 1.0 if orientation_of(metric, higher_is_better) == "clean - perturbed" else -1.0
    rows = read_rows(table)
    if rows.cells["model"].nunique() < 2:
        raise InputError("table: expected rows of at least two models, got one; put their results in one table")
    values = sign * rows.values(metric)
    chosen = rows.cells[rows.cells["condition"] == condition]
    if chosen.empty:
        raise InputError(f"condition: the table has no rows of {condition!r}")
    scores = []
    for dataset, cells in chosen.groupby("dataset", sort=True):
        columns = []
        for cell in cells.index:
            where = np.flatnonzero((rows.cell == cell) & np.isfinite(values))
            columns.append(subject_values(rows, where, values[where])[:2])
        matrix = subject_matrix(columns)
        if len(columns) >= 2:
            complete = matrix[np.isfinite(matrix).all(axis=1)]
            scores.append(Scores(str(dataset), [str(name) for name in cells["model"]], complete))
    return scores
