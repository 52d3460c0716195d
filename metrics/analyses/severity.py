"""At which severity the mean loss first exceeds what is tolerable."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from robustness.metrics.inference.bootstrap import bootstrap_weights, expanded_tail
from robustness.metrics.inference.intervals import Values
from robustness.metrics.pairing.grid import Grid

CROSSING_COLUMNS = ("exceeds_at", "exceeds_low", "exceeds_high", "exceeds_share", "trend_p")


class Crossing(NamedTuple):
    """Where the mean loss first exceeds the margin, in severities between 0 (no loss) and the largest that was run.

    Attributes:
        exceeds_at: NaN where it does not up to the largest severity.
        exceeds_low: NaN where fewer than the lower quantile's resamples exceed it.
        exceeds_high: NaN where the upper end lies beyond the largest severity.
        exceeds_share: share of resamples in which it is exceeded at all.
        trend_p: Page's test that the loss rises with severity; NaN with fewer than three severities.
    """

    exceeds_at: float
    exceeds_low: float
    exceeds_high: float
    exceeds_share: float
    trend_p: float


def crossing(
    grid: Grid, corruption: str, *, margin: float = 0.05, alpha: float = 0.05, resamples: int = 9999, seed: int = 0
) -> Crossing:
    """Return the severity at which the mean loss of a corruption first exceeds `margin`, with a bootstrap interval.

    Linear between the severities that were run, from a loss of 0 at severity 0. Subjects are resampled (expanded
    percentiles); a resample that never exceeds the margin counts as beyond the scale, which is NaN here. Only subjects
    with every severity count; no interval with fewer than two.

    Source: Page 1963, doi:10.1080/01621459.1963.10500843, for the trend.
    """
    columns = grid.columns(corruption)
    loss = grid.loss[:, columns]
    loss = loss[np.isfinite(loss).all(axis=1)]
    severity = np.array([grid.severity[i] for i in columns], dtype=float)
    k = len(loss)
    nan = math.nan
    if k == 0:
        return Crossing(nan, nan, nan, nan, nan)
    at = float(first_above(loss.mean(axis=0, keepdims=True), severity, margin)[0])
    if k < 2:
        return Crossing(_known(at), nan, nan, nan, nan)
    drawn = first_above(bootstrap_weights(k, resamples, seed) @ loss / k, severity, margin)
    tail = expanded_tail(k, 1 - alpha)
    low, high = np.quantile(drawn, [tail, 1 - tail], method="nearest")
    return Crossing(_known(at), _known(low), _known(high), float(np.isfinite(drawn).mean()), _trend(loss))


def first_above(curves: Values, severity: Values, margin: float) -> Values:
    """Return, per curve (R, S) over `severity` (S,), where it first exceeds `margin`; inf where it never does."""
    start = np.zeros((len(curves), 1))
    loss, at = np.hstack([start, curves]), np.concatenate([[0.0], severity])
    above = loss > margin
    first = above.argmax(axis=1)
    before = np.maximum(first - 1, 0)
    rows = np.arange(len(curves))
    low, high = loss[rows, before], loss[rows, first]
    share = (margin - low) / np.where(high > low, high - low, 1.0)
    reached = at[before] + share * (at[first] - at[before])
    return np.where(above.any(axis=1), reached, math.inf)


def _known(value: float) -> float:
    return float(value) if math.isfinite(value) else math.nan


def _trend(loss: Values) -> float:
    from scipy.stats import page_trend_test

    if loss.shape[1] < 3:
        return math.nan
    return float(page_trend_test(np.round(loss, 9), method="asymptotic").pvalue)
