"""Findings of a gate: one per comparison, with the sentence that says it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from robustness.errors import counted
from robustness.gates.decisions import Decision, Outcome

SHOWN_CASES = 5


class Finding(NamedTuple):
    """What one test says of one condition of one model on one dataset (and one subgroup).

    `level`: confidence level of the interval `low` to `high`; NaN without one, or where an old run does not record it.
    `badness` orders findings of the same outcome: larger is worse. `needed` is the number of subjects that would
    decide; `worst_cases` are texts such as "case_012 (+0.31)"; `certified`: a distribution-free test gives the same
    outcome.
    """

    outcome: Outcome
    condition: str
    model: str
    dataset: str
    group: str
    metric: str
    estimate: float
    low: float
    high: float
    level: float
    margin: float
    n_images: int
    n_subjects: int
    needed: int | None
    badness: float
    message: str
    worst_cases: tuple[str, ...]
    certified: bool = False


def worst_of(
    cases: Sequence[str], values: Sequence[float], *, weight: float = 1.0, signed: bool = True
) -> tuple[str, ...]:
    """Return the cases with the largest `weight` x value, each with its value."""
    order = sorted(range(len(cases)), key=lambda i: (-weight * values[i], cases[i]))[:SHOWN_CASES]
    return tuple(f"{cases[i]} ({values[i]:{'+' if signed else ''}.3f})" for i in order)


def interval_of(decision: Decision, digits: int, *, sign: str = "") -> str:
    """Return the estimate with its interval and that interval's level; "(no interval)" where nothing bounds it."""
    estimate = f"{decision.estimate:{sign}.{digits}f}"
    if math.isnan(decision.low) or math.isnan(decision.high):
        return f"{'undefined' if math.isnan(decision.estimate) else estimate} (no interval)"
    level = f"{level_of(decision.level)} interval"
    return f"{estimate} [{decision.low:{sign}.{digits}f}, {decision.high:{sign}.{digits}f}] ({level})"


def level_of(level: float) -> str:
    """Write a confidence level: ``90%``; "-" where none is known.

    Example:
        >>> level_of(0.9), level_of(1 - 0.1 / 12)
        ('90%', '99.17%')
    """
    return "-" if math.isnan(level) else f"{100 * level:.4g}%"


def would_decide(decision: Decision, n_subjects: int, unit: str) -> str:
    """Return what an inconclusive message adds: how many subjects would decide."""
    if decision.outcome != "inconclusive":
        return ""
    if n_subjects == 0:
        return "; no case applies, so no number of subjects decides"
    if n_subjects < 2:
        return f"; no interval from {counted(n_subjects, unit)}, at least 2 are needed"
    if decision.needed is None and math.isnan(decision.low):
        if math.isnan(decision.estimate):
            return "; no value exists, so no number of subjects decides"
        return (
            f"; all {unit}s show the same, and the metric has no end that would bound what others show: no number helps"
        )
    if decision.needed is None:
        return "; the estimate lies too near the limit for 10 times as many to decide"
    return f"; about {decision.needed} {unit}s would decide"
