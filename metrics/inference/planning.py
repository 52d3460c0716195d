"""How many subjects would settle a claim that this sample leaves open."""

from __future__ import annotations

import math

import numpy as np

from robustness.metrics.inference.evalues import best_log_factors
from robustness.metrics.inference.evalues import subjects_to_certify as _subjects_of_capital
from robustness.metrics.inference.intervals import Values, sample_sd
from robustness.metrics.inference.power import bound_power

# A plan for more than so many times the present subjects rests on too little.
FURTHEST = 10


def subjects_to_decide(values: Values, margin: float, *, alpha: float, power: float = 0.8) -> int | None:
    """Return K for which a one-sided t bound (confidence 1 - alpha) would lie on its side of `margin` with `power`.

    By the noncentral t distribution with the sample's mean and standard deviation, at least one more than the sample
    has. None where the sample has no spread, its mean lies on the margin (rounding included), or more than `FURTHEST`
    times its subjects would be needed.
    """
    sd, n = sample_sd(values), values.size
    if n < 2 or not sd > 0:
        return None
    gap = abs(margin - float(values.mean()))
    if gap <= 1e-9 * max(1.0, abs(margin)) or bound_power(gap, sd, FURTHEST * n, alpha=alpha) < power:
        return None
    low, high = n, FURTHEST * n
    while low < high:
        middle = (low + high) // 2
        enough = bound_power(gap, sd, middle, alpha=alpha) >= power
        low, high = (low, middle) if enough else (middle + 1, high)
    return max(high, n + 1)


def subjects_to_certify(values: Values, margin: float, *, alpha: float, penalty: float = 0.0) -> int | None:
    """Return K for which subjects like these would certify a mean below `margin`.

    Where nobody reacts it is the rule of three, else the K whose e-value is large enough with a power of 80%. None
    where the sample's e-value does not grow, or more than `FURTHEST` times its subjects would be needed.

    Args:
        values: one per subject, at most 1.
        penalty: log of the factor that other claims of the family cost (`closed_means`).
    """
    n = values.size
    if n == 0:
        return None
    needed = _subjects_of_capital(best_log_factors(values, margin), alpha=alpha * math.exp(-max(0.0, penalty)))
    if needed is None or needed > max(FURTHEST * n, 1):
        return None
    # With a whole bet on subjects without any reaction the number is exact, and may be the present one.
    return needed if not np.any(values) and penalty <= 0 else max(needed, n + 1)
