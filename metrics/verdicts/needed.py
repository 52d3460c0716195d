"""Subjects that would decide or certify a claim, by the rule that would do so; else why no number is given."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from robustness.metrics.inference.intervals import Values
from robustness.metrics.inference.planning import (
    FURTHEST,
    subjects_to_certify,
    subjects_to_certify_above,
    subjects_to_decide,
)
from robustness.metrics.verdicts.evidence import Evidence
from robustness.metrics.verdicts.families import Certificate, Tests
from robustness.metrics.verdicts.settings import Settings


class Needed(NamedTuple):
    """Subjects that would show the verdict `towards`; None with the reason in `unknown`."""

    n: int | None
    towards: str
    unknown: str


def needed_for(n: int | None, towards: str, n_now: int) -> Needed:
    """Return the number with its verdict, or the reason why there is none."""
    if n is not None:
        return Needed(n, towards, "")
    return Needed(None, "", f"the estimate lies too near the margin for up to {FURTHEST} x {n_now} to decide")


def needed_for_loss(
    values: Values,
    margin: float,
    low: float,
    bounded: bool,
    alpha: float,
    settings: Settings,
    certificate: Certificate,
) -> Needed:
    """Return the subjects who would show a mean loss on its side of `margin`: ROBUST* or FRAGILE.

    ROBUST* takes the interval and, where `settings` ask for it and values have an end, the e-value of a star.

    Args:
        low: smallest possible value; bounded: the largest is 1.
        alpha: error rate of the interval.
        certificate: of ROBUST.
    """
    robust, shown = float(values.mean()) < margin, subjects_to_decide(values, margin, alpha=alpha, low=low)
    if not robust and np.ptp(values) == 0 and not np.isfinite(low):
        return Needed(None, "", "all lose the same, and the metric has no end that would bound what others lose")
    rate = settings.star_rate("ROBUST")
    if rate >= 1 or not (robust and bounded):
        return needed_for(shown, "ROBUST*" if robust else "FRAGILE", values.size)
    star = subjects_to_certify(values, margin, alpha=rate, penalty=certificate.penalty)
    return needed_for(_both(shown, star, values), "ROBUST*", values.size)


def _both(shown: int | None, star: int | None, values: Values) -> int | None:
    """Return the subjects that the interval and the e-value take; without spread only the e-value counts."""
    if np.ptp(values) == 0:
        return star
    return None if shown is None or star is None else max(shown, star)


def needed_to_follow(values: Values, settings: Settings, tests: Tests) -> Needed:
    """Return the subjects that would show FOLLOWS, from the weaker of S_A and S_B."""
    margin = settings.margin_dice
    if values.mean() <= margin:
        return Needed(None, "", "the estimate is not above the margin, so more subjects would not show FOLLOWS")
    shown = subjects_to_decide(values, margin, alpha=tests.following_alpha)
    star = subjects_to_certify_above(values, margin, alpha=settings.star_rate("FOLLOWS"), penalty=tests.follows.penalty)
    return needed_for(_both(shown, star, values), "FOLLOWS*", values.size)


def needed_to_ignore(evidence: Evidence, settings: Settings, tests: Tests) -> Needed:
    """Return the subjects that would certify IGNORES."""
    n = subjects_to_certify(
        evidence.change, settings.margin_change, alpha=settings.alpha, penalty=tests.ignores.penalty
    )
    return needed_for(n, "IGNORES", evidence.change.size)


def needed_to_decide(evidence: Evidence, settings: Settings, tests: Tests) -> Needed:
    """Return the subjects that would show REACTS, or a certified IGNORES; None where neither is in reach.

    Where paraphrases move the mask as much as the margin, or two identical runs differ by as much, more subjects would
    not help.
    """
    margin, alpha, n_now = settings.margin_change, tests.alpha, evidence.excess.size
    if evidence.rerun_noise >= margin:
        return Needed(None, "", "two identical runs differ by as much as the margin: more subjects cannot decide")
    if evidence.excess.mean() > margin:
        return needed_for(subjects_to_decide(evidence.excess, margin, alpha=alpha, low=-1.0), "REACTS", n_now)
    if evidence.change.mean() >= margin:
        if evidence.paraphrase.mean() > margin:
            return needed_for(subjects_to_decide(evidence.paraphrase, margin, alpha=alpha, low=0.0), "UNSTABLE", n_now)
        return Needed(None, "", "the change lies above the margin and its excess over paraphrase below it")
    lower = -evidence.excess if evidence.excess.mean() < 0 else evidence.excess
    shown = [subjects_to_decide(values, margin, alpha=alpha) for values in (lower, evidence.change)]
    certified = needed_to_ignore(evidence, settings, tests).n
    counts = [n for n in (*shown, certified) if n is not None]
    spread = [values.size > 0 and np.ptp(values) > 0 for values in (lower, evidence.change)]
    complete = certified is not None and all(n is not None or not wide for n, wide in zip(shown, spread, strict=True))
    return needed_for(max(counts) if complete and counts else None, "IGNORES", n_now)
