"""Prompt verdicts in one plain sentence: FOLLOWS, REACTS, UNSTABLE, IGNORES, and what is open or untestable."""

from __future__ import annotations

import math
from dataclasses import dataclass

from robustness.metrics.inference.intervals import Interval, level_of
from robustness.metrics.verdicts.decisions import Decision
from robustness.metrics.verdicts.evidence import base_name
from robustness.metrics.verdicts.sentences import (
    ACTIONS,
    certificate,
    certification,
    needed_subjects,
    number,
    percent,
    points,
    sample,
    shared_level,
    words_of,
)


def prompt_sentence(
    decision: Decision, *, model: str, attribute: str, condition: str, unit: str, alpha: float, shown_by: str = ""
) -> str:
    """Return the sentence of a prompt claim, with its numbers, its sample and its level.

    Args:
        decision: the verdict, the rule that gave it and what it rests on.
        model: how results call the model; "": "the model".
        attribute: kind of the words that the condition changes; "" where it changes words of several kinds.
        condition: such as "antonym:size".
        unit: what a subject is called ("patient", "image").
        alpha: shares of subjects have level 1 - alpha.
        shown_by: a condition of the same attribute under which the model is shown to follow.
    """
    words = words_of(attribute, condition)
    action = ACTIONS.get(base_name(condition), "changing {words}").format(words=words)
    n = sample(decision.n_subjects, decision.n_total, decision.n_missing, unit)
    basis = f"{n}, {shared_level(decision.level, decision.m)}"
    parts = _PromptParts(decision, model, words, action, basis, unit, alpha)
    if decision.plain == "UNTESTABLE":
        return f"Whether {parts.whom} uses {words} cannot be tested: {decision.rule}."
    if decision.plain == "FOLLOWS":
        return _follows(parts)
    if decision.plain == "REACTS":
        return _reacts(parts, shown_by)
    if decision.plain == "UNSTABLE":
        return _unstable(parts)
    if decision.plain == "IGNORES":
        return _ignores(parts)
    return _following_is_open(parts) if decision.metric == "dice" else _use_is_open(parts)


@dataclass(frozen=True)
class _PromptParts:
    """What the sentences of all prompt verdicts are made of."""

    decision: Decision
    model: str
    words: str
    action: str
    basis: str
    unit: str
    alpha: float

    @property
    def who(self) -> str:
        """The subject of a sentence."""
        return self.model or "The model"

    @property
    def whom(self) -> str:
        """The model inside a sentence."""
        return self.model or "the model"

    @property
    def margin(self) -> str:
        return f"{100 * self.decision.margin:g}%"

    @property
    def excess(self) -> str:
        return f"{self.action} changes the mask by {_against_paraphrase(self.decision.interval)}"

    @property
    def overlap(self) -> str:
        """Pairs of targets that were left out, where the claim rests on them."""
        decision = self.decision
        return f"; {decision.overlap}" if decision.overlap and decision.plain not in ("IGNORES", "UNSTABLE") else ""

    @property
    def needed(self) -> str:
        decision = self.decision
        return needed_subjects(decision.n_needed, decision.towards, decision.unknown, self.unit) + self.overlap

    @property
    def ending(self) -> str:
        return _certificate(self.decision, self.unit, self.alpha) + self.overlap

    def shown(self, verb: str) -> str:
        return _shown(self.decision, verb, self.unit, self.alpha)

    def verb(self, certified: str, uncertified: str) -> str:
        return certified if self.decision.certified else uncertified

    def both(self) -> str:
        """What the mask does when the prompt asks for the other object."""
        leaves, reaches = (number(side, 2) for side in self.decision.both)
        return f"its mask leaves the first by {leaves} Dice and reaches the second by {reaches}"


def _follows(parts: _PromptParts) -> str:
    moved = f"asked for the other object, {parts.both()}"
    verb = parts.verb("follows", "seems to follow")
    return f"{parts.who} {verb} {parts.words}: {moved}; {parts.shown('follow')}, {parts.basis}; {parts.ending}."


