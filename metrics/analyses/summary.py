"""Loss under image perturbations: one summary per model, one row per corruption, the worst case."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import pandas as pd

from robustness.errors import InputError
from robustness.metrics.analyses.severity import CROSSING_COLUMNS, crossing
from robustness.metrics.inference.bootstrap import bootstrap_weights, cluster_bootstrap, expanded_percentile
from robustness.metrics.inference.intervals import Interval, Values, t_interval
from robustness.metrics.inference.signflip import check_alpha
from robustness.metrics.pairing.grid import Grid, grids

SUMMARY_COLUMNS = (
    "model",
    "dataset",
    "metric",
    "n_corruptions",
    "n_subjects",
    "n_incomplete",
    "clean_mean",
    "mean_degradation",
    "degradation_low",
    "degradation_high",
    "retention",
    "retention_low",
    "retention_high",
    "failure_increase",
    "failure_low",
    "failure_high",
    "p05",
    "p05_low",
    "p05_high",
    "cvar10",
    "cvar10_low",
    "cvar10_high",
    "worst",
    "worst_degradation",
    "worst_upper",
    "note",
)
CORRUPTION_COLUMNS = (
    "model",
    "dataset",
    "corruption",
    "metric",
    "n_severities",
    "n_images",
    "n_subjects",
    "degradation",
    "ci_low",
    "ci_high",
    "retention",
    "retention_low",
    "retention_high",
    "failure_increase",
    "failure_low",
    "failure_high",
    *CROSSING_COLUMNS,
    "note",
)
Weights = Literal["equal", "mild"]
# ROOD-MRI: mild severities weigh most.
_DECAY = {"equal": 1.0, "mild": 2 / 3}
TOO_FEW = 10


def robustness_summary(
    table: pd.DataFrame,
    *,
    metric: str = "dice",
    failure_below: float = 0.5,
    alpha: float = 0.05,
    weights: Weights = "equal",
    resamples: int = 9999,
    seed: int = 0,
) -> pd.DataFrame:
    """Return one row per (model, dataset) over all image conditions; means are taken per subject first.

    - mean degradation: mean over corruptions of the mean over severities of clean - perturbed (t interval)
    - retention: sum of perturbed / sum of clean (cluster bootstrap)
    - failure increase: share of images with the metric below `failure_below`, perturbed - clean (t interval)
    - p05 and cvar10: 5th percentile of the subjects' mean perturbed score, and the mean of the worst tenth of subjects
      (cluster bootstrap)
    - worst: the corruption with the largest observed mean. Its mean is biased upwards (winner's curse), so
    `worst_upper`
      bounds the largest *true* mean: the largest of the simultaneous one-sided bounds, each at alpha / corruptions.

    Read the table per corruption beside it: a mean over twenty hides everything. Subjects without every condition are
    left out and counted (`n_incomplete`). With fewer than two subjects there are no intervals; with fewer than ten no
    worst case.

    Args:
        table: as for `effects`, with image conditions.
        metric: a metric of which more is better.
        weights: "equal" severities, or "mild", (2/3)^s as in ROOD-MRI.

    Source: Hendrycks & Dietterich 2019, arXiv:1903.12261 (without its reference model); Boone 2023, arXiv:2203.06060.
    """
    _check(alpha, resamples, weights)
    records = []
    for grid in grids(table, metric=metric, failure_below=failure_below):
        records.append(_summary(grid, metric, alpha, _DECAY[weights], resamples, seed))
    return pd.DataFrame(records, columns=list(SUMMARY_COLUMNS))


def corruption_table(
    table: pd.DataFrame,
    *,
    metric: str = "dice",
    margin: float = 0.05,
    failure_below: float = 0.5,
    alpha: float = 0.05,
    weights: Weights = "equal",
    resamples: int = 9999,
    seed: int = 0,
) -> pd.DataFrame:
    """Return one row per corruption: degradation, retention and failure increase over its severities.

    Intervals of degradation and failure increase are simultaneous (Bonferroni, alpha / number of corruptions), those of
    retention and of `exceeds_at`, the severity at which the mean loss first exceeds `margin`, are not.
    With fewer than ten subjects `note` says "too few subjects".

    Raises:
        InputError: an option is out of range, or less of the metric is better.
    """
    _check(alpha, resamples, weights)
    records: list[dict[str, Any]] = []
    for grid in grids(table, metric=metric, failure_below=failure_below):
        decay, family = _DECAY[weights], len(grid.corruptions)
        losses, failures, clean, perturbed = (
            grid.per_corruption(v, decay=decay)
            for v in (grid.loss, grid.failed - grid.failed_clean, grid.clean, grid.perturbed)
        )
        for i, name in enumerate(grid.corruptions):
            columns = grid.columns(name)
            defined = np.isfinite(losses[:, i])
            loss, failure = (t_interval(v[defined, i], level=1 - alpha / family) for v in (losses, failures))
            retained = _retention(perturbed[defined, i], clean[defined, i], alpha, resamples, seed)
            first = crossing(grid, name, margin=margin, alpha=alpha, resamples=resamples, seed=seed)
            values = (
                grid.model,
                grid.dataset,
                name,
                metric,
                len(columns),
                int(grid.n_images[columns].max()),
                int(defined.sum()),
                *loss,
                *retained,
                *failure,
                *first,
                _few(int(defined.sum())),
            )
            records.append(dict(zip(CORRUPTION_COLUMNS, values, strict=True)))
    return pd.DataFrame(records, columns=list(CORRUPTION_COLUMNS))


def _summary(grid: Grid, metric: str, alpha: float, decay: float, resamples: int, seed: int) -> dict[str, Any]:
    complete = np.isfinite(grid.loss).all(axis=1)
    loss = grid.per_corruption(grid.loss, decay=decay)[complete]
    clean, perturbed, failure = (
        grid.per_corruption(v, decay=decay)[complete].mean(axis=1)
        for v in (grid.clean, grid.perturbed, grid.failed - grid.failed_clean)
    )
    k = int(complete.sum())
    tails = _tails(perturbed, alpha, resamples, seed)
    values = (
        grid.model,
        grid.dataset,
        metric,
        len(grid.corruptions),
        k,
        int((~complete).sum()),
        clean.mean() if k else math.nan,
        *t_interval(loss.mean(axis=1), level=1 - alpha),
        *_retention(perturbed, clean, alpha, resamples, seed),
        *t_interval(failure, level=1 - alpha),
        *tails[0],
        *tails[1],
        *_worst(grid, loss, alpha),
        _few(k),
    )
    return dict(zip(SUMMARY_COLUMNS, values, strict=True))


def _worst(grid: Grid, loss: Values, alpha: float) -> tuple[str, float, float]:
    if len(loss) < TOO_FEW:
        return "", math.nan, math.nan
    means = loss.mean(axis=0)
    level = 1 - 2 * alpha / loss.shape[1]
    upper = max(t_interval(column, level=level).high for column in loss.T)
    return grid.corruptions[int(means.argmax())], float(means.max()), upper


def _tails(values: Values, alpha: float, resamples: int, seed: int) -> tuple[Interval, Interval]:
    k = values.size
    if k == 0:
        return (Interval(math.nan, math.nan, math.nan),) * 2
    values = np.sort(values)
    estimates = lower_tail(values, np.ones((1, k)))
    if k < 2:
        return tuple(Interval(float(e[0]), math.nan, math.nan) for e in estimates)  # type: ignore[return-value]
    drawn = lower_tail(values, bootstrap_weights(k, resamples, seed))
    first, second = (
        expanded_percentile(float(e[0]), d, k, level=1 - alpha) for e, d in zip(estimates, drawn, strict=True)
    )
    return first, second


def lower_tail(values: Values, weights: Values) -> tuple[Values, Values]:
    """Return the 5th percentile and the mean of the worst tenth of weighted subjects, per resample.

    Args:
        values: one score per subject, ascending (K,).
        weights: how often each subject counts (R, K).
    """
    share = weights / weights.sum(axis=1, keepdims=True)
    reached = share.cumsum(axis=1)
    percentile = values[(reached >= 0.05 - 1e-12).argmax(axis=1)]
    part = np.clip(0.1 - (reached - share), 0.0, share)
    return percentile, np.asarray(part @ values / part.sum(axis=1), dtype=np.float64)


def _retention(perturbed: Values, clean: Values, alpha: float, resamples: int, seed: int) -> Interval:
    sums = np.column_stack([perturbed, clean])
    return cluster_bootstrap(sums, lambda t: t[:, 0] / t[:, 1], level=1 - alpha, resamples=resamples, seed=seed)


def _few(n_subjects: int) -> str:
    return "too few subjects" if n_subjects < TOO_FEW else ""


def _check(alpha: float, resamples: int, weights: str) -> None:
    check_alpha(alpha, resamples)
    if weights not in _DECAY:
        raise InputError(f"weights: expected one of {', '.join(_DECAY)}, got {weights!r}")
