"""Verdicts in one plain sentence that an auditor can quote."""

from __future__ import annotations

import math

from robustness.metrics.inference.intervals import Interval
from robustness.metrics.verdicts.abstention import AbstentionDecision
from robustness.metrics.verdicts.decisions import Decision, RobustnessDecision
from robustness.metrics.verdicts.evidence import base_name

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


def prompt_sentence(
    decision: Decision, *, model: str, attribute: str, condition: str, unit: str, alpha: float, shown_by: str = ""
) -> str:
    """Return the sentence of a prompt claim, with its numbers, its sample and its level.

    Args:
        alpha: shares of subjects have level 1 - alpha.
        shown_by: a condition of the same attribute under which the model is shown to follow.
    """
    who, whom, words = model or "The model", model or "the model", words_of(attribute, condition)
    action = _ACTIONS.get(base_name(condition), "changing {words}").format(words=words)
    interval, margin = decision.interval, f"{100 * decision.margin:g}%"
    excess = f"{action} changes the mask by {_against_paraphrase(interval)}"
    n = sample(decision.n_subjects, decision.n_total, decision.n_missing, unit)
    basis = f"{n}, {level_of(decision.level, decision.m)}"
    plain = decision.plain
    left_out = f"; {decision.overlap}" if decision.overlap and plain not in ("IGNORES", "UNSTABLE") else ""
    needed = _needed(decision.n_needed, decision.towards, decision.unknown, unit) + left_out
    seems = "" if decision.certified else "seems to "
    ending = _certificate(decision, unit) + left_out
    if plain == "FOLLOWS":
        moved = (
            f"asked for the other object, its mask leaves the first by {number(decision.both[0], 2)} Dice"
            f" and reaches the second by {number(decision.both[1], 2)}"
        )
        verb = "seems to follow" if seems else "follows"
        return f"{who} {verb} {words}: {moved}; {_shown(decision, 'follow', unit, alpha)}, {basis}; {ending}."
    if plain == "REACTS":
        verb = "seems to react to" if seems else "reacts to"
        follows = f"that it follows them is shown by {shown_by}" if shown_by else "that it follows them is not shown"
        return (
            f"{who} {verb} {words}: {excess}, beyond the margin of {margin};"
            f" {_shown(decision, 'react', unit, alpha)}, {basis}; {follows}; {ending}."
        )
    if plain == "UNSTABLE":
        moved = f"paraphrases alone change the mask by {percent(interval)}"
        more = f"that {action} changes it more is not shown ({_against_paraphrase(decision.excess)})"
        verb = "seems unstable" if seems else "is unstable"
        return f"{who} {verb}: {moved}, and {more}; {_shown(decision, 'move', unit, alpha)}, {basis}; {ending}."
    if plain == "IGNORES":
        verb = "seems to ignore" if seems else "ignores"
        count, share = decision.observed - decision.n_showing, decision.share
        moved = f"{count} of {decision.observed} {unit}s moved by more than {margin}"
        # The share of those who stay, turned round.
        moved += _share_of(1 - share.value, 1 - share.high, 1 - share.low, alpha)
        return f"{who} {verb} {words}: {excess}, within the margin of {margin}; {moved}, {basis}; {ending}."
    if plain == "UNTESTABLE":
        return f"Whether {whom} uses {words} cannot be tested: {decision.rule}."
    if decision.metric == "dice" and decision.held_back:
        leaves, reaches = (number(side, 2) for side in decision.both)
        moved = f"its mask leaves the first by {leaves} Dice and reaches the second by {reaches}"
        why = f"{_shown(decision, 'follow', unit, alpha)}, {basis}; {decision.held_back}"
        return f"Whether {whom} follows {words} is open: asked for the other object, {moved}; {why}{needed}."
    if decision.metric == "dice":
        shown = _shown(decision, "follow", unit, alpha)
        return f"Whether {whom} follows {words} is open: {decision.rule}; {shown}, {basis}{needed}."
    if decision.rule.startswith("5 no paraphrase baseline"):
        moved = f"{action} changes the mask by {percent(interval)}"
        return (
            f"Whether {whom} uses {words} is open: {moved}, but too few paraphrases were run to compare with, {basis}."
        )
    held_back = f"; {decision.held_back}" if decision.held_back else ""
    return (
        f"Whether {whom} uses {words} is open: {excess} (margin {margin});"
        f" {_shown(decision, 'react', unit, alpha)}, {basis}{held_back}{needed}."
    )


def sample(n_subjects: int, n_total: int, n_missing: int, unit: str) -> str:
    """Return the sample of a sentence: "n = 15 of 30 patients, 15 images missing"."""
    total = max(n_subjects, n_total)
    missing = f", {n_missing} image{'' if n_missing == 1 else 's'} missing" if n_missing else ""
    return f"n = {n_subjects} of {total} {unit}{'' if total == 1 else 's'}{missing}"


def level_of(level: float, m: int) -> str:
    """Return the level of an interval and the claims that share its error rate."""
    if math.isnan(level):
        return "no interval"
    return f"{100 * level:.4g}% interval, {m} claim{'' if m == 1 else 's'}"


def _shown(decision: Decision, verb: str, unit: str, alpha: float) -> str:
    """Return how many subjects show what the verdict says of their mean."""
    share, k = decision.share, decision.n_subjects
    if math.isnan(share.value):
        return f"of {k} {unit}s"
    interval = _share_of(share.value, share.low, share.high, alpha)
    return f"{decision.n_showing} of {k} {unit}s {verb} by more than the margin{interval}"


