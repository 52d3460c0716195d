"""E-values for the mean of bounded patient values: certificates that hold for every distribution.

An e-value is a non-negative statistic whose expectation is at most 1 under the null hypothesis, so that it reaches
1 / alpha with probability alpha at most (Markov). For independent values x_i <= 1 (of any distribution, even of
different ones) and the hypothesis "their mean is at least m", the capital of a gambler who bets the fraction f on low
values,

    E_f = prod_i (1 + f (m - x_i) / (1 - m)),   0 <= f <= 1,

is one: every factor is non-negative, and by the inequality of arithmetic and geometric means the product of the
expected factors is at most (1 + f (m - mean) / (1 - m))^K <= 1. So is every mixture over f that is fixed before the
data. With f = 1 and no reaction at all it is (1 - m)^-K: the rule of three, 59 patients for m = 0.05. Another part of
the mixture forgives a number of collapses: see `robustness.metrics.inference.collapse_counts`.

Source: Waudby-Smith & Ramdas 2024, doi:10.1093/jrsssb/qkad009 (betting); Vovk & Wang 2021, doi:10.1214/20-AOS2020
(means of e-values, closed testing).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from robustness.metrics.inference.collapse_counts import log_count_evalues, stakes

Values = npt.NDArray[np.float64]

# Smaller bets, which matter where some patients lose a part.
_FRACTIONS = np.array([0.85, 0.65, 0.35])
_WEIGHTS = np.array([0.5, 0.3, 0.2])
# Towards a large mean no rule of three is asked for.
_WHOLE_ABOVE = 0.5
_SMALLEST = 1e-300
_LARGEST_LOG = 600.0


def log_evalue_below(values: Values, margin: float, *, alpha: float) -> float:
    """Return the log e-value against "the mean of `values` is at least `margin`".

    Args:
        values: one per subject, at most 1 (a loss, a change, a share); (K,). There is no lower limit.
        margin: below 1.
        alpha: error rate of the claim, for which the capital is divided.

    Returns:
        -inf .. inf; 0 without subjects.
    """
    stake = stakes(values.size, margin, alpha=alpha)
    capital = _log_capital((margin - np.minimum(values, 1.0)) / (1.0 - margin), stake.whole, stake.hedged)
    if not stake.counts.size:
        return capital
    return float(np.logaddexp.reduce(np.append(log_count_evalues(values, stake), capital)))


def log_evalue_above(values: Values, margin: float, *, low: float = -1.0) -> float:
    """Return the log e-value against "the mean of `values` is at most `margin`".

    The same bet on large values, prod (1 + f (x_i - m) / (m - low)).

    Args:
        low: smallest possible value, below the margin; the nearer it lies, the sooner a claim is certified.
    """
    return _log_capital((np.maximum(values, low) - margin) / (margin - low), _WHOLE_ABOVE, 1.0 - _WHOLE_ABOVE)


def _log_capital(gain: Values, whole: float, hedged: float) -> float:
    """Return the log of a mixture of prod (1 + f gain_i) over f = 1 and the fractions; `gain` is at least -1."""
    logs = [math.log(whole) + float(np.log(np.maximum(1.0 + gain, _SMALLEST)).sum())] if whole > 0 else []
    if hedged > 0:
        smaller = np.log1p(_FRACTIONS[:, None] * gain[None, :]).sum(axis=1)
        logs += (smaller + np.log(hedged * _WEIGHTS)).tolist()
    return float(np.logaddexp.reduce(np.array(logs)))


def closed_means(log_evalues: Values) -> Values:
    """Return the log e-value of each claim of a family after closed testing; a family-wise error of alpha at 1 / alpha.

    The e-value of a joint hypothesis is the mean of the e-values of its members, whatever their dependence, and a claim
    is worth the smallest mean of any set that it belongs to: min over k of (e + the k smallest others) / (k + 1). A
    family of claims that all hold costs nothing; one claim that does not hold costs the others a factor of 2.

    Args:
        log_evalues: (claims,).

    Source: Vovk & Wang 2021, doi:10.1214/20-AOS2020, algorithm 1.

    Example:
        >>> closed_means(np.log([40.0, 40.0, 1e-9])).round(3).tolist() == np.log([20, 20, 1e-9]).round(3).tolist()
        True
    """
    if log_evalues.size == 0:
        return log_evalues
    order = np.argsort(log_evalues, kind="stable")
    ordered = np.exp(np.clip(log_evalues[order], -_LARGEST_LOG, _LARGEST_LOG))
    below = np.concatenate([[0.0], np.cumsum(ordered)])
    adjusted = np.empty(log_evalues.size)
    for position in range(log_evalues.size):
        sums = ordered[position] + below[: position + 1]
        adjusted[order[position]] = np.log((sums / np.arange(1, position + 2)).min())
    return adjusted


def subjects_to_certify(log_factors: Values, *, alpha: float, power: float = 0.8) -> int | None:
    """Return K for which the capital of subjects like these reaches 1 / alpha with `power`; None where it never grows.

    K g - z sd sqrt(K) = log(1 / alpha), g and sd mean and standard deviation of the log factors.

    Args:
        log_factors: log(1 + f (m - x_i) / (1 - m)) of every subject, for the bet that grows fastest.
        alpha: error rate that the claim is left with in its family.
    """
    from scipy.special import ndtri

    if log_factors.size == 0 or not np.isfinite(log_factors).all():
        return None
    growth = float(log_factors.mean())
    if growth <= 1e-9:
        return None
    spread = float(ndtri(power)) * (float(log_factors.std(ddof=1)) if log_factors.size > 1 else 0.0)
    root = (spread + math.sqrt(spread * spread - 4 * growth * math.log(alpha))) / (2 * growth)
    return math.ceil(root * root - 1e-9)


def best_log_factors(values: Values, margin: float) -> Values:
    """Return the log factors of every subject for the fraction whose capital grows fastest (whole bets included)."""
    gain = (margin - np.minimum(values, 1.0)) / (1.0 - margin)
    fractions = np.append(_FRACTIONS, 1.0)
    factors = np.log(np.maximum(1.0 + fractions[:, None] * gain[None, :], _SMALLEST))
    best: Values = factors[int(np.argmax(factors.mean(axis=1)))] if values.size else np.empty(0)
    return best
