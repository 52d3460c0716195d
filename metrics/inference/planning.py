"""How many subjects would settle a claim that this sample leaves open."""

from __future__ import annotations

import math

import numpy as np

from robustness.metrics.inference.intervals import Values, sample_sd
from robustness.metrics.inference.upper_bound import gaffke_bound, subjects_for_zero_reactions

_LIMIT = 2_000


def subjects_to_decide(values: Values, margin: float, *, alpha: float, power: float = 0.8) -> int | None:
    """Return K for which a one-sided bound (confidence 1 - alpha) would lie on its side of `margin` with `power`.

    ((z_(1-alpha) + z_power) sd / |margin - mean|)^2, at least one more than the sample has. None where the sample
    gives no spread or its mean lies on the margin.
    """
    from scipy.special import ndtri

    sd = sample_sd(values)
    gap = abs(margin - float(values.mean())) if values.size else 0.0
    if not sd > 0 or gap == 0:
        return None
    needed = math.ceil(((float(ndtri(1 - alpha)) + float(ndtri(power))) * sd / gap) ** 2)
    return max(needed, values.size + 1)


def subjects_to_certify(values: Values, margin: float, *, alpha: float) -> int | None:
    """Return K for which the distribution-free bound of subjects like these would fall under `margin`.

    Without any reaction the rule of three decides; else the sample's quantiles are stretched to K subjects. None where
    the mean is not below the margin, or more than 2,000 subjects would be needed.
    """
    base = subjects_for_zero_reactions(margin, alpha=alpha)
    if not values.any():
        return max(base, values.size + 1) if base > values.size else base

    def certified(k: int) -> bool:
        stretched = np.quantile(np.clip(values, 0, 1), (np.arange(k) + 0.5) / k, method="inverted_cdf")
        return gaffke_bound(stretched, alpha=alpha, resamples=1999) < margin

    low, high = max(base, values.size + 1), _LIMIT
    if values.mean() >= margin or low > high or not certified(high):
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if certified(middle) else (middle + 1, high)
    return low
