"""Gates: does a run keep what was promised? Pass, fail, or inconclusive, decided by intervals and never by luck."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from robustness.gates.criterion import check_gate, criterion_of
from robustness.gates.evidence import Evidence
from robustness.gates.findings import Finding
from robustness.gates.spec import Gates, GateSpec, read_toml_gates
from robustness.plans.validation import validated
from robustness.run_integrity import other_rules
from robustness.runs.measured import Earlier

if TYPE_CHECKING:
    import pandas as pd

    from robustness.runs.stored import StoredRun

__all__ = [
    "COLUMNS",
    "GateSpec",
    "Gates",
    "Judged",
    "OtherRulesWarning",
    "failed",
    "judge",
    "judge_gate",
    "judge_gates",
    "load_gates",
    "warn_of_other_rules",
]

COLUMNS = (
    "name",
    "test",
    "condition",
    "estimate",
    "ci_low",
    "ci_high",
    "margin",
    "outcome",
    "severity",
    "message",
    "model",
    "dataset",
    "subgroup",
    "metric",
    "n_images",
    "n_subjects",
    "n_needed",
    "worst_cases",
    "n_conditions",
    "blocks",
    "certified",
    "level",
    "certified_if",
)


class Judged(NamedTuple):
    """One gate with what it found everywhere, the deciding cell first.

    `outcome` is "pass", "fail", "inconclusive" or "skip" (inconclusive, where that is to be skipped); `blocks`: the
    gate holds the command back.
    """

    gate: GateSpec
    findings: tuple[Finding, ...]
    outcome: str
    blocks: bool

    @property
    def worst(self) -> Finding:
        """The finding that decided."""
        return self.findings[0]

    @property
    def certified(self) -> bool:
        """Whether the outcome is certified: a pass where all of its findings are, a failure where the worst is."""
        return all(finding.certified for finding in self._deciding)

    @property
    def certified_if(self) -> str:
        """What the certificates of the outcome assume beyond independent patients; "" for nothing, or without one."""
        assumed = dict.fromkeys(one.certified_if for one in self._deciding if one.certified_if)
        return " and ".join(assumed) if all(one.has_certificate for one in self._deciding) else ""

    @property
    def message(self) -> str:
        """The sentence of the finding that decided, and of a pass what other certificates than its own are worth."""
        worst = self.worst
        weaker = [one for one in self._deciding if not one.has_certificate]
        assuming = dict.fromkeys(one.dataset for one in self._deciding if one.certified_if)
        more = ""
        if weaker and worst.has_certificate:
            first = f"{weaker[0].condition} of {weaker[0].model} on {weaker[0].dataset}"
            more = f"; certified no for {len(weaker)} of {len(self.findings)} (first: {first})"
        elif assuming and not worst.certified_if and worst.has_certificate:
            more = f"; on {', '.join(assuming)} certified yes, if {self.certified_if}"
        return worst.message + more

    @property
    def _deciding(self) -> tuple[Finding, ...]:
        return self.findings if self.worst.outcome == "pass" else self.findings[:1]


def load_gates(path: str | Path) -> Gates:
    """Read a gates file.

    Raises:
        InputError: no such file, not TOML, an unknown key or test, or a bad value.
    """
    gates = validated(Gates, read_toml_gates(path), source=str(path))
    for gate in gates.gate:
        check_gate(gate)
    return gates


class OtherRulesWarning(UserWarning):
    """Run and baseline were made by different code of the suite, so that a difference may be the suite's."""


def warn_of_other_rules(run: StoredRun, baseline: Earlier | None, *, stacklevel: int) -> None:
    """Warn where other code of the suite made a baseline than the run, or one of the two does not record it."""
    if baseline is None or not (run.manifest.get("rules") or baseline.manifest.get("rules")):
        # Tables that were made by hand record nothing on either side.
        return
    other = other_rules(run.manifest, baseline.manifest, names=("run", "baseline"))
    if other:
        warnings.warn(other, OtherRulesWarning, stacklevel=stacklevel)


