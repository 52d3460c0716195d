"""The rules of the gates: intervals in, pass, fail or inconclusive out, with the subjects that would decide.

A gate over m cells (conditions x models x datasets x subgroups) fails when any of them fails and passes when all of
them pass. A false failure is bounded over the family: each cell's failing bound has confidence 1 - alpha / m. A false
pass needs no such price (an intersection-union test: every cell must pass), so passing bounds have confidence
1 - alpha. Bounds are Student's t where a distribution-free test gives the same outcome, else widened for skewness; a
failure of values that all are equal, so that no spread was seen, takes the distribution-free bound.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from robustness.metrics.inference.intervals import at_most, beneath

if TYPE_CHECKING:
    from robustness.metrics.inference.intervals import Interval

Values = npt.NDArray[np.float64]
Outcome = Literal["pass", "fail", "inconclusive"]
NAN = float("nan")


class ErrorRates(NamedTuple):
    """Error rate of one side of a claim, and the number of cells that are judged together.

    `low`, `high`: ends of the subjects' values; a certificate needs the end that is against the outcome.
    """

    alpha: float
    n_tests: int
    low: float = -math.inf
    high: float = math.inf

    @property
    def passing(self) -> float:
        """Level of the two-sided interval whose one end a pass is read off."""
        return 1 - 2 * self.alpha

    @property
    def failing(self) -> float:
        """Level of the two-sided interval whose one end a failure is read off: the cells share the error rate."""
        return 1 - 2 * self.alpha / self.n_tests

    @property
    def mirrored(self) -> ErrorRates:
        """The same for values with their signs turned."""
        return self._replace(low=-self.high, high=-self.low)


class Decision(NamedTuple):
    """An outcome with the interval that it rests on, and the confidence level of that interval.

    `level`: 1 - 2 alpha for a pass, 1 - 2 alpha / n_tests otherwise (and for a pass that is the lack of a failure);
    NaN without an interval.
    `needed`: subjects that would decide with a power of 80%; None where nothing is open or none is within reach.
    `certified`: a distribution-free test (`robustness.metrics.inference.evalues`) gives the same outcome: a pass at
    alpha, a failure at alpha / n_tests.
    """

    outcome: Outcome
    estimate: float
    low: float
    high: float
    level: float
    needed: int | None
    certified: bool = False


def noninferiority(
    values: Values, limit: float, errors: ErrorRates, *, noise_allowance: float = 0.0, closed: bool = False
) -> Decision:
    """Test whether the mean is below `limit`. Pass: upper bound < limit. Fail: lower bound > limit + noise_allowance.

    Args:
        values: one per subject.
        noise_allowance: what the same model may differ by when it is run again.
        closed: the limit itself still passes.
    """
    if values.size < 2:
        return _none(values)
    certified = certified_below(values, limit, errors)
    uncorrected = _bounds(values, errors, certified)
    if beneath(uncorrected.high, limit) or (closed and at_most(uncorrected.high, limit)):
        return Decision("pass", *uncorrected, errors.passing, None, certified)
    certified = _certified_above(values, limit + noise_allowance, errors)
    corrected = _failing(values, limit + noise_allowance, errors, certified)
    if beneath(limit + noise_allowance, corrected.low):
        return Decision("fail", *corrected, errors.failing, None, certified)
    return Decision("inconclusive", *corrected, errors.failing, _needed(values, limit, limit + noise_allowance, errors))


def superiority(values: Values, limit: float, errors: ErrorRates, *, closed: bool = False) -> Decision:
    """Test whether the mean is above `limit`: `noninferiority` mirrored; values that all equal an open limit fail."""
    decision = noninferiority(-values, -limit, errors.mirrored, closed=closed)
    if (
        decision.outcome == "inconclusive"
        and not closed
        and decision.low == decision.high
        and at_most(-limit, decision.low)
    ):
        decision = decision._replace(outcome="fail", needed=None)
    return decision._replace(estimate=0.0 - decision.estimate, low=0.0 - decision.high, high=0.0 - decision.low)


def no_proven_inferiority(
    values: Values, limit: float, errors: ErrorRates, *, noise_allowance: float = 0.0
) -> Decision:
    """Test that the mean is not proven to be above `limit`: fail where lower bound > limit + noise_allowance.

    Values that all are the same loss pass no more than they fail, where their distribution-free bound holds the limit:
    a spread that was not seen may be that of a few who gained, and all that were seen have lost.
    """
    from robustness.metrics.inference.intervals import sample_sd

    if values.size < 2:
        return _none(values)
    beyond = limit + noise_allowance
    certified = _certified_above(values, beyond, errors)
    corrected = _failing(values, beyond, errors, certified)
    if beneath(beyond, corrected.low):
        return Decision("fail", *corrected, errors.failing, None, certified)
    if corrected.estimate > beyond and sample_sd(values) == 0:
        return Decision("inconclusive", *corrected, errors.failing, _needed(values, beyond, beyond, errors))
    return Decision(
        "pass", *corrected, errors.failing, None, certified_below(values, limit, errors) if limit > 0 else False
    )


def equivalence(
    values: Values, limit: float, errors: ErrorRates, *, noise_allowance: float = 0.0, closed: bool = False
) -> Decision:
    """Test whether the mean is within -/+ `limit` (two one-sided tests, TOST); fail where it lies outside on a side."""
    upper = noninferiority(values, limit, errors, noise_allowance=noise_allowance, closed=closed)
    lower = superiority(values, -limit, errors, closed=closed)
    if upper.outcome == lower.outcome == "pass":
        return upper._replace(certified=upper.certified and lower.certified)
    if values.size < 2:
        return _none(values)
    mean, beyond = float(values.mean()), limit + noise_allowance
    signed, towards = (values, errors) if mean >= 0 else (-values, errors.mirrored)
    certified = _certified_above(signed, beyond, towards)
    found = _failing(signed, beyond, towards, certified)
    corrected = found if mean >= 0 else _mirrored(found)
    if beneath(beyond, found.low):
        return Decision("fail", *corrected, errors.failing, None, certified)
    return Decision("inconclusive", *corrected, errors.failing, _needed(signed, limit, beyond, towards))


def retention(
    changed: Values, clean: Values, at_least: float, errors: ErrorRates, *, resamples: int, seed: int
) -> Decision:
    """Test whether sum(changed) / sum(clean) is at least `at_least`.

    Cluster bootstrap of the ratio of means; without a certificate it is widened as the interval of a mean would be that
    has each subject's influence on the ratio.
    """
    if not (clean.size > 1 and clean.sum() > 0):
        return Decision("inconclusive", _ratio(changed, clean), NAN, NAN, NAN, 2 if clean.size < 2 else None)
    # The ratio is at least at_least where the mean of at_least x clean - changed, -1 .. at_least, is not above 0.
    lacking, ends = at_least * clean - changed, errors._replace(high=at_least)
    certified = certified_below(lacking, 0.0, ends)
    kept = _kept(changed, clean, errors.passing, certified, False, (resamples, seed))
    if at_most(at_least, kept.low):
        return Decision("pass", *kept, errors.passing, None, certified)
    certified = _certified_above(lacking, 0.0, ends)
    warns = kept.estimate < at_least
    kept = _kept(changed, clean, errors.failing, certified, warns, (resamples, seed))
    if beneath(kept.high, at_least):
        return Decision("fail", *kept, errors.failing, None, certified)
    return Decision("inconclusive", *kept, errors.failing, _needed(lacking, 0.0, 0.0, ends))


def _ratio(changed: Values, clean: Values) -> float:
    return float(changed.sum() / clean.sum()) if clean.size and clean.sum() else NAN


def _kept(
    changed: Values, clean: Values, level: float, certified: bool, warns: bool, drawing: tuple[int, int]
) -> Interval:
    """Return the share that is kept, with its interval; `warns`: a loss is to be shown, `drawing`: resamples, seed."""
    from robustness.metrics.inference.bootstrap import cluster_bootstrap
    from robustness.metrics.inference.mean_interval import T_METHOD, mean_interval

    drawn = cluster_bootstrap(
        np.column_stack([changed, clean]),
        lambda t: t[:, 0] / t[:, 1],
        level=level,
        resamples=drawing[0],
        seed=drawing[1],
    )
    share, scale = drawn.estimate, float(clean.mean())
    influence = share + (changed - share * clean) / scale
    ends = (share - share / scale, share + 1 / scale) if warns else (-math.inf, math.inf)
    guard = mean_interval(influence, level=level, low=ends[0], high=ends[1])
    if certified or guard.method == T_METHOD:
        return drawn
    return drawn._replace(low=min(drawn.low, guard.interval.low), high=max(drawn.high, guard.interval.high))


def certified_below(values: Values, limit: float, errors: ErrorRates) -> bool:
    """Tell whether a distribution-free test shows a mean below `limit`, values being at most `errors.high`."""
    from robustness.metrics.inference.evalues import log_evalue_below

    top = errors.high
    if not (math.isfinite(top) and values.size and limit < top):
        return False
    # The test is free of scale: only how far values and limit lie below the largest value counts.
    shifted, margin = 1 - (top - values), 1 - (top - limit)
    return log_evalue_below(shifted, margin, alpha=errors.alpha) >= -math.log(errors.alpha)


def _certified_above(values: Values, limit: float, errors: ErrorRates) -> bool:
    mirrored = errors.mirrored._replace(alpha=errors.alpha / errors.n_tests)
    return certified_below(-values, -limit, mirrored)


def _bounds(values: Values, errors: ErrorRates, certified: bool) -> Interval:
    """Return the interval with error rate alpha on each side."""
    from robustness.metrics.inference.mean_interval import claim_interval

    return claim_interval(values, level=errors.passing, certified=certified)


def _failing(values: Values, limit: float, errors: ErrorRates, certified: bool) -> Interval:
    """Return the interval of a failure by a mean above `limit`, with its share of the error rate."""
    from robustness.metrics.inference.mean_interval import claim_interval

    warns = (errors.low, errors.high) if values.mean() > limit else None
    return claim_interval(values, level=errors.failing, certified=certified, warns=warns)


def _mirrored(interval: Interval) -> Interval:
    return interval._replace(estimate=0.0 - interval.estimate, low=0.0 - interval.high, high=0.0 - interval.low)


def _none(values: Values) -> Decision:
    return Decision("inconclusive", float(values.mean()) if values.size else NAN, NAN, NAN, NAN, 2)


def _needed(values: Values, passing: float, failing: float, errors: ErrorRates) -> int | None:
    """Return the subjects with which values like these would pass, or fail where their mean lies above the limit."""
    from robustness.metrics.inference.planning import subjects_to_decide

    if values.mean() < passing:
        return subjects_to_decide(values, passing, alpha=errors.alpha)
    if values.mean() > failing:
        return subjects_to_decide(values, failing, alpha=errors.alpha / errors.n_tests, low=errors.low)
    return None
