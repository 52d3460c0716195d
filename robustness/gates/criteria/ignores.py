"""Words that leave the mask as it is."""

from __future__ import annotations

from robustness.gates.by_verdict import VerdictCriterion
from robustness.gates.criterion import GATE_CRITERIA


@GATE_CRITERIA.add("ignores")
class Ignores(VerdictCriterion):
    """The words of an attribute are certified to leave the mask as it is."""

    passes = ("IGNORES",)
    large_changes_are_bad = True
    floors = True

    def undecided(self, condition: str) -> set[str]:
        """Return the verdicts that leave a condition open: without its certificate IGNORES is a guess."""
        return super().undecided(condition) | {"IGNORES*"}
