"""Interval of a mean that skewness widens and that no spread does not make certain."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from robustness.metrics.inference.intervals import Interval, Values, sample_sd, t_interval
from robustness.metrics.inference.upper_bound import zero_reaction_bound

T_METHOD = "t on subject means"
SKEWED_METHOD = "t on subject means, widened for skewness"
CONSTANT_METHOD = "no spread seen: distribution-free"
# Sample skewness beyond which the t interval misses one tail too often; rare in samples of normal values.
SKEWED = 1.0


class MeanInterval(NamedTuple):
    """An interval with the method that it rests on."""

    interval: Interval
    method: str


def mean_interval(
    values: Values, *, level: float = 0.95, low: float = -math.inf, high: float = math.inf
) -> MeanInterval:
    """Return the mean of `values` (one per subject) with an interval of `level`, and the method.

    Student's t. Where the sample skewness exceeds 1 in absolute value, the union with Hall's interval, whose cubic
    transformation moves both bounds towards the longer tail. Where all values are equal (no spread was seen) and their
    range is known, the distribution-free interval of a mean whose unseen rest of the population, up to
    1 - ((1 - level) / 2)^(1 / K) of it, lies at an end of the range.

    Args:
        low, high: ends of the values; infinite where there are none.

    Source: Hall 1992, doi:10.1111/j.2517-6161.1992.tb01873.x.

    Example:
        >>> [round(bound, 3) for bound in mean_interval(np.zeros(30), low=-1, high=1).interval]
        [0.0, -0.116, 0.116]
    """
    student = t_interval(values, level=level)
    if values.size < 2:
        return MeanInterval(student, T_METHOD)
    if sample_sd(values) == 0:
        if not (math.isfinite(low) and math.isfinite(high)):
            return MeanInterval(student, T_METHOD)
        unseen = zero_reaction_bound(values.size, alpha=(1 - level) / 2)
        mean = student.estimate
        bounds = Interval(mean, mean - unseen * (mean - low), mean + unseen * (high - mean))
        return MeanInterval(bounds, CONSTANT_METHOD)
    skew = skewness(values)
    if abs(skew) <= SKEWED:
        return MeanInterval(student, T_METHOD)
    hall = hall_interval(student.estimate, sample_sd(values), values.size, skew, level=level)
    wide = Interval(student.estimate, min(student.low, hall.low), max(student.high, hall.high))
    return MeanInterval(wide, SKEWED_METHOD)


def claim_interval(values: Values, *, level: float, certified: bool) -> Interval:
    """Return the interval that a claim is read off: Student's t where a certificate stands behind the claim.

    Without one the interval is all there is, and is widened where the sample is skewed (`mean_interval`). A sample
    without spread keeps its point: the star of the verdict says what it does not exclude.
    """
    return t_interval(values, level=level) if certified else mean_interval(values, level=level).interval


def skewness(values: Values) -> float:
    """Return the sample skewness m3 / m2^1.5; 0 without spread."""
    deviation = values - values.mean()
    second = float((deviation**2).mean())
    return float((deviation**3).mean()) / second**1.5 if second > 0 else 0.0


def hall_interval(mean: float, sd: float, n: int, skew: float, *, level: float) -> Interval:
    """Return the interval of Hall's monotone cubic transformation of the t statistic.

    g(W) = W + g W^2 / 3 + g^2 W^3 / 27 + g / (6 K) with W = (mean - mu) / s is closer to normal than W; its inverse at
    -/+ t / sqrt(K) gives the bounds.
    """
    from scipy.special import stdtrit

    reach = float(stdtrit(n - 1, (1 + level) / 2)) / math.sqrt(n)

    def inverse(t: float) -> float:
        return 3 / skew * (float(np.cbrt(1 + skew * (t - skew / (6 * n)))) - 1)

    return Interval(mean, mean - sd * inverse(reach), mean - sd * inverse(-reach))
