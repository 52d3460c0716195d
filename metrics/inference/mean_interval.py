"""Interval of a mean that skewness widens and that no spread does not make certain."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from robustness.metrics.inference.intervals import Interval, Values, sample_sd, t_interval
from robustness.metrics.inference.upper_bound import zero_reaction_bound

T_METHOD = "t on subject means"
SKEWED_METHOD = "t on subject means, widened for skewness"
CONSTANT_METHOD = "no spread seen: distribution-free"
# Sample skewness beyond which the t interval misses one tail too often; rare in samples of normal values.
SKEWED = 1.0
# Log of how much further a sample reaches from its median on its longer side: a long tail that the sample does not show
# leaves the sharp edge of the other side, which the skewness does not see.
# Few subjects are lopsided by chance, hence no less than the second number over the root of theirs.
_LOPSIDED = (0.9, 3.0)
# Few patients of a long tail show a half of its skewness or less (20 of a lognormal: 1.9 of 6.2), so Hall's interval is
# taken at the sample's skewness and at multiples of it.
_MULTIPLES = (1.0, 2.0)
# Bounds further out than this error rate of one side, those of families, lie where tails count more.
_FAR = 0.02
_LOPSIDED_FAR = (0.6, 2.7)
_MULTIPLES_FAR = (1.0, 2.0, 4.0)
_FEWEST = 6


class MeanInterval(NamedTuple):
    """An interval with the method that it rests on."""

    interval: Interval
    method: str


def mean_interval(
    values: Values, *, level: float = 0.95, low: float = -math.inf, high: float = math.inf
) -> MeanInterval:
    """Return the mean of `values` (one per subject) with an interval of `level`, and the method.

    Student's t. Where the sample is skewed (`tail_skews`), the union with Hall's interval, whose cubic transformation
    moves both bounds towards the longer tail, at the sample's skewness and at multiples of it. Where all values are
    equal (no spread was seen) and their range is known, the distribution-free interval of a mean whose unseen rest of
    the population, up to 1 - ((1 - level) / 2)^(1 / K) of it, lies at an end of the range.

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
        return MeanInterval(_without_spread(student.estimate, values.size, level, low, high), CONSTANT_METHOD)
    skews = tail_skews(values, (1 - level) / 2)
    if not skews:
        return MeanInterval(student, T_METHOD)
    tails = hall_intervals(student.estimate, sample_sd(values), values.size, skews, level=level)
    lows, highs = zip(*((one.low, one.high) for one in (student, *tails)), strict=True)
    return MeanInterval(Interval(student.estimate, min(lows), max(highs)), SKEWED_METHOD)


def _without_spread(mean: float, n: int, level: float, low: float, high: float) -> Interval:
    unseen = zero_reaction_bound(n, alpha=(1 - level) / 2)
    return Interval(mean, mean - unseen * (mean - low), mean + unseen * (high - mean))


def claim_interval(
    values: Values, *, level: float, certified: bool, warns: tuple[float, float] | None = None
) -> Interval:
    """Return the interval that a claim is read off: Student's t where a certificate stands behind the claim.

    Without one the interval is all there is, and is widened where the sample is skewed (`mean_interval`).

    Args:
        warns: ends of the values, for a claim that warns (a loss, a reaction): a sample without spread then gets the
            distribution-free interval, without a bound (NaN) where the values have no end. None: it keeps its point,
            and the star of the verdict says what that does not exclude.
    """
    if certified:
        return t_interval(values, level=level)
    if warns is None or values.size < 2 or sample_sd(values) > 0:
        return mean_interval(values, level=level).interval
    bounds = _without_spread(float(values.mean()), values.size, level, *warns)
    return bounds._replace(
        low=bounds.low if math.isfinite(bounds.low) else math.nan,
        high=bounds.high if math.isfinite(bounds.high) else math.nan,
    )


