"""Adjusted p values for a family of conditions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

P = npt.NDArray[np.float64]


def holm(p_values: P) -> P:
    """Return Holm's step-down p values (family-wise error); a NaN stays NaN and does not count in the family.

    Source: Holm 1979, https://www.jstor.org/stable/4615733.
    """
    return _stepwise(p_values, lambda p: np.maximum.accumulate(p * np.arange(p.size, 0, -1)))


def benjamini_hochberg(p_values: P) -> P:
    """Return Benjamini-Hochberg p values: a false discovery rate, for exploration only; NaN as in `holm`.

    Source: Benjamini & Hochberg 1995, doi:10.1111/j.2517-6161.1995.tb02031.x.
    """
    return _stepwise(p_values, lambda p: np.minimum.accumulate((p * p.size / np.arange(1, p.size + 1))[::-1])[::-1])


def _stepwise(p_values: P, adjust: Callable[[P], P]) -> P:
    adjusted = np.full(p_values.shape, np.nan)
    finite = np.flatnonzero(np.isfinite(p_values))
    order = finite[np.argsort(p_values[finite], kind="stable")]
    adjusted[order] = np.minimum(1.0, adjust(p_values[order]))
    return adjusted
