"""The rules of the gates: intervals in, pass, fail or inconclusive out, with the subjects that would decide.

A gate over m cells (conditions x models x datasets x subgroups) fails when any of them fails and passes when all of
them pass. A false failure is bounded over the family: each cell's failing bound has confidence 1 - alpha / m. A false
pass needs no such price (an intersection-union test: every cell must pass), so passing bounds have confidence
1 - alpha.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from robustness.metrics.inference.intervals import Interval

Values = npt.NDArray[np.float64]
Outcome = Literal["pass", "fail", "inconclusive"]
NAN = float("nan")


class Errors(NamedTuple):
    """Error rate of one side of a claim, and the number of cells that are judged together."""

    alpha: float
    family: int


class Decision(NamedTuple):
    """An outcome with the interval that it rests on: 1 - 2 alpha for a pass, 1 - 2 alpha / family otherwise.

    `needed`: subjects that would decide with a power of 80%; None where nothing is open or no number can be told.
    """

    outcome: Outcome
    estimate: float
    low: float
    high: float
    needed: int | None


def below(values: Values, limit: float, errors: Errors, *, slack: float = 0.0, closed: bool = False) -> Decision:
    """Is the mean below `limit`? Pass: upper bound < limit. Fail: lower bound > limit + slack.

    Args:
        values: one per subject.
        slack: what the same model may differ by when it is run again.
        closed: the limit itself still passes.
    """
    tight, wide = _intervals(values, errors)
    if tight is None or wide is None:
        return _none(values)
    if tight.high < limit or (closed and tight.high <= limit):
        return Decision("pass", *tight, None)
    if wide.low > limit + slack:
        return Decision("fail", *wide, None)
    return Decision("inconclusive", *wide, _needed(values, limit, limit + slack, errors))


def above(values: Values, limit: float, errors: Errors, *, closed: bool = False) -> Decision:
    """Is the mean above `limit`? The mirror image of `below`; values that all equal an open limit fail."""
    decision = below(-values, -limit, errors, closed=closed)
    if decision.outcome == "inconclusive" and not closed and decision.low == decision.high == -limit:
        decision = decision._replace(outcome="fail", needed=None)
    return decision._replace(estimate=0.0 - decision.estimate, low=0.0 - decision.high, high=0.0 - decision.low)


def not_above(values: Values, limit: float, errors: Errors, *, slack: float = 0.0) -> Decision:
    """Is the mean not proven to be above `limit`? Fail: lower bound > limit + slack. Else pass."""
    tight, wide = _intervals(values, errors)
    if tight is None or wide is None:
        return _none(values)
    return Decision("fail" if wide.low > limit + slack else "pass", *wide, None)


def inside(values: Values, limit: float, errors: Errors, *, slack: float = 0.0, closed: bool = False) -> Decision:
    """Is the mean within -/+ `limit`? Two one-sided tests; fail where it lies outside on one side."""
    upper = below(values, limit, errors, slack=slack, closed=closed)
    lower = above(values, -limit, errors, closed=closed)
    if upper.outcome == lower.outcome == "pass":
        return upper
    _, wide = _intervals(values, errors)
    if wide is None:
        return _none(values)
    if wide.low > limit + slack or wide.high < -limit - slack:
        return Decision("fail", *wide, None)
    signed = values if wide.estimate >= 0 else -values
    return Decision("inconclusive", *wide, _needed(signed, limit, limit + slack, errors))


def share(changed: Values, clean: Values, at_least: float, errors: Errors, *, resamples: int, seed: int) -> Decision:
    """Is sum(changed) / sum(clean) at least `at_least`? Cluster bootstrap of the ratio of means."""
    from robustness.metrics.inference.bootstrap import cluster_bootstrap

    sums = np.column_stack([changed, clean])

    def bounds(level: float) -> Interval:
        return cluster_bootstrap(sums, lambda t: t[:, 0] / t[:, 1], level=level, resamples=resamples, seed=seed)

    tight, wide = bounds(1 - 2 * errors.alpha), bounds(1 - 2 * errors.alpha / errors.family)
    if math.isnan(tight.low):
        return Decision("inconclusive", *tight, 2 if clean.size < 2 else None)
    if tight.low >= at_least:
        return Decision("pass", *tight, None)
    if wide.high < at_least:
        return Decision("fail", *wide, None)
    # The ratio lies below at_least where the mean of changed - at_least x clean lies below 0.
    return Decision("inconclusive", *wide, _needed(at_least * clean - changed, 0.0, 0.0, errors))


def _intervals(values: Values, errors: Errors) -> tuple[Interval | None, Interval | None]:
    from robustness.metrics.inference.intervals import t_interval

    if values.size < 2:
        return None, None
    tight = t_interval(values, level=1 - 2 * errors.alpha)
    return tight, t_interval(values, level=1 - 2 * errors.alpha / errors.family)


def _none(values: Values) -> Decision:
    return Decision("inconclusive", float(values.mean()) if values.size else NAN, NAN, NAN, 2)


def _needed(values: Values, passing: float, failing: float, errors: Errors) -> int | None:
    """Return the subjects with which values like these would pass, or fail where their mean lies above the limit."""
    from robustness.metrics.inference.planning import subjects_to_decide

    if values.mean() < passing:
        return subjects_to_decide(values, passing, alpha=errors.alpha)
    if values.mean() > failing:
        return subjects_to_decide(values, failing, alpha=errors.alpha / errors.family)
    return None
