"""Sample sizes: the subjects that would settle a claim that this sample leaves open."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from robustness.metrics.inference.collapse_counts import forgiven_collapses
from robustness.metrics.inference.evalues import best_log_factors
from robustness.metrics.inference.evalues import subjects_to_certify as _subjects_of_capital
from robustness.metrics.inference.intervals import Values, sample_sd
from robustness.metrics.inference.mean_interval import hall_intervals, tail_skews
from robustness.metrics.inference.power import bound_power

# A plan for more than so many times the present subjects rests on too little.
FURTHEST = 10


def subjects_to_decide(
    values: Values, margin: float, *, alpha: float, power: float = 0.8, low: float = -math.inf
) -> int | None:
    """Return K for which a one-sided t bound (confidence 1 - alpha) would lie on its side of `margin` with `power`.

    By the noncentral t distribution with the sample's mean and standard deviation, at least one more than the sample
    has; where the sample is skewed also by the bound that its skewness widens (`claim_interval`). None where the sample
    has no spread (but see `low`), its mean lies on the margin (rounding included), or more than `FURTHEST` times its
    subjects would be needed.

    Args:
        low: smallest possible value, for a claim that warns of a mean above `margin`: of a sample without spread, the
            K whose distribution-free bound lies above it.
    """
    sd, n = sample_sd(values), values.size
    if n < 2:
        return None
    gap, skews = margin - float(values.mean()), tail_skews(values, alpha)
    if abs(gap) <= 1e-9 * max(1.0, abs(margin)):
        return None
    if not sd > 0:
        return _beyond_what_is_unseen(gap, margin - low, n, alpha)

    def enough(k: int) -> bool:
        straight = bound_power(abs(gap), sd, k, alpha=alpha) >= power
        return straight and (not skews or _widened_reach(gap, sd, skews, k, alpha, power) <= abs(gap))

    low, high = n, FURTHEST * n
    if not enough(high):
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return max(high, n + 1)


def _beyond_what_is_unseen(gap: float, room: float, n: int, alpha: float) -> int | None:
    """Return K equal values, -`gap` above a margin that lies `room` above their end, whose unseen rest cannot undo it.

    (1 - unseen) (room - gap) > room with 1 - unseen = alpha^(1 / K).
    """
    if gap > 0 or not math.isfinite(room):
        return None
    k = max(n + 1, math.floor(math.log(alpha) / math.log(room / (room - gap))) + 1)
    return k if k <= FURTHEST * n else None


def _widened_reach(gap: float, sd: float, skews: Sequence[float], k: int, alpha: float, power: float) -> float:
    """Return how far from the mean the widened bound of k subjects lies, with room for `power`."""
    from scipy.special import ndtri

    tails = hall_intervals(0.0, sd, k, skews, level=1 - 2 * alpha)
    reach = max(bounds.high if gap > 0 else -bounds.low for bounds in tails)
    return reach + float(ndtri(power)) * sd / math.sqrt(k)


def subjects_to_certify(values: Values, margin: float, *, alpha: float, penalty: float = 0.0) -> int | None:
    """Return K for which subjects like these would certify a mean below `margin`.

    Where nobody reacts it is the rule of three, else the K whose e-value is large enough with a power of 80%: the
    smaller of what the best bet and what the number of forgiven collapses need. None where neither is within `FURTHEST`
    times the sample's subjects.

    Args:
        values: one per subject, at most 1.
        penalty: log of the factor that other claims of the family cost (`closed_means`).
    """
    n, alone = values.size, alpha * math.exp(-max(0.0, penalty))
    if n == 0:
        return None
    sizes = [_subjects_of_capital(best_log_factors(values, margin), alpha=alone)]
    sizes.append(_subjects_to_forgive(float(np.clip(values, 0, 1).mean()), margin, alone, FURTHEST * n))
    reached = [k for k in sizes if k is not None and k <= max(FURTHEST * n, 1)]
    if not reached:
        return None
    # With a whole bet on subjects without any reaction the number is exact, and may be the present one.
    return min(reached) if not np.any(values) and penalty <= 0 else max(min(reached), n + 1)


def subjects_to_certify_above(
    values: Values, margin: float, *, alpha: float, low: float = -1.0, penalty: float = 0.0
) -> int | None:
    """Return K for which subjects like these would have an e-value of 1 / alpha for a mean above `margin`.

    By the best bet of `log_evalue_above`, half of whose capital it is, with a power of 80%. None where that is not
    within `FURTHEST` times the sample's subjects.

    Args:
        values: one per subject, at least `low`.
        penalty: log of the factor that other claims of the family cost (`closed_means`).
    """
    # The same bet on the distance from the lower end, turned round.
    factors = best_log_factors(1.0 - (values - low), 1.0 - (margin - low))
    k = _subjects_of_capital(factors, alpha=alpha * math.exp(-max(0.0, penalty)) / 2)
    return None if k is None or k > FURTHEST * values.size else max(k, values.size + 1)


def _subjects_to_forgive(share: float, margin: float, alpha: float, most: int, power: float = 0.8) -> int | None:
    """Return K of whom no more collapse than are forgiven, with `power`; `share` of all do; None beyond `most`."""
    from scipy.special import bdtr

    def enough(k: int) -> bool:
        forgiven = forgiven_collapses(k, margin, alpha=alpha)
        return forgiven >= 0 and bool(bdtr(forgiven, k, share) >= power)

    if share >= margin or not enough(most):
        return None
    low, high = 1, most
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return high
