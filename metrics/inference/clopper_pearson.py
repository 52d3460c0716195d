"""Exact intervals of the share of subjects that do something."""

from __future__ import annotations

import math
from typing import NamedTuple


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
