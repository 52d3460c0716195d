"""Words that the mask follows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from robustness.errors import counted
from robustness.gates.by_verdict import VerdictCriterion, cases_of, certified_of
from robustness.gates.criterion import GATE_CRITERIA
from robustness.gates.decisions import ErrorRates, Outcome, certified_below
from robustness.gates.evidence import Evidence
from robustness.gates.findings import Finding
from robustness.gates.spec import GateSpec

if TYPE_CHECKING:
    import pandas as pd

NO_SECOND_TARGET = (
    "without another object on the same image, apart from the first, a reaction is all that any number of subjects can"
    " show"
)


class Reaction(NamedTuple):
    """What REACTS says of following: whether it leaves that open, in words, and whether what it says is certified."""

    open: bool
    told: str
    certified: bool


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
        """Return the verdicts that a gate names, with what reactions say of following: `open`, `told`, `certified`."""
        from robustness.metrics.verdicts.selectivity import rows_with_second_target

        results = evidence.results
        named = rows_with_second_target(results, evidence.statistics.target_overlap)
        key = ["model", "dataset", "condition"]
        known = set(results.loc[named, key].itertuples(index=False, name=None))
        rows = super().rows(evidence, gate)
        reacts = rows["verdict"].str.startswith("REACTS").tolist()
        own = [certified_of(row) for row in rows.to_dict("records")]
        # A reaction fails where one of its two shifts is shown to be small, of any of these conditions.
        m = 2 * max(1, sum(reacts))
        said = [
            _reaction(evidence, name, m, known=name in known) if reaction else Reaction(False, "", certified)
            for name, reaction, certified in zip(rows[key].itertuples(index=False, name=None), reacts, own, strict=True)
        ]
        return rows.assign(**dict(zip(Reaction._fields, zip(*said, strict=True), strict=True)))

    def outcome(self, row: Mapping[Any, Any], gate: GateSpec) -> Outcome:
        """Return what one verdict means; a reaction fails where it is shown that the model does not follow."""
        return "inconclusive" if row["open"] else super().outcome(row, gate)

    def undecided(self, condition: str) -> set[str]:
        """Return the verdicts that leave a condition open: without a second target a reaction is all there is."""
        more = set() if condition.startswith("other:") else {"REACTS", "REACTS*"}
        return super().undecided(condition) | more


def _reaction(evidence: Evidence, name: tuple[str, str, str], m: int, *, known: bool) -> Reaction:
    """Return what a reaction under a condition says of following, with an error rate that `m` bounds share.

    Following takes a mask that leaves the first target and reaches the second, both by more than the margin: it is
    ruled out where the upper bound of one of the shifts lies below it. `known`: the condition names a second target.
    """
    from robustness.metrics.inference.intervals import beneath
    from robustness.metrics.inference.mean_interval import claim_interval
    from robustness.metrics.verdicts.selectivity import selectivity

    if not known:
        return Reaction(True, NO_SECOND_TARGET, False)
    cells, stats = evidence.rows.cells, evidence.statistics
    cell = int(cells.index[(cells[["model", "dataset", "condition"]].astype(str) == list(name)).all(axis=1)][0])
    found = selectivity(evidence.rows, cell, limit=stats.target_overlap)
    n = 0 if found is None else found.s_a.size
    if found is None or n < stats.min_subjects:
        known_of = counted(n, evidence.unit(name[1]).name)
        told = f"the Dice to two targets that lie apart, clean and changed, is known of {known_of}"
        return Reaction(True, f"{told}, fewer than {stats.min_subjects}, so that following could not be tested", False)
    errors = ErrorRates(stats.alpha / m, 1, -1.0, 1.0)
    # The scores of cases without both may be anything: no certificate holds with them.
    whole = found.cases.size == np.unique(evidence.rows.case[evidence.rows.cell == cell]).size
    sides = []
    for values in (found.s_a, found.s_b):
        sure = whole and certified_below(values, stats.margin_dice, errors)
        shift = claim_interval(values, level=errors.passing, certified=sure, warns=(errors.low, errors.high))
        sides.append((shift, sure, beneath(shift.high, stats.margin_dice)))
    leaves, reaches = (f"{s.estimate:.2f} [{s.low:.2f}, {s.high:.2f}]" for s, _, _ in sides)
    shifts = f"its mask leaves the first target by {leaves} Dice and reaches the second by {reaches}"
    shifts = f"{shifts}, margin {stats.margin_dice:g}"
    if not any(small for _, _, small in sides):
        return Reaction(True, f"that it does not follow is not shown either: {shifts}", False)
    certified = any(sure and small for _, sure, small in sides)
    return Reaction(False, f"it does not follow ({'certified' if certified else 'not certified'}): {shifts}", certified)


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
