"""t intervals of a mean, and the sums behind them."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]
# Of scores within a few units: their differences and means are exact to some 1e-15.
_ROUNDING = 1e-12


class Interval(NamedTuple):
    """An estimate with its interval; the bounds are NaN where there is none (fewer than two subjects)."""

    estimate: float
    low: float
    high: float


def t_interval(values: Values, *, level: float = 0.95) -> Interval:
    """Return the mean of `values` (one per subject) with its two-sided t interval on K - 1 degrees of freedom.

    mean -/+ t_(K-1, (1 + level) / 2) sd / sqrt(K). Undefined (NaN bounds) for fewer than two values; of width 0 where
    all values are equal, which says that no spread was seen, not that there is none: see
    `robustness.metrics.inference.upper_bound`.

    Example:
        >>> [round(bound, 4) for bound in t_interval(np.array([0.0, 0.1, 0.2]), level=0.9)]
        [0.1, -0.0686, 0.2686]
    """
    from scipy.special import stdtrit

    n = values.size
    if n == 0:
        return Interval(math.nan, math.nan, math.nan)
    mean = float(values.mean())
    if n == 1:
        return Interval(mean, math.nan, math.nan)
    half = float(stdtrit(n - 1, (1 + level) / 2)) * sample_sd(values) / math.sqrt(n)
    return Interval(mean, mean - half, mean + half)


def level_of(level: float) -> str:
    """Write a confidence level: ``90%``; "-" where none is known, and never ``100%`` for a level below it.

    Example:
        >>> level_of(0.9), level_of(1 - 0.1 / 12), level_of(1 - 1e-6)
        ('90%', '99.17%', '99.9999%')
    """
    if math.isnan(level):
        return "-"
    written = (f"{100 * level:.{digits}g}" for digits in range(4, 16))
    return f"{next((text for text in written if float(text) < 100), '100')}%"


def beneath(value: float, limit: float) -> bool:
    """Tell whether a value lies below a limit by more than rounding: 1 - 0.9 is not below 0.1. False for NaN."""
    return value < limit - _ROUNDING * max(1.0, abs(limit))


def at_most(value: float, limit: float) -> bool:
    """Tell whether a value does not lie above a limit by more than rounding. False for NaN."""
    return value <= limit + _ROUNDING * max(1.0, abs(limit))


def beyond(values: Values, limit: float) -> npt.NDArray[np.bool_]:
    """Tell which values lie above a limit by more than rounding."""
    return np.asarray(values > limit + _ROUNDING * max(1.0, abs(limit)), dtype=np.bool_)


def sample_sd(values: Values) -> float:
    """Return the standard deviation (n - 1); exactly 0 where the values differ by rounding only.

    Without this, a constant difference of 0.1 gets a standard deviation of 1e-17 and an absurd test statistic.
    """
    if values.size < 2:
        return math.nan
    sd = float(values.std(ddof=1))
    return 0.0 if sd <= 1e-12 * float(np.abs(values).max()) else sd