def guarded_p(values: Values, *, low: float = -math.inf, high: float = math.inf) -> float:
    """Return the two-sided p value against "the mean is 0" that `mean_interval` stands for, where it is not Student's.

    It is below alpha exactly where the interval of level 1 - alpha excludes 0, which is wider for small alpha
    (`tail_skews`). 0, so that any other p value is
    larger, where the sample is not skewed, has no spread and no ends, or has fewer than six subjects, whose flips give
    no p value below 0.0625 anyway.
    """
    n, sd = values.size, sample_sd(values)
    if n < _FEWEST:
        return 0.0
    mean = float(values.mean())
    if sd == 0:
        end = low if mean > 0 else high
        return min(1.0, 2 * (end / (end - mean)) ** n) if math.isfinite(end) else 0.0
    far = tail_skews(values, 0.0)
    if not far:
        return 0.0
    near = tail_skews(values, _FAR)
    return max(_two_sided_p(mean / sd, n, near), min(_two_sided_p(mean / sd, n, far), 2 * _FAR))


def _two_sided_p(student: float, n: int, skews: Sequence[float]) -> float:
    """Return the p value of the union of the t interval with Hall's at `skews`; `student`: mean / sd."""
    from scipy.special import stdtr

    transformed = np.array([student, *(_hall_statistic(student, n, skew) for skew in skews)])
    # Beyond 0 on the other side of the mean: the interval of any level holds it.
    reach = np.where(transformed * student > 0, np.abs(transformed), 0.0).min()
    return float(2 * stdtr(n - 1, -reach * math.sqrt(n)))


def tail_skews(values: Values, alpha: float) -> tuple[float, ...]:
    """Return the skewnesses at which Hall's interval widens a bound of error rate `alpha`; none where the t bound does.

    A sample is skewed where its skewness exceeds 1, or where it reaches further from its median on one side than on the
    other by a factor of e^0.9 = 2.5; for bounds far out (alpha below .02, as in families) of 1.8, with few subjects of
    somewhat more. So normal samples are called skewed in a few percent. A smaller alpha never takes any away.
    """
    skew, far = skewness(values), alpha < _FAR
    lopsided = _lopsidedness(values)
    least, over_root = _LOPSIDED_FAR if far else _LOPSIDED
    limit = max(least, over_root / math.sqrt(values.size))
    if abs(skew) <= SKEWED:
        if abs(lopsided) <= limit:
            return ()
        skew = math.copysign(SKEWED, lopsided)
    return tuple(multiple * skew for multiple in (_MULTIPLES_FAR if far else _MULTIPLES))


def _lopsidedness(values: Values) -> float:
    """Return log((max - median) / (median - min)) of the distinct values; 0 for fewer than six of them."""
    # Equal values have a body without spread, of which only the tail would count.
    distinct = np.unique(values)
    if distinct.size < _FEWEST:
        return 0.0
    middle = float(np.median(distinct))
    return math.log((float(distinct[-1]) - middle) / (middle - float(distinct[0])))


def skewness(values: Values) -> float:
    """Return the sample skewness m3 / m2^1.5; 0 without spread."""
    deviation = values - values.mean()
    second = float((deviation**2).mean())
    return float((deviation**3).mean()) / second**1.5 if second > 0 else 0.0


def hall_intervals(mean: float, sd: float, n: int, skews: Sequence[float], *, level: float) -> list[Interval]:
    """Return the intervals of Hall's monotone cubic transformation of the t statistic, one for each of `skews`.

    g(W) = W + g W^2 / 3 + g^2 W^3 / 27 + g / (6 K) with W = (mean - mu) / s is closer to normal than W; its inverse at
    -/+ t / sqrt(K) gives the bounds.
    """
    from scipy.special import stdtrit

    reach = float(stdtrit(n - 1, (1 + level) / 2)) / math.sqrt(n)

    def inverse(t: float, g: float) -> float:
        return 3 / g * (float(np.cbrt(1 + g * (t - g / (6 * n)))) - 1)

    return [Interval(mean, mean - sd * inverse(reach, skew), mean - sd * inverse(-reach, skew)) for skew in skews]


def _hall_statistic(w: float, n: int, g: float) -> float:
    return w + g * w**2 / 3 + g**2 * w**3 / 27 + g / (6 * n)
