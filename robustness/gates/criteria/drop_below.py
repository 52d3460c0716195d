"""An effect against clean below a margin."""

from __future__ import annotations

from robustness.gates.cells import effect_findings
from robustness.gates.criterion import GATE_CRITERIA, NO_MARGIN, GateCriterion, Power, noninferiority_power
from robustness.gates.decisions import noninferiority
from robustness.gates.evidence import Evidence
from robustness.gates.findings import Finding
from robustness.gates.spec import GateSpec


@GATE_CRITERIA.add("drop_below")
class DropBelow(GateCriterion):
    """Each condition costs less than `margin` against clean."""

    against_clean = True

    def findings(self, evidence: Evidence, gate: GateSpec) -> list[Finding]:
        """Return one finding for each condition."""
        return effect_findings(evidence, gate, noninferiority)

    def power(self, gate: GateSpec, sd: float, n: int, *, alpha: float, family: int) -> Power:
        """Return the power of a one-sided test."""
        return noninferiority_power(float(gate.margin), sd, n, alpha=alpha, family=family)

    def forecast_note(self, gate: GateSpec) -> str:
        """Return what a margin of 0 means."""
        return NO_MARGIN if gate.margin == 0 else ""
