"""Effect sizes of paired differences, on subject means."""

from __future__ import annotations

import math

import numpy as np

from robustness.metrics.inference.intervals import Values, sample_sd


def hedges_dz(values: Values) -> float:
    """Return the standardised mean difference d_z = mean / sd, times Hedges' correction 1 - 3 / (4 (K - 1) - 1).

    0 where all differences are 0. NaN (undefined) for fewer than three subjects, and where all are equal but not 0:
    d_z is then infinite although the effect may be tiny, so read it beside the raw difference.
    Source: Hedges & Olkin 1985; Lakens 2013, doi:10.3389/fpsyg.2013.00863.
    """
    if values.size < 3:
        return math.nan
    sd = sample_sd(values)
    if sd == 0.0:
        return 0.0 if not values.any() else math.nan
    return float(values.mean()) / sd * (1 - 3 / (4 * (values.size - 1) - 1))


def rank_biserial(values: Values) -> float:
    """Return the matched-pairs rank-biserial correlation, (W+ - W-) / (W+ + W-), in [-1, 1].

    W+ and W- are the rank sums of the positive and negative differences; differences are rounded to 1e-9 first, so that
    rounding does not split ties, zeros are left out. 0 where all are 0, NaN without values.
    Source: Kerby 2014, doi:10.2466/11.IT.3.1.
    """
    if values.size == 0:
        return math.nan
    rounded = np.round(values, 9)
    moved = rounded[rounded != 0]
    if moved.size == 0:
        return 0.0
    _, index, count = np.unique(np.abs(moved), return_inverse=True, return_counts=True)
    ranks = (np.cumsum(count) - (count - 1) / 2)[index]
    return float((np.sign(moved) * ranks).sum() / ranks.sum())
