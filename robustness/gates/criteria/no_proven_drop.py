"""No loss against the baseline that is proven."""

from __future__ import annotations

from robustness.gates.cells import baseline_findings
from robustness.gates.criterion import GATE_CRITERIA, GateCriterion, Power
from robustness.gates.decisions import Decision, ErrorRates, Values, no_proven_inferiority
from robustness.gates.evidence import Evidence
from robustness.gates.findings import Finding
from robustness.gates.spec import GateSpec


@GATE_CRITERIA.add("no_proven_drop")
class NoProvenDrop(GateCriterion):
    """The metric is not proven to be worse than in the baseline by more than `margin`: a gate for merges."""

    baseline = True
    directed = True
    spread = "models"

    def findings(self, evidence: Evidence, gate: GateSpec) -> list[Finding]:
        """Return one finding for each condition."""
        return baseline_findings(evidence, gate, _not_proven)

    def power(self, gate: GateSpec, sd: float, n: int, *, alpha: float, family: int) -> Power:
        """Return the power of a test that an unchanged model passes in 1 - alpha."""
        from robustness.metrics.inference.power import bound_power, gap_found

        margin = float(gate.margin)
        passes = 1 - bound_power(-margin, sd, n, alpha=alpha / family)
        return Power(passes, margin + gap_found(sd, n, alpha=alpha / family))

    def forecast_note(self, gate: GateSpec) -> str:
        """Return that a baseline is needed."""
        return "needs a baseline"


def _not_proven(values: Values, limit: float, errors: ErrorRates, *, noise_allowance: float, closed: bool) -> Decision:
    # An unproven loss passes whether the limit itself does or not.
    return no_proven_inferiority(values, limit, errors, noise_allowance=noise_allowance)
