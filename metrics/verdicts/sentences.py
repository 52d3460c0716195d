"""Verdicts in one plain sentence that an auditor can quote."""

from __future__ import annotations

import math

from robustness.metrics.inference.intervals import Interval
from robustness.metrics.verdicts.evidence import base_name
from robustness.metrics.verdicts.rules import Decision

_ACTIONS = {
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


def prompt_sentence(decision: Decision, *, model: str, attribute: str, condition: str, unit: str) -> str:
    """Return the sentence of a prompt claim, with its numbers."""
    who, whom, words = model or "The model", model or "the model", words_of(attribute, condition)
    action = _ACTIONS.get(base_name(condition), "changing {words}").format(words=words)
    n = f"n = {decision.n_subjects} {unit}{'' if decision.n_subjects == 1 else 's'}"
    interval, margin = decision.interval, f"{100 * decision.margin:g}%"
    excess = f"{action} changes the mask by {_against_rewording(interval)}"
    needed = "" if decision.n_needed is None else f"; about {decision.n_needed} {unit}s would decide"
    if decision.verdict == "FOLLOWS":
        gain = f"at least {interval.estimate:.2f} Dice [{interval.low:.2f}, {interval.high:.2f}]"
        moved = f"asked for the other object, its mask leaves the first and reaches the second by {gain}"
        return f"{who} follows {words}: {moved}, {n}."
    if decision.verdict == "REACTS":
        return (
            f"{who} reacts to {words}: {excess}, beyond the margin of {margin}, {n}; that it follows them is not shown."
        )
    if decision.verdict == "UNSTABLE":
        moved = f"rewording alone changes the mask by {percent(interval)}"
        return f"{who} is unstable: {moved}, and {action} adds no more, {n}."
    if decision.verdict == "IGNORES":
        return f"{who} ignores {words}: {excess}, within the margin of {margin}, {n}; certified without assumptions."
    if decision.verdict == "IGNORES*":
        return f"{who} seems to ignore {words}: {excess}, {n}; {_uncertified(decision, unit)}."
    if decision.verdict == "UNTESTABLE":
        return f"Whether {whom} uses {words} cannot be tested: {decision.rule}."
    if decision.metric == "dice":
        return f"Whether {whom} follows {words} is open: {decision.rule}, {n}{needed}."
    if decision.rule.startswith("5 no wording floor"):
        moved = f"{action} changes the mask by {percent(interval)}"
        return f"Whether {whom} uses {words} is open: {moved}, but no rewording was run to compare with, {n}."
    return f"Whether {whom} uses {words} is open: {excess} (margin {margin}), {n}{needed}."


def _against_rewording(interval: Interval) -> str:
    if interval.estimate < 0:
        return f"{percent(Interval(-interval.estimate, -interval.high, -interval.low))} less than rewording does"
    return f"{percent(interval)} more than rewording does"


def _uncertified(decision: Decision, unit: str) -> str:
    k = decision.observed
    text = f"not certified: up to {100 * decision.share:.1f}% of {unit}s could react (rule of three, K = {k})"
    return text if decision.n_needed is None else f"{text}; certification needs about {decision.n_needed} {unit}s"


def robustness_sentence(
    verdict: str,
    interval: Interval,
    *,
    model: str,
    condition: str,
    metric: str,
    margin: float,
    n_subjects: int,
    n_needed: int | None,
    unit: str,
) -> str:
    """Return the sentence of a robustness claim, with its numbers."""
    who, whom = model or "The model", model or "the model"
    n = f"n = {n_subjects} {unit}{'' if n_subjects == 1 else 's'}"
    moved = f"{label(metric)} worsens by {number(interval)}"
    if metric == "mask_change":
        moved = f"the mask changes by {percent(interval)}"
    if verdict == "ROBUST":
        return f"{who} is robust to {condition}: {moved}, under the margin of {margin:g}, {n}."
    if verdict == "FRAGILE":
        return f"{who} is fragile under {condition}: {moved}, beyond the margin of {margin:g}, {n}."
    if verdict == "UNTESTABLE":
        return f"Whether {whom} is robust to {condition} cannot be tested: {n}."
    needed = "" if n_needed is None else f"; about {n_needed} {unit}s would decide"
    return f"Whether {whom} is robust to {condition} is open: {moved} (margin {margin:g}), {n}{needed}."


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


def number(interval: Interval) -> str:
    """Return an interval as numbers, the bounds left out where there are none."""
    if math.isnan(interval.low):
        return f"{interval.estimate:.3f}"
    return f"{interval.estimate:.3f} [{interval.low:.3f}, {interval.high:.3f}]"
