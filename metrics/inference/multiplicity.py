"""Multiple testing: Holm and Benjamini-Hochberg p values, and step-down max-T by sign flips of whole subjects."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from robustness.metrics.inference.signflip import flips

Matrix = npt.NDArray[np.float64]
P = npt.NDArray[np.float64]
_TIE = 1e-10
# Of so many subjects fewer flips tell the quantile as well.
_MANY, _FLIPS_OF_MANY = 1000, 1999


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


class StepDown(NamedTuple):
    """What the family decides of each column.

    Attributes:
        critical: t quantile that the column's own bound used (its step), per column; NaN where untestable.
        above: the mean is shown to lie above the margin.
    """

    critical: npt.NDArray[np.float64]
    above: npt.NDArray[np.bool_]


def step_down(values: Matrix, margin: float, *, alpha: float, resamples: int = 9999, seed: int = 0) -> StepDown:
    """Show which columns have a mean above `margin`, any false one with probability alpha at most.

    The columns are ordered by their t statistic at the margin. Each is compared with the quantile 1 - alpha of the
    largest statistic among itself and all smaller ones, under flips of the signs of whole subjects' deviations from the
    margin; the first that fails ends the procedure, and all that remain share its quantile. A quantile lies between the
    t quantile of one column alone and Bonferroni's of the columns that are left. The flips assume deviations symmetric
    about their mean; where that is in doubt the certificate of `evalues` decides.

    Args:
        values: (subjects, columns); NaN where a subject has no value.

    Source: Westfall & Young 1993; Romano & Wolf 2005, doi:10.1198/016214504000000539.
    """
    n_columns = values.shape[1]
    critical, above = np.full(n_columns, math.nan), np.zeros(n_columns, dtype=bool)
    count = np.isfinite(values).sum(axis=0)
    testable = np.flatnonzero(count >= 2)
    if testable.size == 0:
        return StepDown(critical, above)
    observed, drawn = _statistics(values[:, testable], margin, resamples, seed)
    order = np.argsort(-observed, kind="stable")
    # Largest statistic among a column and all that come after it.
    largest = np.maximum.accumulate(drawn[:, order[::-1]], axis=1)[:, ::-1]
    step = 0
    for i, column in enumerate(testable[order]):
        # A column that fails ends the procedure; those after it share its quantile.
        step = i if above[testable[order[:i]]].all() else step
        k = int(count[column])
        quantile = float(np.quantile(largest[:, step], 1 - alpha, method="higher"))
        # Flips of few or equal values are coarse: never less than one claim's quantile, never more than Bonferroni's.
        lowest, highest = _t_quantile(k, alpha), _t_quantile(k, alpha / (order.size - step))
        critical[column] = min(max(_as_t(quantile, k), lowest), highest)
        above[column] = step == i and _as_t(observed[order[i]], k) > critical[column]
    return StepDown(critical, above)


def _statistics(values: Matrix, margin: float, resamples: int, seed: int) -> tuple[Matrix, Matrix]:
    """Return sum d / sqrt(sum d^2), d the deviations from the margin: observed (C,) and under flips (B + 1, C)."""
    present = np.isfinite(values)
    deviation = np.where(present, values - margin, 0.0)
    if len(values) > _MANY:
        resamples = min(resamples, _FLIPS_OF_MANY)
    scale = np.sqrt((deviation * deviation).sum(axis=0))
    unit = deviation / np.where(scale > 0, scale, 1.0)
    observed = unit.sum(axis=0)
    drawn = [observed[None, :], *(signs @ unit for signs in flips(len(values), resamples, seed))]
    return observed, np.concatenate(drawn)


def _as_t(statistic: float, n_subjects: int) -> float:
    """Return the t statistic that sum d / sqrt(sum d^2) stands for: u sqrt((K - 1) / (K - u^2))."""
    room = n_subjects - statistic * statistic
    return math.copysign(math.inf, statistic) if room <= _TIE else statistic * math.sqrt((n_subjects - 1) / room)


def _t_quantile(n_subjects: int, alpha: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(n_subjects - 1, 1 - alpha))
