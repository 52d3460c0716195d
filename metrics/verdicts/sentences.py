"""Verdicts in one plain sentence that an auditor can quote: claims of robustness and abstention, and shared parts."""

from __future__ import annotations

import math

from robustness.metrics.inference.intervals import Interval, level_of
from robustness.metrics.verdicts.abstention import AbstentionDecision
from robustness.metrics.verdicts.decisions import RobustnessDecision
from robustness.metrics.verdicts.evidence import base_name

ACTIONS = {
    "antonym": "replacing {words} by their opposite",
    "rare": "replacing {words} by rare words",
    "drop": "leaving out {words}",
    "neutral": "replacing {words} by neutral ones",
    "other": "asking for another object, which differs in {words},",
    "wrong_class": "asking for another class",
    "absent": "asking for a structure that is not there",
    "negation": "negating the prompt",
}


def words_of(attribute: str, condition: str) -> str:
    """Return how a sentence calls the words that a condition changes."""
    return f"the {attribute} words" if attribute else f"the words that {condition} changes"


def sample(n_subjects: int, n_total: int, n_missing: int, unit: str) -> str:
    """Return the sample of a sentence: "n = 15 of 30 patients, 15 images missing"."""
    total = max(n_subjects, n_total)
    missing = f", {n_missing} image{'' if n_missing == 1 else 's'} missing" if n_missing else ""
    return f"n = {n_subjects} of {total} {unit}{'' if total == 1 else 's'}{missing}"


def shared_level(level: float, m: int) -> str:
    """Return the level of an interval and the claims that share its error rate."""
    if math.isnan(level):
        return "no interval"
    return f"{level_of(level)} interval, {m} claim{'' if m == 1 else 's'}"


def needed_subjects(n: int | None, towards: str, unknown: str, unit: str) -> str:
    """Return how many subjects would decide towards which verdict, or why no number is given; "" where neither is."""
    if n is not None:
        return f"; about {n} {unit}s would decide ({towards})"
    return f"; no number of {unit}s is given: {unknown}" if unknown else ""


def certificate(unit: str) -> str:
    """Return what a certificate is worth: it holds whatever the distribution is, for units that are independent.

    Example:
        >>> certificate("image")
        'certified for any distribution, if the images are independent (images of one patient are not)'
    """
    doubt = " (images of one patient are not)" if unit == "image" else ""
    return f"certified for any distribution, if the {unit}s are independent{doubt}"


def certification(n: int | None, unknown: str, unit: str) -> str:
    """Return how many subjects a certificate needs, or why no number is given; "" where neither is."""
    if n is not None:
        return f"; certification needs about {n} {unit}s"
    return f"; no number of {unit}s for certification: {unknown}" if unknown else ""


def robustness_sentence(
    decision: RobustnessDecision, *, model: str, condition: str, metric: str, margin: float, unit: str, alpha: float
) -> str:
    """Return the sentence of a robustness claim, with its numbers, its sample and its level."""
    who, whom = model or "The model", model or "the model"
    n = sample(decision.n_subjects, decision.n_total, decision.n_missing, unit)
    level = math.nan if math.isnan(decision.interval.low) else decision.level
    basis = f"{n}, {shared_level(level, decision.m)}"
    moved = f"{label(metric)} worsens by {number(decision.interval)}"
    if metric == "mask_change":
        moved = f"the mask changes by {percent(decision.interval)}"
    beyond = "change by more than that" if metric == "mask_change" else "lose more than that"
    share, plain, k = decision.share, decision.verdict.rstrip("*"), decision.n_subjects
    needed = needed_subjects(decision.needed.n, decision.needed.towards, decision.needed.unknown, unit)
    if plain == "UNTESTABLE":
        return f"Whether {whom} is robust to {condition} cannot be tested: {decision.rule}; {n}."
    width = f"{level_of(1 - alpha)} interval {100 * share.low:.0f}% to {100 * share.high:.0f}%"
    if plain == "ROBUST":
        lost = f"{k - decision.n_showing} of {k} {unit}s {beyond}"
        verb = "is robust" if decision.certified else "seems robust"
        ending = certificate(unit)
        if not decision.certified:
            ending = (
                f"not certified: up to {100 * decision.could_collapse:.1f}% of {unit}s could collapse"
                f" ({level_of(1 - alpha)} bound, K = {k})"
                + certification(decision.needed.n, decision.needed.unknown, unit)
            )
        return f"{who} {verb} to {condition}: {moved}, under the margin of {margin:g}; {lost}, {basis}; {ending}."
    lost = f"{decision.n_showing} of {k} {unit}s {beyond} ({width})"
    if plain == "FRAGILE":
        verb = "is fragile" if decision.certified else "seems fragile"
        ending = certificate(unit)
        if not decision.certified:
            ending = f"not certified: it rests on the interval alone, which cannot see rare {unit}s that gain"
        return f"{who} {verb} under {condition}: {moved}, beyond the margin of {margin:g}; {lost}, {basis}; {ending}."
    why = f"; {decision.held_back}{needed}" if decision.held_back else needed
    return f"Whether {whom} is robust to {condition} is open: {moved} (margin {margin:g}); {lost}, {basis}{why}."


