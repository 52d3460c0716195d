"""An empty mask where what is asked for is not there."""

from __future__ import annotations

from robustness.gates.by_verdict import VerdictCriterion
from robustness.gates.criterion import GATE_CRITERIA


@GATE_CRITERIA.add("abstains")
class Abstains(VerdictCriterion):
    """Asked for what is not there, the model leaves the mask empty."""

    claim = "abstention"
    passes = ("ABSTAINS",)
    floors = True
