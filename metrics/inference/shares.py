"""Intervals of shares: of images that fail, flip or follow a swap."""

from __future__ import annotations

import math

from robustness.metrics.inference.intervals import Interval, Values
from robustness.metrics.inference.upper_bound import gaffke_bound


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
