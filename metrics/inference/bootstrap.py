"""Cluster bootstrap with the expanded percentile interval, for ratios and other summaries that are no means."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from robustness.metrics.inference.intervals import Interval
from robustness.seeds import generator

Matrix = npt.NDArray[np.float64]


def cluster_bootstrap(
    sums: Matrix,
    statistic: Callable[[Matrix], npt.NDArray[np.float64]],
    *,
    level: float = 0.95,
    resamples: int = 9999,
    seed: int = 0,
) -> Interval:
    """Return a statistic of subject sums with its interval; whole subjects are drawn, all columns together.

    Undefined (NaN bounds) for fewer than two subjects, and where more than 5% of the resamples give no finite
    statistic.

    Args:
        sums: one row per subject, one column per quantity (K, Q).
        statistic: maps totals (R, Q) to values (R,); for a ratio of means ``lambda t: t[:, 0] / t[:, 1]``.

    Source: Hesterberg 2015, doi:10.1080/00031305.2015.1089789; resample the top level only: Field & Welsh 2007.
    """
    k = len(sums)
    with np.errstate(divide="ignore", invalid="ignore"):
        estimate = float(statistic(sums.sum(axis=0, keepdims=True))[0]) if k else math.nan
        if k < 2:
            return Interval(estimate, math.nan, math.nan)
        values = statistic(bootstrap_weights(k, resamples, seed) @ sums)
    return expanded_percentile(estimate, values, k, level=level)


def bootstrap_weights(n_subjects: int, resamples: int, seed: int) -> Matrix:
    """Return how often each subject is drawn in each resample, (resamples, n_subjects)."""
    drawn = generator(seed, "bootstrap").multinomial(n_subjects, np.full(n_subjects, 1 / n_subjects), size=resamples)
    return np.asarray(drawn, dtype=np.float64)


def expanded_percentile(estimate: float, values: Matrix, n_subjects: int, *, level: float = 0.95) -> Interval:
    """Return the expanded percentile interval of resampled statistics (R,); NaN bounds if over 5% are not finite.

    The percentiles are widened to Phi(t_(K-1, q) sqrt(K / (K - 1))), which repairs the plain percentile interval's
    undercoverage for few subjects.
    """
    finite = values[np.isfinite(values)]
    if n_subjects < 2 or finite.size < 0.95 * values.size:
        return Interval(estimate, math.nan, math.nan)
    tail = expanded_tail(n_subjects, level)
    low, high = np.quantile(finite, [tail, 1 - tail])
    return Interval(estimate, float(low), float(high))


def expanded_tail(n_subjects: int, level: float) -> float:
    """Return the share of resamples that the expanded percentile interval leaves out on each side."""
    from scipy.special import ndtr, stdtrit

    k = n_subjects
    return float(ndtr(stdtrit(k - 1, (1 - level) / 2) * math.sqrt(k / (k - 1))))
