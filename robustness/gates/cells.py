"""From cells to findings: what criteria that compare paired values have in common."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from robustness.errors import InputError, counted
from robustness.gates.decisions import Decision, ErrorRates
from robustness.gates.evidence import Evidence, Floors, Noise
from robustness.gates.findings import Finding, interval_of, worst_of, would_decide
from robustness.gates.spec import GateSpec

if TYPE_CHECKING:
    from robustness.metrics.pairing.before_after import Change
    from robustness.metrics.pairing.contrasts import Contrast


def effect_findings(
    evidence: Evidence, gate: GateSpec, test: Callable[..., Decision], *, two_sided: bool = False
) -> list[Finding]:
    """Return what a test says of the effect of each condition against clean.

    Args:
        evidence: of the run.
        gate: its margin and cells.
        test: takes the subjects' effects and `limit`, `errors`, `noise_allowance` and `closed`.
        two_sided: an effect below zero is as bad as one above it.
    """
    cells = evidence.contrasts(gate)
    errors = errors_of(evidence, gate, cells)
    findings = []
    for cell in cells:
        noise = evidence.noise(gate, cell.model, cell.dataset)
        margin, noise_allowance, closed = margin_of(gate, noise)
        at_margin = functools.partial(test, limit=margin, errors=errors, noise_allowance=noise_allowance, closed=closed)
        decision, more = settled(evidence, cell, gate, errors, of_effect(at_margin), floors="all")
        message = _effect_text(cell, gate, decision, f"margin {margin:g}", noise)
        weight = -1.0 if decision.estimate < 0 and two_sided else 1.0
        findings.append(finding_of(evidence, cell, gate, decision, margin, message, more, weight))
    return findings


def baseline_findings(
    evidence: Evidence, gate: GateSpec, test: Callable[..., Decision], *, headroom: bool = False
) -> list[Finding]:
    """Return what a test says of each condition in the baseline against this run; `test` as in `effect_findings`.

    A score that is no better than that of a trivial mask has nothing that a later version could lose, so it holds a
    pass back. `headroom`: so do a clean Dice within its margin, and a baseline that is not shown to lie further than
    the margin from the worst value.
    """
    changes = evidence.changes(gate)
    floors: Floors = ("score" if headroom else "trivial") if against_reference(gate.metric) else "none"
    errors = errors_of(evidence, gate, [change.contrast for change in changes])
    findings = []
    for change in changes:
        cell = change.contrast
        noises = [evidence.noise(gate, cell.model, cell.dataset, before=before) for before in (False, True)]
        noise = Noise(max(n.value for n in noises), any(n.measured for n in noises))
        margin, noise_allowance, closed = margin_of(gate, noise)
        at_margin = functools.partial(test, limit=margin, errors=errors, noise_allowance=noise_allowance, closed=closed)
        decision, more = settled(evidence, cell, gate, errors, of_effect(at_margin), floors=floors)
        if decision.outcome == "pass" and headroom and (reason := _no_headroom(cell, gate, margin, errors)):
            decision, more = decision._replace(outcome="inconclusive", certified=False), f"; no pass: {reason}"
        message = _effect_text(cell, gate, decision, f"margin {margin:g}", noise, what="drop since the baseline")
        finding = finding_of(evidence, cell, gate, decision, margin, message, more, 1.0)
        findings.append(_with_undefined(finding, change, gate))
    return findings


def against_reference(metric: str) -> bool:
    """Tell whether a metric compares a mask with its reference, and has a better side."""
    from robustness.registry import METRICS

    if metric not in METRICS.names():
        return False
    entry = METRICS.get(metric)
    return entry.needs != "clean" and entry.higher_is_better is not None


def _no_headroom(cell: Contrast, gate: GateSpec, margin: float, errors: ErrorRates) -> str:
    """Return why the baseline's scores under a condition cannot fall by the margin; "" where they can, or have no end.

    Asked of scores against references alone: a mask that no word changed has no change to lose, which is no fault.
    """
    from robustness.metrics.inference.intervals import t_interval
    from robustness.metrics.pairing.direction import orientation_of
    from robustness.metrics.pairing.rows import metric_ends

    low, high = metric_ends(gate.metric)
    if not (against_reference(gate.metric) and math.isfinite(high)):
        return ""
    falls = gate.direction == "drop" or (not gate.direction and orientation_of(gate.metric) == "clean - perturbed")
    room = cell.clean - low if falls else high - cell.clean
    if t_interval(room, level=errors.passing).low > margin:
        return ""
    return (
        f"a {gate.metric} of {cell.clean.mean():.3f} in the baseline is not shown to lie further than the margin"
        f" {margin:g} from the worst value: it cannot lose that much"
    )


def errors_of(
    evidence: Evidence, gate: GateSpec, cells: Sequence[Contrast], *, least: float | None = None
) -> ErrorRates:
    """Return error rates, the number of cells, and the ends of the subjects' values where the metric has them.

    `least` is their lower end where they are no differences.
    """
    from robustness.metrics.verdicts.robustness import measure_of

    low, high = (-1.0, 1.0) if measure_of(gate.metric, 0.0).bounded else (-math.inf, math.inf)
    enough = evidence.statistics.min_subjects
    family = max(1, sum(cell.n_subjects >= enough for cell in cells))
    return ErrorRates(evidence.statistics.alpha, family, low if least is None else least, high)


def of_effect(test: Callable[..., Decision]) -> Callable[[Contrast], Decision]:
    """Return a test of the subjects' effects as one of cells."""
    return lambda cell: test(cell.effect)


