"""Criteria that read the run's verdicts."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from robustness.errors import InputError
from robustness.gates.criterion import GateCriterion
from robustness.gates.decisions import NAN, Outcome
from robustness.gates.evidence import Evidence, nothing
from robustness.gates.findings import Finding, Unit, worst_of
from robustness.gates.spec import GateSpec

if TYPE_CHECKING:
    import pandas as pd

# Mean mask change of every case, by (model, dataset, condition).
Changes: TypeAlias = "dict[tuple[str, str, str], pd.Series]"


class VerdictCriterion(GateCriterion):
    """A criterion that one verdict of each claim decides.

    Attributes:
        claim: the family of claims that it reads.
        passes: the verdicts that hold.
        large_changes_are_bad: which cases are shown as the worst: those that changed most, or least.
        floors: a pass needs a clean score that is worth something: a mask that is nowhere stays as it is.
    """

    by_verdict = True
    claim: ClassVar[str] = "prompt"
    passes: ClassVar[tuple[str, ...]]
    large_changes_are_bad: ClassVar[bool] = False
    floors: ClassVar[bool] = False

    def findings(self, evidence: Evidence, gate: GateSpec) -> list[Finding]:
        """Return one finding for each claim.

        Raises:
            InputError: no verdict matches.
        """
        rows = self.rows(evidence, gate)
        cases = cases_of(evidence, set(rows["condition"]))
        findings = [
            self.finding(row, gate, cases, evidence.unit(str(row["dataset"]))) for row in rows.to_dict("records")
        ]
        return [self.held_back(evidence, gate, finding) for finding in findings]

    def rows(self, evidence: Evidence, gate: GateSpec) -> pd.DataFrame:
        """Return the verdicts that a gate names.

        Raises:
            InputError: there is none.
        """
        verdicts = evidence.run.verdicts()
        claimed = verdicts[verdicts["claim"] == self.claim]
        rows = claimed[[_matches(row, gate) for row in claimed.to_dict("records")]]
        if not len(rows):
            raise InputError(nothing(gate, sorted(claimed["condition"].unique())))
        return rows

    def undecided(self, condition: str) -> set[str]:
        """Return the verdicts that leave a condition open."""
        return {"INCONCLUSIVE", "UNTESTABLE"}

    def outcome(self, row: Mapping[Any, Any], gate: GateSpec) -> Outcome:
        """Return what one verdict means."""
        verdict = str(row["verdict"])
        if verdict in self.passes:
            return "inconclusive" if gate.certified and not certified_of(row) else "pass"
        return "inconclusive" if verdict in self.undecided(str(row["condition"])) else "fail"

    def held_back(self, evidence: Evidence, gate: GateSpec, finding: Finding) -> Finding:
        """Return the finding; open where too few clean scores are known, a pass also where they show nothing."""
        if finding.outcome == "inconclusive":
            return finding
        passes = finding.outcome == "pass"
        reason = evidence.unknown(finding.model, finding.dataset)
        if passes and self.floors:
            reason = evidence.floor(finding.model, finding.dataset, gate, "score")
        if not reason:
            return finding
        message = f"{finding.message}; no {'pass' if passes else 'failure'}: {reason}"
        return finding._replace(outcome="inconclusive", message=message, certified=False, certified_if="")

    def finding(self, row: Mapping[Any, Any], gate: GateSpec, cases: Changes, unit: Unit) -> Finding:
        """Return the finding of one verdict, over subjects that are of this kind."""
        estimate, low, high, margin = (
            float(row[k]) if row[k] is not None else NAN for k in ("estimate", "ci_low", "ci_high", "margin")
        )
        needed = None if _missing(row["n_needed"]) else int(row["n_needed"])
        outcome, certified = self.outcome(row, gate), certified_of(row)
        uncounted = outcome == "pass" and gate.certified and not unit.certifies(certified)
        if uncounted:
            outcome = "inconclusive"
        changes = cases.get((row["model"], row["dataset"], row["condition"]))
        worst: tuple[str, ...] = ()
        if changes is not None:
            names, weight = [str(name) for name in changes.index], 1.0 if self.large_changes_are_bad else -1.0
            worst = worst_of(names, changes.tolist(), weight=weight, signed=False)
        return Finding(
            outcome,
            str(row["condition"]),
            str(row["model"]),
            str(row["dataset"]),
            "",
            str(row["metric"]),
            estimate,
            low,
            high,
            NAN if math.isnan(low) or _missing(row.get("level")) else float(row["level"]),
            margin,
            int(row["n_images"]),
            int(row["n_subjects"]),
            needed,
            0.0 if estimate != estimate else abs(estimate),
            _message(row, outcome, needed, unit) + (f"; no pass: {unit.uncounted}" if uncounted else ""),
            worst,
            unit.certifies(certified) and outcome != "inconclusive",
            unit.assumes if certified and outcome != "inconclusive" else "",
        )


def _message(row: Mapping[Any, Any], outcome: Outcome, needed: int | None, unit: Unit) -> str:
    sentence = str(row["sentence"]).rstrip(".")
    # Most sentences say already how many subjects would decide.
    more = f"; about {needed} {unit.name}s would decide" if outcome == "inconclusive" and needed else ""
    if row.get("told"):
        more = f"; {row['told']}"
    assumed = ""
    if outcome != "inconclusive" and unit.assumes and certified_of(row):
        # The sentence of a verdict has the assumption already, and not who makes it.
        assumed = f"; {unit.why if unit.assumes in sentence else unit.certificate(True)}"
    more = more if f"about {needed} " not in sentence else ""
    return f"{row['condition']}: {row['verdict']}: {sentence}{more}{assumed}"


def _matches(row: Mapping[Any, Any], gate: GateSpec) -> bool:
    globs = (
        ("condition", gate.condition),
        ("attribute", gate.attribute),
        ("model", gate.model),
        ("dataset", gate.dataset),
    )
    return all(glob is None or fnmatch.fnmatchcase(str(row[name]), glob) for name, glob in globs)


def certified_of(row: Mapping[Any, Any]) -> bool:
    """Return whether the verdict is certified; those of older runs carry no such column."""
    stated = row.get("certified")
    return not str(row["verdict"]).endswith("*") if stated is None else bool(stated)


def _missing(value: Any) -> bool:
    return value is None or value != value or str(value) == "<NA>"


def cases_of(evidence: Evidence, conditions: set[str]) -> Changes:
    """Return the mean mask change of every case, by (model, dataset, condition)."""
    table = evidence.results
    if "mask_change" not in table:
        return {}
    rows = table[table["condition"].isin(conditions)].dropna(subset=["mask_change"])
    means = rows.groupby(["model", "dataset", "condition", "case_id"])["mask_change"].mean()
    return {key: part.droplevel([0, 1, 2]) for key, part in means.groupby(level=[0, 1, 2])}
