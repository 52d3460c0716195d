"""Similarity of the images of one subject and its cost: ICC, design effect, minimum detectable effect."""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from robustness.metrics.inference.intervals import Values, sample_sd

Codes = npt.NDArray[np.intp]


class Clustering(NamedTuple):
    """ICC of the differences and the design effect that follows from it."""

    icc: float
    design_effect: float


class Groups(NamedTuple):
    """The distinct codes, sorted; which of them each element is; and how often each occurs."""

    codes: Codes
    inverse: Codes
    sizes: Codes


def groups(codes: Codes) -> Groups:
    """Return what ``numpy.unique`` returns of codes from 0, without sorting: in one pass where few codes are unused."""
    if codes.size == 0 or codes.min() < 0 or codes.max() > 8 * codes.size + 1024:
        return Groups(*np.unique(codes, return_inverse=True, return_counts=True))
    count = np.bincount(codes)
    present = np.flatnonzero(count)
    # Where every code occurs, each element is its own code.
    index = codes if present.size == count.size else (np.cumsum(count > 0) - 1)[codes]
    return Groups(present, index, count[present])


def clustering(values: Values, subject: Codes) -> Clustering:
    """Return the intraclass correlation of image-level differences and the design effect.

    One-way ANOVA: rho = (MSB - MSW) / (MSB + (m0 - 1) MSW), clipped at 0, with m0 = (N - sum n_k^2 / N) / (K - 1).
    Design effect: 1 + (m - 1) rho with m = sum n_k^2 / N, which is the images per subject where all have as many.
    Undefined ICC (NaN) with fewer than two subjects, with one image per subject, and where nothing varies; the design
    effect is then 1. Source: Donner 1986, doi:10.2307/1403259.

    Args:
        values: one difference per image (N,).
        subject: integer code of each image's subject (N,).
    """
    _, index, count = groups(subject)
    n, k = values.size, count.size
    if k < 2 or n == k:
        return Clustering(math.nan, 1.0)
    means = np.bincount(index, weights=values) / count
    between = float((count * (means - values.mean()) ** 2).sum()) / (k - 1)
    within = float(((values - means[index]) ** 2).sum()) / (n - k)
    m0 = (n - float((count**2).sum()) / n) / (k - 1)
    total = between + (m0 - 1) * within
    if total <= 1e-24 * float((values * values).max(initial=0.0)) or total == 0.0:
        return Clustering(math.nan, 1.0)
    rho = max(0.0, (between - within) / total)
    return Clustering(rho, 1 + (float((count**2).sum()) / n - 1) * rho)


def minimal_detectable_effect(values: Values, *, alpha: float = 0.05, power: float = 0.8) -> float:
    """Return the mean difference that a two-sided t test on these subjects would find with probability `power`.

    nc sd / sqrt(K), nc the noncentrality of the t distribution that gives the power. NaN (undefined) for fewer than two
    subjects and where all subjects are equal: no spread was seen, so none can be assumed.
    """
    sd = sample_sd(values) if values.size >= 2 else 0.0
    if sd == 0.0:
        return math.nan
    return _noncentrality(values.size - 1, alpha, power) * sd / math.sqrt(values.size)


@functools.lru_cache(maxsize=4096)
def _noncentrality(df: int, alpha: float, power: float) -> float:
    from scipy.optimize import brentq
    from scipy.special import nctdtr, ndtri, stdtrit

    critical = float(stdtrit(df, 1 - alpha / 2))

    def missing(nc: float) -> float:
        # Far in its tail the noncentral distribution function comes back as NaN; it is 0 there.
        upper, lower = np.nan_to_num([nctdtr(df, nc, critical), nctdtr(df, nc, -critical)])
        return float(1 - upper + lower) - power

    if df > 1000:
        return critical + float(ndtri(power))
    return float(brentq(missing, 0.0, critical * 4 + 10))