def _reacts(parts: _PromptParts, shown_by: str) -> str:
    verb = parts.verb("reacts to", "seems to react to")
    follows = f"that it follows them is shown by {shown_by}" if shown_by else "that it follows them is not shown"
    return (
        f"{parts.who} {verb} {parts.words}: {parts.excess}, beyond the margin of {parts.margin};"
        f" {parts.shown('react')}, {parts.basis}; {follows}; {parts.ending}."
    )


def _unstable(parts: _PromptParts) -> str:
    decision = parts.decision
    moved = f"paraphrases alone change the mask by {percent(decision.interval)}"
    more = f"that {parts.action} changes it more is not shown ({_against_paraphrase(decision.excess)})"
    verb = parts.verb("is unstable", "seems unstable")
    return f"{parts.who} {verb}: {moved}, and {more}; {parts.shown('move')}, {parts.basis}; {parts.ending}."


def _ignores(parts: _PromptParts) -> str:
    decision = parts.decision
    count, share = decision.observed - decision.n_showing, decision.share
    moved = f"{count} of {decision.observed} {parts.unit}s moved by more than {parts.margin}"
    # The share of those who stay, turned round.
    moved += _share_of(1 - share.value, 1 - share.high, 1 - share.low, parts.alpha)
    return (
        f"{parts.who} {parts.verb('ignores', 'seems to ignore')} {parts.words}: {parts.excess},"
        f" within the margin of {parts.margin}; {moved}, {parts.basis}; {parts.ending}."
    )


def _following_is_open(parts: _PromptParts) -> str:
    decision, beginning = parts.decision, f"Whether {parts.whom} follows {parts.words} is open"
    evidence = f"{parts.shown('follow')}, {parts.basis}"
    if decision.held_back:
        moved = f"asked for the other object, {parts.both()}"
        return f"{beginning}: {moved}; {evidence}; {decision.held_back}{parts.needed}."
    return f"{beginning}: {decision.rule}; {evidence}{parts.needed}."


def _use_is_open(parts: _PromptParts) -> str:
    decision, beginning = parts.decision, f"Whether {parts.whom} uses {parts.words} is open"
    if decision.rule.startswith("5 no paraphrase baseline"):
        moved = f"{parts.action} changes the mask by {percent(decision.interval)}"
        return f"{beginning}: {moved}, but too few paraphrases were run to compare with, {parts.basis}."
    held_back = f"; {decision.held_back}" if decision.held_back else ""
    return (
        f"{beginning}: {parts.excess} (margin {parts.margin});"
        f" {parts.shown('react')}, {parts.basis}{held_back}{parts.needed}."
    )


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
    width = f"{level_of(1 - alpha)} interval {100 * low:.0f}% to {100 * high:.0f}%"
    # One of 200 is not 0%.
    return f" ({100 * value:.{1 if 0 < value < 0.01 else 0}f}%, {width})"


def _certificate(decision: Decision, unit: str, alpha: float) -> str:
    """Return whether a distribution-free test agrees, and what it assumes."""
    if decision.certified:
        return certificate(unit)
    if decision.plain == "IGNORES":
        text = (
            f"not certified: up to {100 * decision.could_react:.1f}% of {unit}s could react"
            f" ({level_of(1 - alpha)} bound, rule of three, K = {decision.observed})"
        )
        return text + certification(decision.n_needed, decision.unknown, unit)
    return f"not certified: it rests on the interval alone, which cannot see rare {unit}s of the opposite kind"


def _against_paraphrase(interval: Interval) -> str:
    """Return an excess in percentage points of the mask, turned round where it is negative."""
    if interval.estimate < 0:
        return f"{points(Interval(-interval.estimate, -interval.high, -interval.low))} less than a paraphrase does"
    return f"{points(interval)} more than a paraphrase does"