def abstention_sentence(decision: AbstentionDecision, *, model: str, condition: str, margin: float, unit: str) -> str:
    """Return the sentence of an abstention claim."""
    who, whom = model or "The model", model or "the model"
    action = ACTIONS.get(base_name(condition), f"{condition}, which asks for nothing").format(words="the words")
    n = sample(decision.n_subjects, decision.n_total, decision.n_missing, unit)
    basis = f"{n}, {shared_level(decision.level, decision.m)}"
    painted = f"{decision.painted} of {decision.n_subjects} {unit}s got a mask that is not empty"
    rate = f"{painted} ({percent(decision.interval)}, margin {100 * margin:g}%)"
    needed = needed_subjects(decision.needed.n, decision.needed.towards, decision.needed.unknown, unit)
    if decision.verdict == "ABSTAINS":
        return f"{who} abstains as it should: {action} leaves the mask empty; {rate}, {basis}; {certificate(unit)}."
    if decision.verdict == "HALLUCINATES":
        return f"{who} hallucinates: {action} should leave the mask empty; {rate}, {basis}; {certificate(unit)}."
    if decision.verdict == "UNTESTABLE":
        return f"Whether {whom} abstains under {condition} cannot be tested: {decision.rule}; {n}."
    return f"Whether {whom} abstains under {condition} is open: {rate}, {basis}{needed}."


def label(metric: str) -> str:
    """Return how sentences write a metric: abbreviations in capitals, names of several words with blanks.

    Example:
        >>> [label(name) for name in ("dice", "hd95", "boundary_iou", "specificity")]
        ['Dice', 'HD95', 'boundary IoU', 'specificity']
    """
    written = {"dice": "Dice", "iou": "IoU", "hd95": "HD95", "assd": "ASSD", "nsd": "NSD", "ece": "ECE"}
    return " ".join(written.get(word, word) for word in metric.split("_"))


def percent(interval: Interval) -> str:
    """Return an interval as percentages, the bounds left out where there are none."""
    if math.isnan(interval.low):
        return f"{100 * interval.estimate:.1f}%"
    return f"{100 * interval.estimate:.1f}% [{100 * interval.low:.1f}%, {100 * interval.high:.1f}%]"


def points(interval: Interval) -> str:
    """Return a difference of percentages, in percentage points."""
    if math.isnan(interval.low):
        return f"{100 * interval.estimate:.1f} points"
    return f"{100 * interval.estimate:.1f} [{100 * interval.low:.1f}, {100 * interval.high:.1f}] percentage points"


def number(interval: Interval, digits: int = 3) -> str:
    """Return an interval as numbers, the bounds left out where there are none."""
    if math.isnan(interval.low):
        return f"{interval.estimate:.{digits}f}"
    return f"{interval.estimate:.{digits}f} [{interval.low:.{digits}f}, {interval.high:.{digits}f}]"
