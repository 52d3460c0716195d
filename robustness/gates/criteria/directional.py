"""A metric that must move one way."""

from __future__ import annotations

from robustness.errors import InputError
from robustness.gates.cells import errors_of, finding_of, settled, where
from robustness.gates.criterion import GATE_CRITERIA, GateCriterion
from robustness.gates.decisions import superiority
from robustness.gates.evidence import Evidence
from robustness.gates.findings import Finding, interval_of
from robustness.gates.spec import GateSpec


@GATE_CRITERIA.add("directional")
class Directional(GateCriterion):
    """The metric's own value falls (`direction` "drop") or grows ("rise") by more than `at_least` against clean."""

    against_clean = True
    directed = True
    required = (("direction", 'direction = "drop"'),)

    def check(self, gate: GateSpec) -> None:
        """Refuse an amount below 0."""
        if (gate.at_least or 0) < 0:
            raise InputError(
                f"{gate.label}: at_least: directional needs an amount of at least 0, got {gate.at_least!r}"
            )

    def findings(self, evidence: Evidence, gate: GateSpec) -> list[Finding]:
        """Return one finding for each condition."""
        cells, at_least = evidence.contrasts(gate, raw=True), float(gate.at_least or 0)
        errors = errors_of(evidence, gate, cells)
        sign, verb = (-1.0, "falls") if gate.direction == "drop" else (1.0, "rises")
        findings = []
        for cell in cells:
            moved = cell._replace(effect=sign * cell.effect, case_effects=sign * cell.case_effects)
            decision, more = settled(evidence, moved, gate, errors, lambda c: superiority(c.effect, at_least, errors))
            message = (
                f"{where(cell)}: {gate.metric} {verb} by "
                f"{interval_of(decision, 4, sign='+')}, more than {at_least:g} is asked for"
            )
            findings.append(finding_of(evidence, moved, gate, decision, at_least, message, more, -1.0))
        return findings
