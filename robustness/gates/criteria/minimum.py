"""A plain score above a floor or below a cap."""

from __future__ import annotations

import functools

from robustness.errors import InputError
from robustness.gates.cells import against_reference, errors_of, finding_of, of_effect, settled, where
from robustness.gates.criterion import GATE_CRITERIA, GateCriterion
from robustness.gates.decisions import noninferiority, superiority
from robustness.gates.evidence import Evidence, Floors
from robustness.gates.findings import Finding, interval_of
from robustness.gates.spec import GateSpec


@GATE_CRITERIA.add("minimum")
class Minimum(GateCriterion):
    """The mean score, of clean where no condition is named, is at least `at_least` or at most `at_most`."""

    signed = False
    spread = "none"

    def check(self, gate: GateSpec) -> None:
        """Refuse a gate without exactly one limit."""
        if (gate.at_least is None) == (gate.at_most is None):
            raise InputError(
                f"{gate.label}: minimum needs at_least or at_most (one of them), for example at_least = 0.8"
            )

    def findings(self, evidence: Evidence, gate: GateSpec) -> list[Finding]:
        """Return one finding for each condition.

        Raises:
            InputError: a limit on the side where worse scores pass, such as `at_least` for a distance.
        """
        _refuse_wrong_side(gate)
        cells = evidence.scores(gate)
        errors = errors_of(evidence, gate, cells, least=0.0)
        limit, upward = (gate.at_least, True) if gate.at_least is not None else (gate.at_most, False)
        bound, findings = float(limit or 0.0), []
        # A score against references that are empty, or fill the image, is nothing that a model achieved.
        floors: Floors = "trivial" if against_reference(gate.metric) else "none"
        for cell in cells:
            test = functools.partial(superiority if upward else noninferiority, limit=bound, errors=errors, closed=True)
            decision, more = settled(evidence, cell, gate, errors, of_effect(test), floors=floors)
            demand = f"at {'least' if upward else 'most'} {bound:g}"
            message = f"{where(cell)}: {gate.metric} {interval_of(decision, 4)}, {demand} is asked for"
            weight = -1.0 if upward else 1.0
            findings.append(finding_of(evidence, cell, gate, decision, bound, message, more, weight, signed=False))
        return findings


def _refuse_wrong_side(gate: GateSpec) -> None:
    from robustness.registry import METRICS

    better = METRICS.get(gate.metric).higher_is_better if gate.metric in METRICS.names() else None
    limit = gate.at_least if gate.at_least is not None else gate.at_most
    if better is False and gate.at_least is not None:
        raise InputError(
            f"{gate.label}: at_least: less {gate.metric} is better, so a floor under it would pass the worst model; use"
            f" at_most = {limit:g}"
        )
    if better and gate.at_most is not None:
        raise InputError(
            f"{gate.label}: at_most: more {gate.metric} is better, so a cap on it would pass the worst model; use"
            f" at_least = {limit:g}"
        )
