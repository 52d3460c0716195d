"""Words that the mask follows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from robustness.errors import counted
from robustness.gates.by_verdict import VerdictCriterion, cases_of
from robustness.gates.criterion import GATE_CRITERIA
from robustness.gates.decisions import Outcome
from robustness.gates.evidence import Evidence
from robustness.gates.findings import Finding
from robustness.gates.spec import GateSpec

if TYPE_CHECKING:
    import pandas as pd

NO_SECOND_TARGET = (
    "without another object on the same image, apart from the first, a reaction is all that any number of subjects can"
    " show"
)


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
        best = [
            best_evidence([self.finding(row, gate, cases, evidence.unit(dataset)) for row in group.to_dict("records")])
            for (_, dataset, _), group in rows.groupby(["model", "dataset", "attribute"], sort=True)
        ]
        return [self.held_back(evidence, gate, finding) for finding in best]

    def rows(self, evidence: Evidence, gate: GateSpec) -> pd.DataFrame:
        """Return the verdicts that a gate names; `open`: why a reaction does not show that it does not follow."""
        from robustness.metrics.verdicts.selectivity import rows_with_second_target

        results = evidence.results
        named = rows_with_second_target(results, evidence.statistics.target_overlap)
        key = ["model", "dataset", "condition"]
        known = set(results.loc[named, key].itertuples(index=False, name=None))
        rows = super().rows(evidence, gate)
        # One that only reacts fails where one of its two shifts is shown to be small, of any of these conditions.
        level = 1 - evidence.statistics.alpha / max(1, sum(rows["verdict"].str.startswith("REACTS")))
        return rows.assign(
            open=[
                ""
                if not verdict.startswith("REACTS")
                else NO_SECOND_TARGET
                if name not in known
                else _following_is_open(evidence, name, level)
                for verdict, name in zip(rows["verdict"], rows[key].itertuples(index=False, name=None), strict=True)
            ]
        )

    def outcome(self, row: Mapping[Any, Any], gate: GateSpec) -> Outcome:
        """Return what one verdict means; a reaction fails where it is shown that the model does not follow."""
        return "inconclusive" if row["open"] else super().outcome(row, gate)

    def undecided(self, condition: str) -> set[str]:
        """Return the verdicts that leave a condition open: without a second target a reaction is all there is."""
        more = set() if condition.startswith("other:") else {"REACTS", "REACTS*"}
        return super().undecided(condition) | more


def _following_is_open(evidence: Evidence, name: tuple[str, str, str], level: float) -> str:
    """Return why a model that reacts under a condition may follow nevertheless; "" where it is shown not to.

    Following takes a mask that leaves the first target and reaches the second, both by more than the margin: it does
    not where the upper bound of one of the shifts (of this `level`) lies below it.
    """
    from robustness.metrics.inference.intervals import beneath
    from robustness.metrics.inference.mean_interval import claim_interval
    from robustness.metrics.verdicts.selectivity import selectivity

    cells, stats = evidence.rows.cells, evidence.statistics
    here = (cells[["model", "dataset", "condition"]].astype(str) == list(name)).all(axis=1)
    found = selectivity(evidence.rows, int(cells.index[here][0]), limit=stats.target_overlap)
    n = 0 if found is None else found.s_a.size
    if found is None or n < stats.min_subjects:
        known = f"the Dice to both targets, clean and changed, is known of {counted(n, evidence.unit(name[1]).name)}"
        return f"{known}, fewer than {stats.min_subjects}, so that following could not be tested"
    shifts = [
        claim_interval(values, level=level, certified=False, warns=(-1.0, 1.0)) for values in (found.s_a, found.s_b)
    ]
    if any(beneath(shift.high, stats.margin_dice) for shift in shifts):
        return ""
    leaves, reaches = (f"{s.estimate:.2f} [{s.low:.2f}, {s.high:.2f}]" for s in shifts)
    return (
        f"that it does not follow is not shown either: its mask leaves the first target by {leaves} Dice and reaches"
        f" the second by {reaches}, margin {stats.margin_dice:g}"
    )


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
