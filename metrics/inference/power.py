"""Power of a one-sided bound on a mean, before anything is measured, and the gap that a power needs."""

from __future__ import annotations

import functools
import math

import numpy as np


def bound_power(gap: float, sd: float, n_subjects: int, *, alpha: float) -> float:
    """Return how often the t bound (confidence 1 - alpha) of a mean lies beyond a limit that is `gap` away from it.

    P(T >= t_(1 - alpha, K - 1)), T noncentral t with gap sqrt(K) / sd; for gap = 0 it is alpha. NaN for fewer than two
    subjects or a standard deviation that is not above 0.

    Args:
        sd: standard deviation of the subjects' values.
    """
    from scipy.special import nctdtr, stdtrit

    if n_subjects < 2 or not sd > 0:
        return math.nan
    df = n_subjects - 1
    missed = float(nctdtr(df, gap * math.sqrt(n_subjects) / sd, float(stdtrit(df, 1 - alpha))))
    # Far in its tail the noncentral distribution function comes back as NaN; it is 0 there.
    return 1.0 - (0.0 if math.isnan(missed) else missed)


def gap_found(sd: float, n_subjects: int, *, alpha: float, power: float = 0.8) -> float:
    """Return the gap for which `bound_power` is `power`: what will be found beside a limit.

    Example:
        >>> round(gap_found(0.0353, 30, alpha=0.05), 4)
        0.0164
    """
    if n_subjects < 2 or not sd > 0:
        return math.nan
    return sd / math.sqrt(n_subjects) * _noncentrality(n_subjects - 1, alpha, power)


def inside_power(margin: float, sd: float, n_subjects: int, *, alpha: float) -> float:
    """Return how often both t bounds (confidence 1 - alpha each) of a mean of 0 lie within `margin` of 0 (TOST).

    The mean over the distribution of the sample's spread of 2 Phi((margin - t s / sqrt(K)) sqrt(K) / sd) - 1, where
    that is positive. NaN as for `bound_power`. Source: Schuirmann 1987, doi:10.1007/BF01068419.
    """
    from scipy.special import chdtri, ndtr, stdtrit

    if n_subjects < 2 or not sd > 0:
        return math.nan
    df = n_subjects - 1
    upper_tails = (np.arange(2000) + 0.5) / 2000
    spread = np.sqrt(chdtri(df, upper_tails) / df)
    room = margin * math.sqrt(n_subjects) / sd - float(stdtrit(df, 1 - alpha)) * spread
    return float(np.where(room > 0, 2 * ndtr(room) - 1, 0.0).mean())


def smallest_p(n_subjects: int, *, resamples: int) -> float:
    """Return the smallest two-sided p value that sign flips of K subjects can give: 2 / 2^K, at least 1 / (B + 1)."""
    return max(2.0 ** (1 - n_subjects), 1 / (resamples + 1))


def sd_of_subject_means(sd: float, icc: float, per_subject: float) -> float:
    """Return the standard deviation of means over `per_subject` values with that intraclass correlation.

    sd sqrt(rho + (1 - rho) / m).
    """
    return sd * math.sqrt(icc + (1 - icc) / max(per_subject, 1.0))


@functools.lru_cache(maxsize=4096)
def _noncentrality(df: int, alpha: float, power: float) -> float:
    from scipy.optimize import brentq

    def missing(nc: float) -> float:
        return bound_power(nc / math.sqrt(df + 1), 1.0, df + 1, alpha=alpha) - power

    return float(brentq(missing, 0.0, 4 * (3 + 1 / alpha)))
