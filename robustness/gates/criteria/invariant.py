"""An effect against clean within a margin, up or down."""

from __future__ import annotations

from robustness.gates.cells import effect_findings
from robustness.gates.criterion import GATE_CRITERIA, NO_MARGIN, GateCriterion, Power
from robustness.gates.decisions import equivalence
from robustness.gates.evidence import Evidence
from robustness.gates.findings import Finding
from robustness.gates.spec import GateSpec


@GATE_CRITERIA.add("invariant")
class Invariant(GateCriterion):
    """Each condition changes the metric by less than `margin`, up or down (two one-sided tests)."""

    against_clean = True

    def findings(self, evidence: Evidence, gate: GateSpec) -> list[Finding]:
        """Return one finding for each condition."""
        return effect_findings(evidence, gate, equivalence, two_sided=True)

    def power(self, gate: GateSpec, sd: float, n: int, *, alpha: float, family: int) -> Power:
        """Return the power of two one-sided tests."""
        from robustness.metrics.inference.power import gap_found, inside_power

        margin = float(gate.margin)
        passes = inside_power(margin, sd, n, alpha=alpha)
        return Power(passes, margin + gap_found(sd, n, alpha=alpha / family))

    def forecast_note(self, gate: GateSpec) -> str:
        """Return what a margin of 0 means."""
        return NO_MARGIN if gate.margin == 0 else ""
