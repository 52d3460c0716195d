"""Distribution-free upper bounds: what a sample without reactions still allows."""

from __future__ import annotations

import math

import numpy as np

from robustness.metrics.inference.intervals import Values
from robustness.seeds import generator


def gaffke_bound(values: Values, *, alpha: float = 0.05, resamples: int = 9999, seed: int = 0) -> float:
    """Return an upper bound, at confidence 1 - alpha, of the mean of a quantity in [0, 1] from a sample of subjects.

    Quantile 1 - alpha of sum D_i z_i + D_(n+1), D uniform on the simplex (the spacings of n uniforms), which is
    Gaffke's 1 - sum U_(i) (z_(i+1) - z_(i)) with z_(n+1) = 1. No assumption on the distribution; sees rare reactions
    that a t interval misses. All zero: exactly 1 - alpha^(1/n), the rule of three. No values: 1.

    The quantile is drawn; the same draws give the all-zero bound, whose exact value is known, and the difference
    corrects the drawn one. The result is so never below the all-zero bound.

    Args:
        values: one value in [0, 1] per subject; a mask change above or below by rounding is clipped.

    Source: Gaffke 2005; Learned-Miller & Thomas 2019, arXiv:1905.06208.

    Example:
        >>> round(gaffke_bound(np.zeros(59)), 4)
        0.0495
    """
    n = values.size
    if n == 0:
        return 1.0
    z = np.clip(values, 0.0, 1.0)
    exact = zero_reaction_bound(n, alpha=alpha)
    if not z.any():
        return exact
    spread, last = _draw(z, resamples, seed)
    drawn, drawn_zero = np.quantile(spread + last, 1 - alpha), np.quantile(last, 1 - alpha)
    return float(min(1.0, exact + max(0.0, drawn - drawn_zero)))


def _draw(z: Values, resamples: int, seed: int) -> tuple[Values, Values]:
    rng = generator(seed, "gaffke", z.size)
    values, count = np.unique(z, return_counts=True)
    spread, last = np.empty(resamples), np.empty(resamples)
    block = max(1, 4_000_000 // (values.size + 1))
    for start in range(0, resamples, block):
        rows = slice(start, min(start + block, resamples))
        # The gaps of n equal values add up to a gamma variate: a sample that is mostly 0 needs few draws.
        gaps = np.empty((rows.stop - rows.start, values.size + 1))
        repeated = np.append(count > 1, False)
        gaps[:, repeated] = rng.standard_gamma(count[count > 1], (len(gaps), int(repeated.sum())))
        gaps[:, ~repeated] = rng.standard_exponential((len(gaps), int((~repeated).sum())))
        total = gaps.sum(axis=1)
        spread[rows], last[rows] = gaps[:, :-1] @ values / total, gaps[:, -1] / total
    return spread, last


def zero_reaction_bound(n_subjects: int, *, alpha: float = 0.05) -> float:
    """Return 1 - alpha^(1/K): the share of subjects that may react although none of K did (about 3 / K)."""
    return -math.expm1(math.log(alpha) / n_subjects)


def subjects_for_zero_reactions(margin: float, *, alpha: float = 0.05) -> int:
    """Return the smallest K whose all-zero bound lies below `margin` (0 < margin < 1).

    Example:
        >>> [subjects_for_zero_reactions(m) for m in (0.02, 0.05, 0.1)]
        [149, 59, 29]
    """
    needed = max(1, math.floor(math.log(alpha) / math.log1p(-margin)))
    while zero_reaction_bound(needed, alpha=alpha) >= margin:
        needed += 1
    return needed


def share_bound(reacting: int, n_subjects: int, *, alpha: float = 0.05) -> float:
    """Return the upper Clopper-Pearson bound (confidence 1 - alpha) of the share of subjects that react.

    With none reacting it is `zero_reaction_bound`. Source: Clopper & Pearson 1934, doi:10.1093/biomet/26.4.404.
    """
    from scipy.special import betaincinv

    if reacting >= n_subjects:
        return 1.0
    return float(betaincinv(reacting + 1, n_subjects - reacting, 1 - alpha))
