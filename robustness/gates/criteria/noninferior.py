"""A loss against the baseline below a margin."""

from __future__ import annotations

from robustness.gates.cells import baseline_findings
from robustness.gates.criterion import GATE_CRITERIA, NO_MARGIN, GateCriterion, Power, noninferiority_power
from robustness.gates.decisions import noninferiority
from robustness.gates.evidence import Evidence
from robustness.gates.findings import Finding
from robustness.gates.spec import GateSpec


@GATE_CRITERIA.add("noninferior")
class Noninferior(GateCriterion):
    """A loss of `margin` against the baseline is ruled out: a gate for releases."""

    baseline = True
    directed = True
    spread = "models"

    def findings(self, evidence: Evidence, gate: GateSpec) -> list[Finding]:
        """Return one finding for each condition."""
        return baseline_findings(evidence, gate, noninferiority, headroom=True)

    def power(self, gate: GateSpec, sd: float, n: int, *, alpha: float, family: int) -> Power:
        """Return the power of a one-sided test."""
        return noninferiority_power(float(gate.margin), sd, n, alpha=alpha, family=family)

    def forecast_note(self, gate: GateSpec) -> str:
        """Return that a baseline is needed, and what a margin of 0 means."""
        return NO_MARGIN if gate.margin == 0 else "needs a baseline"
