"""Words that the mask follows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from robustness.gates.by_verdict import VerdictCriterion, cases_of
from robustness.gates.criterion import GATE_CRITERIA
from robustness.gates.decisions import Outcome
from robustness.gates.evidence import Evidence
from robustness.gates.findings import Finding
from robustness.gates.spec import GateSpec

if TYPE_CHECKING:
    import pandas as pd


@GATE_CRITERIA.add("follows")
class Follows(VerdictCriterion):
    """The model follows the words of each attribute to another object on the same image."""

    passes = ("FOLLOWS", "FOLLOWS*")

    def findings(self, evidence: Evidence, gate: GateSpec) -> list[Finding]:
        """Return one finding for each model, dataset and attribute.

        Raises:
            InputError: no verdict matches.
        """
        rows = self.rows(evidence, gate)
        cases = cases_of(evidence, set(rows["condition"]))
        return [
            best_evidence([self.finding(row, gate, cases, evidence.unit(dataset)) for row in group.to_dict("records")])
            for (_, dataset, _), group in rows.groupby(["model", "dataset", "attribute"], sort=True)
        ]

    def rows(self, evidence: Evidence, gate: GateSpec) -> pd.DataFrame:
        """Return the verdicts that a gate names; `apart`: whether the condition has targets that lie apart."""
        from robustness.metrics.verdicts.selectivity import rows_with_second_target

        results = evidence.results
        named = rows_with_second_target(results, evidence.statistics.target_overlap)
        key = ["model", "dataset", "condition"]
        known = set(results.loc[named, key].itertuples(index=False, name=None))
        rows = super().rows(evidence, gate)
        return rows.assign(apart=[name in known for name in rows[key].itertuples(index=False, name=None)])

    def outcome(self, row: Mapping[Any, Any], gate: GateSpec) -> Outcome:
        """Return what one verdict means; without a second target that lies apart a reaction is all there can be."""
        reacts = str(row["verdict"]).startswith("REACTS")
        return "inconclusive" if reacts and not row["apart"] else super().outcome(row, gate)

    def undecided(self, condition: str) -> set[str]:
        """Return the verdicts that leave a condition open: without a second target a reaction is all there is."""
        more = set() if condition.startswith("other:") else {"REACTS", "REACTS*"}
        return super().undecided(condition) | more


def best_evidence(findings: Sequence[Finding]) -> Finding:
    """Return what the strongest kind of condition says of one attribute.

    Another object on the same image, or a contradiction, shows following or its absence. A word that is dropped or
    replaced by a rare one may leave the mask where it belongs, so it counts only where nothing else was asked.
    """
    shown = [finding for finding in findings if finding.outcome == "pass"]
    if shown:
        return shown[0]
    telling = [finding for finding in findings if finding.condition.startswith(("other:", "antonym:"))]
    return min(
        telling or findings, key=lambda finding: (finding.outcome != "fail", not finding.condition.startswith("other:"))
    )
