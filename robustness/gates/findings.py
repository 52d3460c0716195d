"""Findings of a gate: one per comparison, with the sentence that says it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from robustness.errors import counted
from robustness.gates.decisions import Decision, Outcome
from robustness.metrics.inference.intervals import level_of

SHOWN_CASES = 5


class Unit(NamedTuple):
    """What the subjects of a dataset are, and what a certificate over them assumes.

    Attributes:
        name: "patient", "image", or "subject" where the run does not say.
        assumes: what must be true for a certificate to hold, beyond independent patients; "" for nothing.
        why: who says so, or that nobody knows.
        stated: the assumption is the user's own (``subject = "image"``), so that a certificate counts as one.
    """

    name: str
    assumes: str = ""
    why: str = ""
    stated: bool = True

    def certifies(self, certified: bool) -> bool:
        """Tell whether a certificate counts: one that rests on what nobody knows does not."""
        return certified and self.stated

    def certificate(self, certified: bool) -> str:
        """Return what messages say of a certificate: "certified yes", "certified no", or on what it depends."""
        if not (certified and self.assumes):
            return f"certified {'yes' if certified else 'no'}"
        return f"certified yes, if {self.assumes}: {self.why}"

    @property
    def uncounted(self) -> str:
        """Why a certificate does not count, and what would make it count."""
        return (
            f"its certificate holds only if {self.assumes}: {self.why}; the gate asks for a certificate (certified ="
            ' true): name the patients in the data, or state subject = "image" in the plan where images are independent'
        )


def unit_of_dataset(facts: Sequence[Mapping[str, Any]], dataset: str) -> Unit:
    """Return the unit of a dataset from what the manifest records of it, a split at a time.

    Example:
        >>> unit_of_dataset([{"name": "d", "subject_is_image": True}], "d").certificate(True)
        'certified yes, if the images are independent: no patient of d is known'
    """
    mine = [one for one in facts if one.get("name") == dataset]
    images = [one for one in mine if one.get("subject_is_image")]
    if not mine or any(one.get("subject_is_image") is None for one in mine):
        why = f"the run does not record whether those of {dataset} are patients"
        return Unit("subject", "the subjects are independent", why, stated=False)
    if not images:
        return Unit("patient")
    name = "image" if len(images) == len(mine) else "subject"
    if all(one.get("subject") == "image" for one in images):
        named = {str(subject) for one in images for subject in one.get("origin_subjects") or ()}
        though = f", though the data name {counted(len(named), 'patient')}" if named else ""
        return Unit(name, "the images are independent", f'subject = "image" states so{though}')
    return Unit(name, "the images are independent", f"no patient of {dataset} is known", stated=False)


class Finding(NamedTuple):
    """What one test says of one condition of one model on one dataset (and one subgroup).

    `level`: confidence level of the interval `low` to `high`; NaN without one, or where an old run does not record it.
    `badness` orders findings of the same outcome: larger is worse. `needed` is the number of subjects that would
    decide; `worst_cases` are texts such as "case_012 (+0.31)"; `certified`: a distribution-free test gives the same
    outcome, for subjects that are patients or that the user states to be independent; `certified_if`: what such a test
    assumes beyond that, "" where nothing or where there is none.
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
    certified_if: str = ""

    @property
    def has_certificate(self) -> bool:
        """Whether a distribution-free test gives the same outcome, whatever it assumes."""
        return self.certified or bool(self.certified_if)


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
