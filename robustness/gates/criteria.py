"""Criteria that gates can ask for: what each compares, and what it says."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from robustness.errors import InputError
from robustness.gates.decisions import (
    Decision,
    ErrorRates,
    equivalence,
    no_proven_inferiority,
    noninferiority,
    superiority,
)
from robustness.gates.decisions import retention as test_retention
from robustness.gates.evidence import Evidence, Noise
from robustness.gates.findings import Finding, worst_of, would_decide
from robustness.gates.spec import GateSpec

if TYPE_CHECKING:
    from robustness.metrics.pairing.before_after import Change
    from robustness.metrics.pairing.contrasts import Contrast

# A group of fewer subjects says nothing: the worst of many small groups is bad by chance.
SMALL_GROUP = 10


def by_effect(evidence: Evidence, gate: GateSpec) -> list[Finding]:
    """``drop_below`` and ``invariant``: the effect of each condition against clean."""
    cells = evidence.contrasts(gate)
    errors = _errors(evidence, cells)
    findings = []
    for cell in cells:
        noise = evidence.noise(gate, cell.model, cell.dataset)
        margin, noise_allowance, closed = _margin(gate, noise)
        test = equivalence if gate.test == "invariant" else noninferiority
        decision = test(cell.effect, margin, errors, noise_allowance=noise_allowance, closed=closed)
        message = _effect_text(cell, gate, decision, f"margin {margin:g}", noise)
        weight = -1.0 if decision.estimate < 0 and gate.test == "invariant" else 1.0
        findings.append(_finding(evidence, cell, gate, decision, margin, message, weight))
    return findings


def against_baseline(evidence: Evidence, gate: GateSpec) -> list[Finding]:
    """``no_proven_drop`` and ``noninferior``: each condition in the baseline against this run."""
    changes = evidence.changes(gate)
    errors = _errors(evidence, [change.contrast for change in changes])
    findings = []
    for change in changes:
        cell = change.contrast
        noises = [evidence.noise(gate, cell.model, cell.dataset, before=before) for before in (False, True)]
        noise = Noise(max(n.value for n in noises), any(n.measured for n in noises))
        margin, noise_allowance, closed = _margin(gate, noise)
        if gate.test == "no_proven_drop":
            decision = no_proven_inferiority(cell.effect, margin, errors, noise_allowance=noise_allowance)
        else:
            decision = noninferiority(cell.effect, margin, errors, noise_allowance=noise_allowance, closed=closed)
        message = _effect_text(cell, gate, decision, f"margin {margin:g}", noise, what="drop since the baseline")
        finding = _finding(evidence, cell, gate, decision, margin, message, 1.0)
        findings.append(_with_undefined(finding, change, gate))
    return findings


def retention(evidence: Evidence, gate: GateSpec) -> list[Finding]:
    """``retention``: the share of the clean score that each condition keeps."""
    from robustness.metrics.pairing.direction import orientation_of

    if orientation_of(gate.metric) != "clean - perturbed":
        raise InputError(
            f"{gate.label}: retention needs a metric of which more is better, got {gate.metric!r}; use dice or iou"
        )
    cells, at_least = evidence.contrasts(gate), float(gate.at_least or 0)
    errors = _errors(evidence, cells)
    findings = []
    for cell in cells:
        decision = test_retention(
            cell.changed,
            cell.clean,
            at_least,
            errors,
            resamples=evidence.statistics.resamples,
            seed=evidence.seed,
        )
        value, low, high = decision.estimate, decision.low, decision.high
        message = (
            f"{_where(cell)}: keeps {value:.3f} [{low:.3f}, {high:.3f}] of the clean {gate.metric}, "
            f"at least {at_least:g} is asked for"
        )
        findings.append(_finding(evidence, cell, gate, decision, at_least, message, 1.0, badness=-value))
    return findings


def minimum(evidence: Evidence, gate: GateSpec) -> list[Finding]:
    """``minimum``: the plain score, of clean where no condition is named."""
    cells = evidence.scores(gate)
    errors = _errors(evidence, cells)
    limit, upward = (gate.at_least, True) if gate.at_least is not None else (gate.at_most, False)
    bound, findings = float(limit or 0.0), []
    for cell in cells:
        test = superiority if upward else noninferiority
        decision = test(cell.effect, bound, errors, closed=True)
        demand = f"at {'least' if upward else 'most'} {bound:g}"
        message = (
            f"{_where(cell)}: {gate.metric} {decision.estimate:.4f} [{decision.low:.4f}, {decision.high:.4f}], "
            f"{demand} is asked for"
        )
        weight = -1.0 if upward else 1.0
        findings.append(_finding(evidence, cell, gate, decision, bound, message, weight, signed=False))
    return findings


def directional(evidence: Evidence, gate: GateSpec) -> list[Finding]:
    """``directional``: the metric's own value must fall (drop) or grow (rise) by more than `at_least`."""
    cells, at_least = evidence.contrasts(gate, raw=True), float(gate.at_least or 0)
    errors = _errors(evidence, cells)
    sign, verb = (-1.0, "falls") if gate.direction == "drop" else (1.0, "rises")
    findings = []
    for cell in cells:
        moved = cell._replace(effect=sign * cell.effect, case_effects=sign * cell.case_effects)
        decision = superiority(moved.effect, at_least, errors)
        message = (
            f"{_where(cell)}: {gate.metric} {verb} by {decision.estimate:+.4f} "
            f"[{decision.low:+.4f}, {decision.high:+.4f}], more than {at_least:g} is asked for"
        )
        findings.append(_finding(evidence, moved, gate, decision, at_least, message, -1.0))
    return findings


