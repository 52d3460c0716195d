"""Robustness claims: does a metric stay within its margin under a change that should be harmless?"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from robustness.metrics.inference.evalues import closed_means, log_evalue_above, log_evalue_below
from robustness.metrics.inference.intervals import Interval, Values, beneath, beyond, sample_sd, t_interval
from robustness.metrics.inference.mean_interval import claim_interval
from robustness.metrics.inference.planning import subjects_to_certify
from robustness.metrics.inference.shares import clopper_pearson
from robustness.metrics.inference.signflip import guarded, sign_flip
from robustness.metrics.inference.upper_bound import share_bound
from robustness.metrics.pairing.coverage import (
    Counts,
    Flags,
    Missing,
    lost_certificate,
    lost_shares,
    missing_of,
    with_worst,
)
from robustness.metrics.pairing.direction import effect_range
from robustness.metrics.pairing.pairs import Pairs, subject_matrix, subject_means
from robustness.metrics.pairing.rows import Codes, Rows
from robustness.metrics.verdicts.decisions import STAR, RobustnessDecision, starred
from robustness.metrics.verdicts.families import NOTHING, Certificate
from robustness.metrics.verdicts.needed import Needed, needed_for, needed_for_loss
from robustness.metrics.verdicts.settings import Settings
from robustness.results import CLEAN


class Measure(NamedTuple):
    """A metric with its margin: `low`, `high` are the ends of its effect, infinite where it has none."""

    name: str
    margin: float
    low: float
    high: float

    @property
    def bounded(self) -> bool:
        """Whether no subject can lose more than 1, so that certificates exist."""
        return self.high <= 1.0


def measure_of(name: str, margin: float) -> Measure:
    """Return the metric with the ends of its effect: 0 and 1 for the mask change, -1 and 1 for ratios."""
    return Measure(name, margin, *effect_range(name))


class _Condition(NamedTuple):
    """One condition: means of its effect over subjects and cases, with what is missing."""

    cell: int
    subjects: Codes
    values: Values
    missing: Missing | None
    cases: Codes
    of_cases: Values


class Conditions(NamedTuple):
    """The conditions of one (model, dataset) that are judged, and what they are judged by.

    Attributes:
        judged: cells that carry a claim; `expected`: values that each cell should have of each case.
        noise: mean difference of two identical runs.
        floor: why no claim can be made at all, or "".
    """

    rows: Rows
    cells: pd.DataFrame
    judged: Flags
    expected: Counts
    noise: float
    floor: str


def robustness_decisions(
    pairs: Pairs, conditions: Conditions, measure: Measure, settings: Settings
) -> list[tuple[int, RobustnessDecision, dict[str, Any]]]:
    """Return (cell, decision, further columns) of every judged condition.

    ROBUST: the upper bound of the mean effect lies below the margin, level 1 - 2 alpha / m. FRAGILE: the lower bound
    lies above it. A star: the e-value of the same claim, closed over the family, does not reach 1 / alpha.
    """
    changed = [int(c) for c in conditions.cells.index[conditions.cells["family"] != CLEAN]]
    every = [_condition(pairs, conditions, cell) for cell in changed]
    matrix = subject_matrix([(c.subjects, c.values) for c in every])
    test = sign_flip(matrix, resamples=settings.resamples, seed=settings.seed)
    test = guarded(test, matrix, low=measure.low, high=measure.high)
    judged = [i for i, c in enumerate(changed) if conditions.judged[c]]
    certificates = _certificates([every[i].values for i in judged], measure, settings)
    m = max(1, sum(not settings.too_few(every[i].values.size) for i in judged))
    return [
        (
            every[i].cell,
            _decide(every[i], measure, settings, m, certificate, conditions),
            {"n_images": every[i].cases.size, "detectable": bool(test.p_adjusted[i] < settings.alpha)},
        )
        for i, certificate in zip(judged, certificates, strict=True)
    ]


def _condition(pairs: Pairs, conditions: Conditions, cell: int) -> _Condition:
    where = pairs.of(cell)
    subjects, values = subject_means(pairs.effect[where], pairs.subject[where])
    present = pairs.n_texts_of(cell, conditions.rows.subject_of_case.size)
    missing = missing_of(conditions.rows, lost_shares(conditions.expected[cell], present))
    missed = missing if missing.n_images else None
    return _Condition(cell, subjects, values, missed, pairs.case[where], pairs.effect[where])


def _certificates(family: list[Values], measure: Measure, settings: Settings) -> list[tuple[Certificate, Certificate]]:
    """Return the certificates of ROBUST and of FRAGILE for every condition."""
    enough = np.array([not settings.too_few(v.size) for v in family], dtype=bool)
    logs = np.full((2, len(family)), NOTHING)
    for i in np.flatnonzero(enough) if measure.bounded else ():
        logs[:, i] = (
            _log_robust(family[i], measure, settings),
            log_evalue_above(family[i], measure.margin, low=measure.low),
        )
    closed = np.full_like(logs, NOTHING)
    for side in (0, 1):
        closed[side, enough] = closed_means(logs[side, enough])
    return [
        (Certificate(*map(float, (logs[0, i], closed[0, i]))), Certificate(*map(float, (logs[1, i], closed[1, i]))))
        for i in range(len(family))
    ]


def _log_robust(values: Values, measure: Measure, settings: Settings) -> float:
    if not measure.bounded:
        return NOTHING
    return log_evalue_below(values, measure.margin, alpha=settings.alpha)


def _decide(
    condition: _Condition,
    measure: Measure,
    settings: Settings,
    m: int,
    certificates: tuple[Certificate, Certificate],
    conditions: Conditions,
) -> RobustnessDecision:
    values, margin, missing, robust = condition.values, measure.margin, condition.missing, certificates[0]
    level = 1 - 2 * settings.alpha / m
    interval = _interval(values, level, measure, certificates, settings)
    lost = int(beyond(values, margin).sum())
    lost_share = clopper_pearson(lost, values.size, level=1 - settings.alpha)
    decision = RobustnessDecision(
        "INCONCLUSIVE",
        _open_rule(values, interval, margin),
        interval,
        values.size,
        level,
        m,
        False,
        lost_share,
        Needed(None, "", ""),
        lost,
        max(values.size, 0 if missing is None else missing.n_subjects),
        0 if missing is None else missing.n_images,
        share_bound(lost, values.size, alpha=settings.alpha) if values.size else math.nan,
    )
    none = "no case applies" if missing is None else f"no value is known: all {missing.n_images} images are missing"
    reason = none if values.size == 0 else settings.too_few(values.size) or conditions.floor
    if reason:
        return decision._replace(verdict="UNTESTABLE", rule=reason)
    if beneath(interval.high, margin):
        decision = _robust(decision, values, measure, settings, robust)
    elif beneath(margin, interval.low):
        above = f"interval {_bounds(interval)} above the margin {margin:g}"
        decision = _starred(decision, "FRAGILE", above, certificates[1], measure, settings)
    if decision.verdict == "INCONCLUSIVE":
        needed = needed_for_loss(values, margin, measure.low, measure.bounded, settings.alpha / m, settings, robust)
        decision = decision._replace(needed=needed, n_showing=lost, share=lost_share)
    decision = _with_noise(decision, conditions.noise, margin)
    return _with_missing(decision, condition, measure, settings, certificates)


def _interval(
    values: Values, level: float, measure: Measure, certificates: tuple[Certificate, Certificate], settings: Settings
) -> Interval:
    """Return the t interval where a certificate stands behind what it says, else the one that skewness widens."""
    student, margin = t_interval(values, level=level), measure.margin
    robust, fragile = (certificate.holds(settings.alpha) for certificate in certificates)
    backed = (beneath(student.high, margin) and robust) or (beneath(margin, student.low) and fragile)
    warns = (measure.low, measure.high) if student.estimate > margin else None
    return claim_interval(values, level=level, certified=backed, warns=warns)


def _robust(
    decision: RobustnessDecision, values: Values, measure: Measure, settings: Settings, certificate: Certificate
) -> RobustnessDecision:
    margin = measure.margin
    rule = f"interval {_bounds(decision.interval)} below the margin {margin:g}"
    n_robust = values.size - decision.n_showing
    decision = decision._replace(
        n_showing=n_robust, share=clopper_pearson(n_robust, values.size, level=1 - settings.alpha)
    )
    decision = _starred(decision, "ROBUST", rule, certificate, measure, settings)
    if decision.certified or decision.held_back:
        return decision
    if not measure.bounded:
        endless = f"{measure.name} has no largest value, so no number certifies it"
        return decision._replace(needed=Needed(None, "", endless))
    n = subjects_to_certify(values, margin, alpha=settings.alpha, penalty=certificate.penalty)
    return decision._replace(needed=needed_for(n, "ROBUST", values.size))


def _starred(
    decision: RobustnessDecision,
    verdict: str,
    rule: str,
    certificate: Certificate,
    measure: Measure,
    settings: Settings,
) -> RobustnessDecision:
    star = starred(verdict, certificate, settings, n=decision.n_subjects, bounded=measure.bounded)
    rule = f"{rule}; {star.held_back}; {star.says}" if star.held_back else f"{rule}; {star.says}"
    return decision._replace(verdict=star.verdict, rule=rule, certified=star.certified, held_back=star.held_back)


def _with_noise(decision: RobustnessDecision, noise: float, margin: float) -> RobustnessDecision:
    if not noise > 0:
        return decision
    decision = decision._replace(rule=f"{decision.rule}; two identical runs differ by {100 * noise:.2f}%")
    # What the model does to itself on a second run is no effect of the change.
    fragile = decision.verdict.startswith("FRAGILE")
    held_back = noise >= margin and (fragile or decision.needed.towards.startswith("FRAGILE"))
    if not (held_back or (fragile and not beneath(margin + noise, decision.interval.low))):
        return decision
    why = "two identical runs differ by as much as the margin: more subjects cannot decide"
    if noise < margin:
        why = f"it lies above the margin {margin:g}, but not by more than two identical runs differ"
    return decision._replace(verdict="INCONCLUSIVE", certified=False, needed=Needed(None, "", why))


def _with_missing(
    decision: RobustnessDecision,
    condition: _Condition,
    measure: Measure,
    settings: Settings,
    certificates: tuple[Certificate, Certificate],
) -> RobustnessDecision:
    """Return the decision, or what is left of it with everything that is missing counted as the worst value for it.

    A certificate must survive whatever is missing, the interval only more than `settings.missing_share`.
    """
    missing, plain = condition.missing, decision.verdict.rstrip(STAR)
    if missing is None or plain == "INCONCLUSIVE":
        return decision
    robust, lost = plain == "ROBUST", int(beyond(condition.values, measure.margin).sum())
    values = with_worst(missing, condition.cases, condition.of_cases, measure.high if robust else measure.low)
    share = f"{100 * missing.total:.0f}% of the cases are missing"
    log_e = (
        _log_robust(values, measure, settings) if robust else log_evalue_above(values, measure.margin, low=measure.low)
    )
    certified = decision.certified and certificates[0 if robust else 1].holds(settings.alpha, log_e)
    if missing.total <= settings.missing_share:
        if certified or not decision.certified:
            return decision
        why = lost_certificate(missing)
        return decision._replace(
            verdict=plain + STAR, rule=f"{decision.rule}; {why}", certified=False, needed=Needed(None, "", why)
        )
    known = bool(np.isfinite(values).all())
    interval = claim_interval(values, level=decision.level, certified=certified) if known else Interval(*[math.nan] * 3)
    if not (beneath(interval.high, measure.margin) if robust else beneath(measure.margin, interval.low)):
        return decision._replace(
            verdict="INCONCLUSIVE",
            rule=f"{share}; counted as the worst value they overturn {plain} ({decision.rule})",
            certified=False,
            n_showing=lost,
            share=clopper_pearson(lost, condition.values.size, level=1 - settings.alpha),
            needed=Needed(None, "", f"{share}, and {plain} does not hold with them counted as the worst value"),
        )
    return decision._replace(
        verdict=plain if certified else plain + STAR,
        rule=f"{decision.rule}; {share}: it holds with them counted as the worst value",
        certified=certified,
    )


def _open_rule(values: Values, interval: Interval, margin: float) -> str:
    alike = values.size > 1 and sample_sd(values) == 0
    if alike and math.isnan(interval.low):
        return "no spread was seen, and the metric has no end: nothing bounds its mean loss"
    wide = alike and interval.low < interval.high
    return f"interval {_bounds(interval)} holds the margin {margin:g}{'; no spread was seen' * wide}"


def _bounds(interval: Interval) -> str:
    return f"[{interval.low:.3f}, {interval.high:.3f}]"
