"""Harm of a finding, in units of Dice: how much of the mask a user loses, or gets wrongly, where the finding holds."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd

from robustness.reports.data.claims import Claim
from robustness.reports.data.frames import Frames

# What the other word would have asked for is not known: the mask may be wrong, or by chance right.
UNKNOWN_TARGET = 0.5
_SCORES = ("dice", "dice_other", "mask_change")
SHOULD_MOVE = ("follow", "abstain", "change")
SHOULD_STAY = ("invariant", "none", "")


class Harm(NamedTuple):
    """What is at stake where a finding holds: `value` in [0, 1], and what it is a value of."""

    value: float
    name: str


class HarmTable:
    """Mean scores over units that harms are computed from.

    Args:
        frames: the tables; scores are means over units of the applicable rows of a series and condition.
    """

    def __init__(self, frames: Frames) -> None:
        usable = frames.results["applicable"].fillna(True).astype(bool)
        rows = frames.results[usable]
        keys = ["series", "condition", "subject_id", "case_id"]
        numeric = {c: pd.to_numeric(rows[c], errors="coerce") for c in _SCORES if c in rows}
        # A case that several rows tell of counts once, as in the effects.
        cases = rows[keys].assign(**numeric).groupby(keys, sort=False).mean()
        units = cases.groupby(level=[0, 1, 2], sort=False).mean()
        self._means = units.groupby(level=[0, 1], sort=False).mean()
        dice = frames.effects[frames.effects["metric"] == "dice"]
        effects = pd.to_numeric(dice["effect"], errors="coerce")
        self._losses = dict(zip(zip(dice["series"], dice["condition"], strict=True), effects, strict=True))

    def harm(self, claim: Claim, sort: str, expectation: str) -> float | None:
        """Return the value of `named`."""
        found = self.named(claim, sort, expectation)
        return None if found is None else found.value

    def named(self, claim: Claim, sort: str, expectation: str) -> Harm | None:
        """Return the harm of a claim with its name, or None where the verdict holds nothing against the model.

        FRAGILE: the loss of Dice; where the mask change is judged, at least the Dice distance of changed and clean
        mask, c / (2 - c) for a change c = 1 - IoU. HALLUCINATES: the share of units that paint something. A word with
        a second target that is ignored, or followed in part: 1 - Dice to the target that was asked for. An ignored
        word without one: half the clean Dice. UNSTABLE: the Dice distance that rewording alone makes.

        Args:
            sort: the claim's kind: "prompt", "abstention" or "robustness".
            expectation: of the claim's condition; see `robustness.reports.data.expected.condition_expectations`.
        """
        verdict, condition = claim.verdict.rstrip("*"), claim.condition
        if sort == "abstention":
            share = Harm(_bounded(claim.estimate), "share of units that paint something")
            return share if verdict == "HALLUCINATES" else None
        if sort == "robustness":
            if verdict != "FRAGILE" or expectation not in SHOULD_STAY:
                return None
            moved = distance(claim.estimate or 0.0) if claim.metric == "mask_change" else 0.0
            lost = _bounded(self._losses.get((claim.series, condition)))
            return Harm(moved, "Dice distance of changed to clean mask") if moved > lost else Harm(lost, "Dice lost")
        if verdict == "UNSTABLE":
            change = self._mean(claim.series, "paraphrase", "mask_change") or claim.estimate or 0.0
            return Harm(distance(change), "Dice distance of reworded to clean mask")
        if expectation == "follow" and verdict in ("IGNORES", "REACTS"):
            other = self._mean(claim.series, condition, "dice_other")
            if other is not None:
                return Harm(1.0 - other, "1 − Dice to the target that was asked for")
            return self.unknown(claim.series)
        return self.unknown(claim.series) if verdict == "IGNORES" and expectation in SHOULD_MOVE else None

    def unknown(self, series: str) -> Harm:
        """Return what is at stake where a word is ignored and its target is not known: half the clean Dice."""
        return Harm(UNKNOWN_TARGET * _bounded(self._mean(series, "clean", "dice")), "half the clean Dice")

    def _mean(self, series: str, condition: str, column: str) -> float | None:
        if column not in self._means or (series, condition) not in self._means.index:
            return None
        value = float(self._means.loc[(series, condition), column])
        return None if pd.isna(value) else value


def distance(change: float) -> float:
    """Return 1 - Dice of two masks whose 1 - IoU is `change`.

    Example:
        >>> distance(0.5), distance(1.0), distance(0.0)
        (0.3333333333333333, 1.0, 0.0)
    """
    change = _bounded(change)
    return change / (2 - change)


def _bounded(value: float | None) -> float:
    return 0.0 if value is None or pd.isna(value) else min(1.0, max(0.0, float(value)))
