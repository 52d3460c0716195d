"""The share of the clean score that a condition keeps."""

from __future__ import annotations

from robustness.errors import InputError
from robustness.gates.cells import errors_of, finding_of, settled, where
from robustness.gates.criterion import GATE_CRITERIA, GateCriterion, Power, noninferiority_power
from robustness.gates.decisions import retention
from robustness.gates.evidence import Evidence
from robustness.gates.findings import Finding, interval_of
from robustness.gates.spec import GateSpec

# The mean score of a clean model that a forecast assumes, for shares of it.
_CLEAN_MEAN = 0.8


@GATE_CRITERIA.add("retention")
class Retention(GateCriterion):
    """Each condition keeps at least the share `at_least` of the clean score."""

    against_clean = True
    signed = False
    required = (("at_least", "at_least = 0.9"),)

    def check(self, gate: GateSpec) -> None:
        """Refuse a share that is not above 0."""
        if not (gate.at_least or 0) > 0:
            raise InputError(f"{gate.label}: at_least: retention needs a share above 0, got {gate.at_least!r}")

    def findings(self, evidence: Evidence, gate: GateSpec) -> list[Finding]:
        """Return one finding for each condition.

        Raises:
            InputError: less of the metric is better, so that there is no share to keep.
        """
        from robustness.metrics.pairing.direction import orientation_of

        if orientation_of(gate.metric) != "clean - perturbed":
            raise InputError(
                f"{gate.label}: retention needs a metric of which more is better, got {gate.metric!r}; use dice or iou"
            )
        cells, at_least = evidence.contrasts(gate), float(gate.at_least or 0)
        errors, resamples, seed = errors_of(evidence, gate, cells), evidence.statistics.resamples, evidence.seed
        findings = []
        for cell in cells:
            decision, more = settled(
                evidence,
                cell,
                gate,
                errors,
                lambda c: retention(c.changed, c.clean, at_least, errors, resamples=resamples, seed=seed),
                floors="all",
            )
            message = (
                f"{where(cell)}: keeps {interval_of(decision, 3)} of the clean {gate.metric}, "
                f"at least {at_least:g} is asked for"
            )
            findings.append(
                finding_of(evidence, cell, gate, decision, at_least, message, more, 1.0, badness=-decision.estimate)
            )
        return findings

    def power(self, gate: GateSpec, sd: float, n: int, *, alpha: float, family: int) -> Power:
        """Return the power of a one-sided test of the loss that the share leaves room for."""
        room = (1 - float(gate.at_least or 0)) * _CLEAN_MEAN
        return noninferiority_power(room, sd, n, alpha=alpha, family=family)

    def forecast_note(self, gate: GateSpec) -> str:
        """Return what is assumed."""
        return f"a clean mean of {_CLEAN_MEAN:g} is assumed"