def judge(run: StoredRun, gates: Gates, *, baseline: Earlier | None = None) -> pd.DataFrame:
    """Return one row per gate, columns `COLUMNS`; see `judge_gates`.

    Warns (`OtherRulesWarning`) where other code of the suite made the baseline, or one of the two does not record it.
    """
    warn_of_other_rules(run, baseline, stacklevel=4)
    return as_table(judge_gates(run, gates, baseline=baseline))


def judge_gates(run: StoredRun, gates: Gates, *, baseline: Earlier | None = None) -> list[Judged]:
    """Judge a run by every gate.

    A gate over several cells (conditions, models, datasets, subgroups) takes the worst of them. It fails falsely with
    probability alpha at most (bounds at alpha / number of cells) and passes falsely with alpha at most (every cell
    must pass, so no cell pays for the others).

    Args:
        baseline: a run or a baseline file of the same data and plan, for the tests that compare with one.

    Raises:
        InputError: a gate that needs a baseline and has none, one made otherwise, or a glob that matches nothing.
    """
    from robustness.runs.measured import refuse_other

    needs = next((gate for gate in gates.gate if criterion_of(gate).baseline), None)
    if needs is not None:
        refuse_other(run.measured, baseline, source=needs.label)
    evidence = Evidence(run, baseline)
    return [judge_gate(evidence, gate, gates.inconclusive) for gate in gates.gate]


def judge_gate(evidence: Evidence, gate: GateSpec, inconclusive: str = "fail") -> Judged:
    """Judge one gate; `inconclusive` is "fail", "warn" or "skip", unless the gate says otherwise."""
    check_gate(gate)
    found = criterion_of(gate).findings(evidence, gate)
    findings = sorted(
        [*found, *_unasked(evidence, gate, found)], key=lambda finding: (_RANK[finding.outcome], -finding.badness)
    )
    policy, outcome = gate.inconclusive or inconclusive, findings[0].outcome
    bad = outcome == "fail" or (outcome == "inconclusive" and policy == "fail")
    shown = "skip" if outcome == "inconclusive" and policy == "skip" else outcome
    return Judged(gate, tuple(findings), shown, bad and gate.severity == "error")


def _unasked(evidence: Evidence, gate: GateSpec, found: Sequence[Finding]) -> list[Finding]:
    """Return an open finding for each model and dataset that a gate names and that has no row of what it asks.

    Subgroups are left out: a value of a column that one dataset has is none that all must have.
    """
    if gate.subgroup:
        return []
    answered = {(finding.model, finding.dataset) for finding in found}
    what, nan = gate.condition or gate.attribute or found[0].condition, math.nan
    return [
        Finding(
            "inconclusive",
            what,
            model,
            dataset,
            "",
            gate.metric,
            nan,
            nan,
            nan,
            nan,
            found[0].margin,
            0,
            0,
            None,
            0.0,
            f"{model} on {dataset} has no row of {what!r}, so nothing is known there; name a model or dataset in the"
            " gate to leave it out",
            (),
        )
        for model, dataset in sorted(evidence.pairs(gate))
        if (model, dataset) not in answered
    ]


def failed(judged: pd.DataFrame, gates: Gates | None = None) -> bool:
    """Return whether the gates hold back: a failure of severity error, or an inconclusive one where that fails."""
    return bool(judged["blocks"].any())


def as_table(judged: list[Judged]) -> pd.DataFrame:
    """Return one row per gate, columns `COLUMNS`: the finding that decided."""
    import pandas as pd

    table = pd.DataFrame([_row(one) for one in judged], columns=list(COLUMNS))
    return table.astype({"n_needed": "Int64", "blocks": "bool", "certified": "bool"})


_RANK = {"fail": 0, "inconclusive": 1, "pass": 2}


def _row(judged: Judged) -> tuple[Any, ...]:
    gate, worst = judged.gate, judged.worst
    return (
        gate.title,
        gate.test,
        worst.condition,
        worst.estimate,
        worst.low,
        worst.high,
        worst.margin,
        judged.outcome,
        gate.severity,
        judged.message,
        worst.model,
        worst.dataset,
        worst.group,
        worst.metric,
        worst.n_images,
        worst.n_subjects,
        worst.needed,
        ", ".join(worst.worst_cases),
        len(judged.findings),
        judged.blocks,
        judged.certified,
        worst.level,
        judged.certified_if,
    )