def settled(
    evidence: Evidence,
    cell: Contrast,
    gate: GateSpec,
    errors: ErrorRates,
    decide: Callable[[Contrast], Decision],
    *,
    floors: Floors = "none",
) -> tuple[Decision, str]:
    """Return the decision of a cell and what its message adds; few subjects, floors and missing cases hold it back.

    Below `min_subjects` nothing is decided. A pass must also hold with every missing case counted as the worst value
    where more than `missing_share` of them are missing (a certificate must wherever anything is), with a clean score
    above its floors (a score that is no better than that of a trivial mask shows nothing, and one that is not worth
    keeping no robustness), and with a certificate where the gate asks for one.
    """
    decision, stats = decide(cell), evidence.statistics
    counted = _with_missing(cell, errors, decide)
    if not all(one.outcome == decision.outcome and one.certified for one in counted):
        decision = decision._replace(certified=False)
    unit, n = evidence.unit(cell.dataset), cell.n_subjects
    if n < stats.min_subjects:
        open_ = decision._replace(outcome="inconclusive", needed=stats.min_subjects, certified=False)
        who = (
            f"a subgroup needs {stats.min_subjects} {unit.name}s, this one has"
            if gate.subgroup
            else (f"a decision takes {stats.min_subjects} {unit.name}s, these are")
        )
        return open_, would_decide(open_, n, unit.name) if n < 2 else f"; {who} {n}"
    if decision.outcome != "pass":
        assumed = f"; {unit.certificate(True)}" if decision.certified and unit.assumes else ""
        return decision, would_decide(decision, n, unit.name) + assumed
    reason = evidence.floor(cell.model, cell.dataset, gate, floors)
    reason = reason or _missing_reason(evidence, cell, errors, counted)
    if not reason and gate.certified and not decision.certified:
        reason = "it rests on the interval alone and the gate asks for a certificate (certified = true)"
        if counted:
            reason = "no certificate holds with what is missing, and the gate asks for one (certified = true)"
    elif not reason and gate.certified and not unit.stated:
        reason = unit.uncounted
    if reason:
        return decision._replace(outcome="inconclusive", certified=False), f"; no pass: {reason}"
    # A certificate assumes independent units, which images of one patient are not.
    return decision, f"; {unit.certificate(decision.certified)}"


def _with_missing(cell: Contrast, errors: ErrorRates, decide: Callable[[Contrast], Decision]) -> list[Decision]:
    """Return what is decided with everything that is missing counted as either end of the metric; nothing for none."""
    from robustness.metrics.pairing.coverage import with_worst

    missing = cell.missing
    if missing is None or not math.isfinite(errors.high):
        return []
    changed = with_worst(missing, cell.case_codes, cell.case_changed, 0.0)
    clean = np.maximum(with_worst(missing, cell.case_codes, cell.case_clean, 1.0), 1e-9)
    effects = [with_worst(missing, cell.case_codes, cell.case_effects, worst) for worst in (errors.low, errors.high)]
    return [decide(cell._replace(effect=effect, changed=changed, clean=clean)) for effect in effects]


def _missing_reason(evidence: Evidence, cell: Contrast, errors: ErrorRates, counted: list[Decision]) -> str:
    """Return why missing cases hold a pass back; "" where it holds with them counted as the worst value."""
    missing = cell.missing
    if missing is None or missing.total <= evidence.statistics.missing_share:
        return ""
    share = f"{100 * missing.total:.0f}% of the cases are missing"
    if not math.isfinite(errors.high):
        return f"{share}, and the metric has no worst value to count them as"
    if any(one.outcome != "pass" for one in counted):
        return f"{share}, and it does not hold with them counted as the worst value"
    return ""


def margin_of(gate: GateSpec, noise: Noise) -> tuple[float, float, bool]:
    """Return margin, noise allowance before a failure, and whether the margin itself passes."""
    if gate.margin != "noise":
        # Against a margin of 0 a model that did not change at all is as good.
        return gate.margin, noise.value, gate.margin == 0
    if not noise.measured:
        raise InputError(
            f"{gate.label}: margin = 'noise' needs a second clean run (condition 'rerun') of as many subjects as a"
            " decision takes (min_subjects), "
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
        f"{where(cell)}: {gate.metric} {what} {interval_of(decision, 4, sign='+')}"
        f"{says}, {margin}{f', rerun noise {noise.value:.4f}' if noise.value else ''}"
    )


def where(cell: Contrast) -> str:
    """Return the cell as messages name it: its condition, and its subgroup where there is one."""
    return f"{cell.condition} [{cell.group}]" if cell.group else cell.condition


def finding_of(
    evidence: Evidence,
    cell: Contrast,
    gate: GateSpec,
    decision: Decision,
    margin: float,
    message: str,
    more: str,
    weight: float,
    *,
    badness: float | None = None,
    signed: bool = True,
) -> Finding:
    """Return the finding; `weight` -1 says that small values are the bad ones, `more` ends the message."""
    unit, n = evidence.unit(cell.dataset), cell.n_subjects
    left_out = f", {counted(cell.n_flagged, 'row')} left out" if cell.n_flagged else ""
    total = max(n, 0 if cell.missing is None else cell.missing.n_subjects)
    subjects = f"{n} of {counted(total, unit.name)}" if total > n else counted(n, unit.name)
    message = f"{message}, n = {subjects}, {counted(cell.n_images, 'case')}{left_out}{more}"
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
        decision.level,
        margin,
        cell.n_images,
        n,
        decision.needed,
        0.0 if math.isnan(bad) else bad,
        message,
        shown,
        unit.certifies(decision.certified),
        unit.assumes if decision.certified else "",
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
    failed = finding._replace(outcome="fail", badness=math.inf, message=text)
    # A certificate of another outcome is none of this failure.
    return failed if finding.outcome == "fail" else failed._replace(certified=False, certified_if="")