def _errors(evidence: Evidence, cells: Sequence[Contrast]) -> ErrorRates:
    return ErrorRates(evidence.statistics.alpha, max(1, sum(cell.n_subjects >= 2 for cell in cells)))


def _margin(gate: GateSpec, noise: Noise) -> tuple[float, float, bool]:
    """Return margin, noise allowance before a failure, and whether the margin itself passes."""
    if gate.margin != "noise":
        # Against a margin of 0 a model that did not change at all is as good.
        return gate.margin, noise.value, gate.margin == 0
    if not noise.measured:
        raise InputError(
            f"{gate.label}: margin = 'noise' needs a second clean run of two or more subjects (condition 'rerun'), "
            "the run has none; give a number"
        )
    return noise.value, 0.0, True


def _effect_text(
    cell: Contrast, gate: GateSpec, decision: Decision, margin: str, noise: Noise, *, what: str = "effect"
) -> str:
    from robustness.metrics.pairing.direction import CHANGE

    says = {"drop": " (positive: it fell)", "rise": " (positive: it rose)"}.get(gate.direction or "", "")
    if not says:
        says = " (positive: less change)" if gate.metric == CHANGE and what != "effect" else " (positive is worse)"
    return (
        f"{_where(cell)}: {gate.metric} {what} {decision.estimate:+.4f} [{decision.low:+.4f}, {decision.high:+.4f}]"
        f"{says}, {margin}{f', rerun noise {noise.value:.4f}' if noise.value else ''}"
    )


def _where(cell: Contrast) -> str:
    return f"{cell.condition} [{cell.group}]" if cell.group else cell.condition


def _finding(
    evidence: Evidence,
    cell: Contrast,
    gate: GateSpec,
    decision: Decision,
    margin: float,
    message: str,
    weight: float,
    *,
    badness: float | None = None,
    signed: bool = True,
) -> Finding:
    """Return the finding; `weight` -1 says that small values are the bad ones."""
    unit, n = evidence.unit, cell.n_subjects
    more = would_decide(decision, n, unit)
    if gate.subgroup and n < SMALL_GROUP:
        decision = decision._replace(outcome="inconclusive", needed=SMALL_GROUP)
        more = f"; a subgroup needs {SMALL_GROUP} {unit}s, this one has {n}"
    left_out = f", {cell.n_flagged} rows left out" if cell.n_flagged else ""
    message = f"{message}, n = {n} {unit}s, {cell.n_images} cases{left_out}{more}"
    bad = weight * decision.estimate if badness is None else badness
    shown = worst_of(cell.cases, cell.case_effects.tolist(), weight=weight, signed=signed)
    return Finding(
        decision.outcome,
        cell.condition,
        cell.model,
        cell.dataset,
        cell.group,
        gate.metric,
        decision.estimate,
        decision.low,
        decision.high,
        margin,
        cell.n_images,
        n,
        decision.needed,
        0.0 if math.isnan(bad) else bad,
        message,
        shown,
    )


def _with_undefined(finding: Finding, change: Change, gate: GateSpec) -> Finding:
    """Turn the finding into a failure where other rows are undefined than in the baseline."""
    if not change.differing:
        return finding
    some = ", ".join(change.differing[:5]) + (", ..." if len(change.differing) > 5 else "")
    text = (
        f"{finding.condition}: undefined {gate.metric} rows went from {change.undefined_before} in the baseline to "
        f"{change.undefined_after} here ({some}), so the means are over other cases; {finding.message}"
    )
    return finding._replace(outcome="fail", badness=math.inf, message=text)
