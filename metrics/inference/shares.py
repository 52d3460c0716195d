"""Intervals of shares: exact where each subject is 0 or 1, distribution-free where it is a share itself."""

from __future__ import annotations

import math
from typing import NamedTuple

from robustness.metrics.inference.intervals import Interval, Values
from robustness.metrics.inference.upper_bound import gaffke_bound


class Share(NamedTuple):
    """A share of subjects with its interval; NaN without subjects."""

    value: float
    low: float
    high: float


def clopper_pearson(count: int, n_subjects: int, *, level: float = 0.95) -> Share:
    """Return the share `count` / `n_subjects` with its two-sided exact interval (each side errs with (1 - level) / 2).

    Undefined (NaN) without subjects.

    Source: Clopper & Pearson 1934, doi:10.1093/biomet/26.4.404.

    Example:
        >>> [round(bound, 3) for bound in clopper_pearson(18, 60)]
        [0.3, 0.188, 0.432]
    """
    from scipy.special import betaincinv

    if n_subjects == 0:
        return Share(math.nan, math.nan, math.nan)
    tail = (1 - level) / 2
    low = 0.0 if count == 0 else float(betaincinv(count, n_subjects - count + 1, tail))
    high = 1.0 if count == n_subjects else float(betaincinv(count + 1, n_subjects - count, 1 - tail))
    return Share(count / n_subjects, low, high)


def share_interval(values: Values, *, level: float = 0.95, resamples: int = 9999, seed: int = 0) -> Interval:
    """Return the mean share over subjects, each in [0, 1], with a distribution-free interval.

    Gaffke's bound from both sides, each at (1 - level) / 2. For subjects that are all 0 or 1 it is Clopper and
    Pearson's interval; so ten subjects without a failure do not give [0, 0]. Undefined without subjects.
    """
    if values.size == 0:
        return Interval(math.nan, math.nan, math.nan)
    alpha = (1 - level) / 2
    low = 1 - gaffke_bound(1 - values, alpha=alpha, resamples=resamples, seed=seed)
    high = gaffke_bound(values, alpha=alpha, resamples=resamples, seed=seed)
    # Both bounds are drawn: at 0 and 1 their last digits could leave the estimate outside.
    mean = float(values.mean())
    return Interval(mean, max(0.0, min(low, mean)), max(high, mean))
