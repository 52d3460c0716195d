"""Cluster bootstrap with the expanded percentile interval, for ratios and other summaries that are no means."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from robustness.metrics.intervals import Interval
from robustness.seeds import generator

Matrix = npt.NDArray[np.float64]


def cluster_bootstrap(
    sums: Matrix, statistic: Callable[[Matrix], npt.NDArray[np.float64]], *,
    level: float = 0.95, resamples: int = 9999, seed: int = 0,
) -> Interval:  # fmt: skip
    """Return a statistic of subject sums with its interval; whole subjects are drawn, all columns together.

    The percentiles are widened to Phi(t_(K-1, q) sqrt(K / (K - 1))), which repairs the plain percentile interval's
    undercoverage for few subjects. Undefined (NaN bounds) for fewer than two subjects, and where more than 5% of the
    resamples give no finite statistic.

    Args:
        sums: one row per subject, one column per quantity (K, Q).
        statistic: maps totals (R, Q) to values (R,); for a ratio of means ``lambda t: t[:, 0] / t[:, 1]``.

    Source: Hesterberg 2015, doi:10.1080/00031305.2015.1089789; resample the top level only: Field & Welsh 2007.
    """
    from scipy.special import ndtr, stdtrit

    k = len(sums)
    with np.errstate(divide="ignore", invalid="ignore"):
        estimate = float(statistic(sums.sum(axis=0, keepdims=True))[0]) if k else math.nan
        if k < 2:
            return Interval(estimate, math.nan, math.nan)
        drawn = generator(seed, "bootstrap").multinomial(k, np.full(k, 1 / k), size=resamples) @ sums
        values = statistic(drawn)
    finite = values[np.isfinite(values)]
    if finite.size < 0.95 * resamples:
        return Interval(estimate, math.nan, math.nan)
    tail = float(ndtr(stdtrit(k - 1, (1 - level) / 2) * math.sqrt(k / (k - 1))))
    low, high = np.quantile(finite, [tail, 1 - tail])
    return Interval(estimate, float(low), float(high))