def _share_of(value: float, low: float, high: float, alpha: float) -> str:
    if math.isnan(value):
        return ""
    width = f"{100 * (1 - alpha):g}% interval {100 * low:.0f}% to {100 * high:.0f}%"
    # One of 200 is not 0%.
    return f" ({100 * value:.{1 if 0 < value < 0.01 else 0}f}%, {width})"


def _needed(n: int | None, towards: str, unknown: str, unit: str) -> str:
    if n is not None:
        return f"; about {n} {unit}s would decide ({towards})"
    return f"; no number of {unit}s is given: {unknown}" if unknown else ""


def _certificate(decision: Decision, unit: str) -> str:
    """Return whether a distribution-free test agrees, and what it assumes."""
    if decision.certified:
        return f"certified for any distribution, if the {unit}s are independent"
    if decision.plain == "IGNORES":
        text = (
            f"not certified: up to {100 * decision.could_react:.1f}% of {unit}s could react"
            f" (rule of three, K = {decision.observed})"
        )
        return text + _certification(decision.n_needed, decision.unknown, unit)
    return f"not certified: it rests on the interval alone, which cannot see rare {unit}s of the opposite kind"


def _certification(n: int | None, unknown: str, unit: str) -> str:
    if n is not None:
        return f"; certification needs about {n} {unit}s"
    return f"; no number of {unit}s for certification: {unknown}" if unknown else ""


def _against_paraphrase(interval: Interval) -> str:
    """Return an excess in percentage points of the mask, turned round where it is negative."""
    if interval.estimate < 0:
        return f"{points(Interval(-interval.estimate, -interval.high, -interval.low))} less than a paraphrase does"
    return f"{points(interval)} more than a paraphrase does"


def robustness_sentence(
    decision: RobustnessDecision, *, model: str, condition: str, metric: str, margin: float, unit: str, alpha: float
) -> str:
    """Return the sentence of a robustness claim, with its numbers, its sample and its level."""
    who, whom = model or "The model", model or "the model"
    n = sample(decision.n_subjects, decision.n_total, decision.n_missing, unit)
    level = math.nan if math.isnan(decision.interval.low) else decision.level
    basis = f"{n}, {level_of(level, decision.m)}"
    moved = f"{label(metric)} worsens by {number(decision.interval)}"
    if metric == "mask_change":
        moved = f"the mask changes by {percent(decision.interval)}"
    beyond = "change by more than that" if metric == "mask_change" else "lose more than that"
    share, plain, k = decision.share, decision.verdict.rstrip("*"), decision.n_subjects
    needed = _needed(decision.needed.n, decision.needed.towards, decision.needed.unknown, unit)
    if plain == "UNTESTABLE":
        return f"Whether {whom} is robust to {condition} cannot be tested: {decision.rule}; {n}."
    width = f"{100 * (1 - alpha):g}% interval {100 * share.low:.0f}% to {100 * share.high:.0f}%"
    if plain == "ROBUST":
        lost = f"{k - decision.n_showing} of {k} {unit}s {beyond}"
        verb = "is robust" if decision.certified else "seems robust"
        ending = f"certified for any distribution, if the {unit}s are independent"
        if not decision.certified:
            ending = (
                f"not certified: up to {100 * decision.could_collapse:.1f}% of {unit}s could collapse (K = {k})"
                + _certification(decision.needed.n, decision.needed.unknown, unit)
            )
        return f"{who} {verb} to {condition}: {moved}, under the margin of {margin:g}; {lost}, {basis}; {ending}."
    lost = f"{decision.n_showing} of {k} {unit}s {beyond} ({width})"
    if plain == "FRAGILE":
        verb = "is fragile" if decision.certified else "seems fragile"
        ending = f"certified for any distribution, if the {unit}s are independent"
        if not decision.certified:
            ending = f"not certified: it rests on the interval alone, which cannot see rare {unit}s that gain"
        return f"{who} {verb} under {condition}: {moved}, beyond the margin of {margin:g}; {lost}, {basis}; {ending}."
    why = f"; {decision.held_back}{needed}" if decision.held_back else needed
    return f"Whether {whom} is robust to {condition} is open: {moved} (margin {margin:g}); {lost}, {basis}{why}."


def abstention_sentence(decision: AbstentionDecision, *, model: str, condition: str, margin: float, unit: str) -> str:
    """Return the sentence of an abstention claim."""
    who, whom = model or "The model", model or "the model"
    action = _ACTIONS.get(base_name(condition), f"{condition}, which asks for nothing").format(words="the words")
    n = sample(decision.n_subjects, decision.n_total, decision.n_missing, unit)
    basis = f"{n}, {level_of(decision.level, decision.m)}"
    painted = f"{decision.painted} of {decision.n_subjects} {unit}s got a mask that is not empty"
    rate = f"{painted} ({percent(decision.interval)}, margin {100 * margin:g}%)"
    needed = _needed(decision.needed.n, decision.needed.towards, decision.needed.unknown, unit)
    if decision.verdict == "ABSTAINS":
        return f"{who} abstains as it should: {action} leaves the mask empty; {rate}, {basis}."
    if decision.verdict == "HALLUCINATES":
        return f"{who} hallucinates: {action} should leave the mask empty; {rate}, {basis}."
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
