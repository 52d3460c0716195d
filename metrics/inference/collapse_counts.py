"""E-values that forgive a fixed number of collapses, and how much of the capital of a certificate goes into each.

For 0/1 values with mean at least m, P(S <= c) <= P(Bin(n, m) <= c), S their sum and c <= n m - 1, also where subjects
differ in their probabilities (Hoeffding 1956, theorem 4). So 1{S <= c} / P(Bin(n, m) <= c) is an e-value. For values in
[0, 1] its multilinear extension

    G_c(x) = P(sum of independent Bernoulli(x_i) <= c) / P(Bin(n, m) <= c)

is one, because with independent x_i the expectation of P(... <= c) is the same probability at their means. G_0 is the
whole bet of `evalues`, prod (1 - x_i) / (1 - m)^n, for which values below 0 count too.

Source: Hoeffding 1956, doi:10.1214/aoms/1177728178.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]

# The most collapses that are counted; samples that could forgive more rest on the smaller bets.
_MOST = 200
# A number of collapses is forgiven once this share of the capital certifies it.
_ADOPTED = 0.3
# Of what is left, this share goes into smaller bets, the rest into fewer collapses.
_HEDGE = 0.3
_ALL_SMALL = 0.75
_SMALLEST_MARGIN = 1e-3
_SMALLEST = 1e-300


class Stakes(NamedTuple):
    """Shares of the capital, fixed before the data; they add up to 1.

    Attributes:
        whole: on no collapse at all, G_0.
        counts: on at most 1, 2, ... collapses, (C,).
        log_chances: log P(Bin(n, margin) <= c) of the same c.
        hedged: on smaller bets.
    """

    whole: float
    counts: Values
    log_chances: Values
    hedged: float


@functools.lru_cache(maxsize=512)
def stakes(n_subjects: int, margin: float, *, alpha: float) -> Stakes:
    """Return what is staked on how many collapses among n subjects.

    A whole bet certifies soonest where nobody collapses and loses everything to one patient who does. With so few
    subjects that one collapse could not be forgiven anyway, all is bet whole. Beyond, c collapses are certified by
    P(Bin(n, m) <= c) / alpha of the capital; the largest c for which that is at most 0.3 gets so much, which is late
    enough that more subjects lose no power where every patient loses a little.

    Example:
        >>> [round(stakes(n, 0.05, alpha=0.05).whole, 2) for n in (59, 120, 121)]
        [1.0, 1.0, 0.49]
    """
    none = np.empty(0)
    if margin < _SMALLEST_MARGIN:
        return Stakes(1.0 - _ALL_SMALL, none, none, _ALL_SMALL)
    chances = _chances(n_subjects, margin)
    adopted = np.flatnonzero(chances <= alpha * _ADOPTED)
    forgiven = int(adopted[-1]) if adopted.size else 0
    if forgiven > _MOST:
        return Stakes(1.0 - _ALL_SMALL, none, none, _ALL_SMALL)
    if forgiven == 0:
        return Stakes(1.0, none, none, 0.0)
    last = float(chances[forgiven]) / alpha
    left = 1.0 - last
    shares = np.ones(forgiven)
    shares[0] = 2.0
    shares *= (1.0 - _HEDGE) * left / shares.sum()
    counts = np.append(shares[1:], last)
    return Stakes(float(shares[0]), counts, np.log(chances[1 : forgiven + 1]), _HEDGE * left)


def log_count_evalues(values: Values, stake: Stakes) -> Values:
    """Return log(share x G_c) of c = 1, 2, ... as staked; (C,)."""
    log_tails = np.log(np.maximum(_tails(values, stake.counts.size), _SMALLEST))
    log_evalues: Values = np.log(stake.counts) + log_tails[1:] - stake.log_chances
    return log_evalues


def forgiven_collapses(n_subjects: int, margin: float, *, alpha: float) -> int:
    """Return how many subjects of n may lose everything, all others nothing, with their mean certified below `margin`.

    Example:
        >>> [forgiven_collapses(n, 0.05, alpha=0.05) for n in (58, 59, 121, 155)]
        [-1, 0, 1, 2]
    """
    if (1.0 - margin) ** n_subjects > alpha:
        return -1
    return int(stakes(n_subjects, margin, alpha=alpha).counts.size)


def _chances(n_subjects: int, margin: float) -> Values:
    """Return P(Bin(n, margin) <= c) for c = 0, 1, ... while c <= n margin - 1, one more than `_MOST` at most."""
    from scipy.special import bdtr

    largest = max(0, min(math.floor(n_subjects * margin - 1), _MOST + 1))
    chances: Values = np.maximum(bdtr(np.arange(largest + 1), n_subjects, margin), _SMALLEST)
    return chances


def _tails(values: Values, most: int) -> Values:
    """Return P(S <= c), c = 0 .. most, S a sum of independent Bernoulli variables with the values in [0, 1]."""
    mass = np.zeros(most + 1)
    mass[0] = 1.0
    for value in np.clip(values[values > 0], 0.0, 1.0).tolist():
        mass[1:] = mass[1:] * (1.0 - value) + mass[:-1] * value
        mass[0] *= 1.0 - value
    tails: Values = np.cumsum(mass)
    return tails
