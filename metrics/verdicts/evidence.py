"""Evidence of a table on one prompt condition: the quantities that the verdict rules read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from robustness.metrics.inference.intervals import Values
from robustness.metrics.pairing.coverage import Counts, Flags, Missing, lost_shares, missing_of, with_worst
from robustness.metrics.pairing.pairs import Pairs, subject_means
from robustness.metrics.pairing.rows import Codes, Rows
from robustness.metrics.verdicts.selectivity import TARGET_OVERLAP, Selectivity, selectivity
from robustness.results import PARAPHRASE, RERUN, parse_condition

CONTROLS = frozenset({"empty", "nonsense", "shuffled"})
ABSENT = frozenset({"wrong_class", "absent", "negation"})
SAME_MEANING = frozenset({PARAPHRASE, "synonym"})
# Chosen by looking at the scores, so no test of them is valid.
SEARCHED = frozenset({"worst_case"})


class Worst(NamedTuple):
    """Subject means over all subjects that a condition applies to, what is missing counted against a claim.

    Attributes:
        share: of mask changes, paraphrases or scores of the second target that are missing: the largest.
        excess_low, excess_high: R with 0 for C and 1 for C(paraphrases), with 1 and 0.
        change_high: C with 1.
        paraphrase_low: C(paraphrases) with 0.
        s_a, s_b: selectivity with -1; empty without a second target.
    """

    share: float
    excess_low: Values
    excess_high: Values
    change_high: Values
    paraphrase_low: Values
    s_a: Values
    s_b: Values


@dataclass(frozen=True)
class Evidence:
    """Subject means of one condition; arrays are empty where nothing is known.

    Attributes:
        cell: code of the condition.
        attribute: which words it changes.
        subjects: codes of the subjects of `excess`.
        excess: R = C(condition) - mean C(paraphrases) per case, in [-1, 1].
        change: C(condition), over every case that has one, in [0, 1].
        paraphrase: C(paraphrases), over the cases of `excess`.
        n_images: cases in `change`; n_paired: cases in `excess`.
        selectivity: towards a second target, where the condition's own rows name one.
        rerun_noise: mean change between two identical runs, NaN where there is no rerun.
        reason: why nothing applies, where nothing does.
        missing: what is not known of `change`; None: nothing is missing.
        worst: the quantities with what is missing counted as worst for a claim; None as above.
    """

    cell: int
    attribute: str
    subjects: Codes
    excess: Values
    change: Values
    paraphrase: Values
    n_images: int
    n_paired: int
    selectivity: Selectivity | None
    rerun_noise: float
    reason: str
    missing: Missing | None = None
    worst: Worst | None = None

    @property
    def noise(self) -> float:
        """What the model does to itself on a second run; 0 where there is none."""
        return 0.0 if np.isnan(self.rerun_noise) else self.rerun_noise

    @property
    def n_total(self) -> int:
        """Subjects that the condition applies to, with a value or not."""
        return max(self.change.size, 0 if self.missing is None else self.missing.n_subjects)


def base_name(condition: str) -> str:
    """Return a condition's perturbation, without attribute and severity."""
    return condition.partition("@")[0].partition(":")[0]


def prompt_cells(rows: Rows, cells: pd.DataFrame) -> list[int]:
    """Return the cells that carry a claim about the prompt.

    Every prompt condition but paraphrases (`paraphrase`, `synonym`, surface changes that name no attribute and are
    expected to be harmless), controls (`empty`, `nonsense`, `shuffled`, or expectation "control") and searches
    (`worst_case`).
    """
    return [int(cell) for cell in cells.index[cells["family"] == "prompt"] if _is_claim(rows, int(cell))]


def _is_claim(rows: Rows, cell: int) -> bool:
    condition = str(rows.cells.at[cell, "condition"])
    stated = rows.frame.loc[rows.cell == cell, "expectation"]
    if base_name(condition) in SAME_MEANING | CONTROLS | SEARCHED or (stated == "control").any():
        return False
    return not ((stated == "invariant").all() and not attribute_of(rows, cell))


def attribute_of(rows: Rows, cell: int) -> str:
    """Return the kind of words that a condition changes; "target" for an absent or wrong class, "" if unknown."""
    here = rows.frame.loc[rows.cell == cell, ["attribute", "expectation"]]
    stated = [a for a in here["attribute"].unique() if a]
    condition = str(rows.cells.at[cell, "condition"])
    if len(stated) == 1:
        return str(stated[0])
    attribute = parse_condition(condition).attribute
    if attribute or not (base_name(condition) in ABSENT or (here["expectation"] == "abstain").any()):
        return attribute
    return "target"


@dataclass(frozen=True)
class Baseline:
    """What all conditions of one (model, dataset) are compared with.

    Attributes:
        changes: mask changes of every condition; None where the table has none.
        paraphrase: mean change by paraphrases per case, NaN where a case has no paraphrase.
        rerun_noise: mean change between two identical runs, NaN where there is no rerun.
        expected: values that each condition should have of each case, (cells, cases); None: what is missing is not
            counted.
        lost_paraphrase: share of each case's paraphrases that is missing; 1 where there is none.
    """

    changes: Pairs | None
    paraphrase: Values
    rerun_noise: float
    expected: Counts | None
    lost_paraphrase: Values


def common_baseline(rows: Rows, changes: Pairs | None, cells: pd.DataFrame, expected: Counts | None = None) -> Baseline:
    """Collect what the conditions of one (model, dataset), `cells`, have in common."""
    named = [(int(cell), base_name(str(name))) for cell, name in zip(cells.index, cells["condition"], strict=True)]
    n_cases, rerun_noise = rows.subject_of_case.size, np.nan
    paraphrase, lost = np.full(n_cases, np.nan), np.ones(n_cases)
    if changes is not None:
        rewordings = [cell for cell, name in named if name == PARAPHRASE]
        paraphrase = _per_case(rows, changes, rewordings)
        if expected is not None and rewordings:
            present = sum((changes.n_texts_of(cell, n_cases) for cell in rewordings), np.zeros(n_cases, np.int32))
            lost = np.nan_to_num(lost_shares(expected[rewordings].sum(axis=0), present), nan=1.0)
        repeats = [changes.effect[changes.of(cell)] for cell, name in named if name == RERUN]
        rerun_noise = float(repeats[0].mean()) if repeats and repeats[0].size else np.nan
    return Baseline(changes, paraphrase, rerun_noise, expected, lost)


def gather(rows: Rows, baseline: Baseline, cell: int, *, limit: float = TARGET_OVERLAP) -> Evidence:
    """Collect the evidence on one condition; `limit`: see `selectivity`."""
    attribute = attribute_of(rows, cell)
    second_target = _second_target(rows, cell, limit)
    empty = np.empty(0)
    if baseline.changes is None:
        reason = "the table has no mask_change column"
        return Evidence(
            cell, attribute, np.empty(0, np.int64), empty, empty, empty, 0, 0, second_target, np.nan, reason
        )
    where = baseline.changes.of(cell)
    case, subject = baseline.changes.case[where], baseline.changes.subject[where]
    paired = np.isfinite(baseline.paraphrase[case])
    changes = _CaseChanges(case, subject, baseline.changes.effect[where], paired, baseline.paraphrase[case[paired]])
    subjects, excess = changes.excess_means()
    missing, worst = _missing(rows, baseline, cell, changes, second_target)
    return Evidence(
        cell,
        attribute,
        subjects,
        excess,
        changes.change_means()[1],
        changes.paraphrase_means()[1],
        case.size,
        int(paired.sum()),
        second_target,
        baseline.rerun_noise,
        "" if case.size else _reason(rows, cell),
        missing,
        worst,
    )


class _CaseChanges(NamedTuple):
    """Cases with a mask change; `paired`: those with a paraphrase too, whose change is `paraphrase`."""

    case: Codes
    subject: Codes
    change: Values
    paired: Flags
    paraphrase: Values

    def excess_means(self) -> tuple[Codes, Values]:
        return subject_means(self.change[self.paired] - self.paraphrase, self.subject[self.paired])

    def change_means(self) -> tuple[Codes, Values]:
        return subject_means(self.change, self.subject)

    def paraphrase_means(self) -> tuple[Codes, Values]:
        return subject_means(self.paraphrase, self.subject[self.paired])


def _missing(
    rows: Rows, baseline: Baseline, cell: int, changes: _CaseChanges, second_target: Selectivity | None
) -> tuple[Missing | None, Worst | None]:
    """Return what is missing of a condition, and the quantities with it counted against every claim."""
    if baseline.changes is None or baseline.expected is None:
        return None, None
    n_cases, expected = rows.subject_of_case.size, baseline.expected[cell]
    lost = lost_shares(expected, baseline.changes.n_texts_of(cell, n_cases))
    missing = missing_of(rows, lost)
    unpaired = missing_of(rows, np.where(np.isfinite(lost), np.maximum(lost, baseline.lost_paraphrase), np.nan))
    share, followed = max(missing.total, unpaired.total if changes.paired.any() else 0.0), [np.empty(0), np.empty(0)]
    if second_target is not None:
        judged = expected if second_target.left_out is None else expected - second_target.left_out.n_texts
        unmatched = missing_of(rows, lost_shares(np.maximum(judged, 0), second_target.n_texts))
        share = max(share, unmatched.total)
        each = (second_target.of_case_a, second_target.of_case_b)
        followed = [with_worst(unmatched, second_target.cases, values, -1.0) for values in each]
    if share == 0:
        return None, None
    change, paraphrase = np.zeros(n_cases), np.nan_to_num(baseline.paraphrase)
    change[changes.case] = changes.change
    least, less = (1 - lost) * change, (1 - baseline.lost_paraphrase) * paraphrase

    def of_subjects(values: Values) -> Values:
        return subject_means(values[missing.cases], rows.subject_of_case[missing.cases])[1]

    # What has no value changes the mask by anything between nothing and everything.
    return missing, Worst(
        share,
        of_subjects(least - less - baseline.lost_paraphrase),
        of_subjects(least + lost - less),
        of_subjects(least + lost),
        of_subjects(less),
        *followed,
    )


def _second_target(rows: Rows, cell: int, limit: float) -> Selectivity | None:
    """Return the selectivity that the condition's own rows show; None where they name no second target.

    What a mask does under `other:side` says nothing of what it does under `antonym:side`, so no condition borrows it.
    """
    name = base_name(str(rows.cells.at[cell, "condition"]))
    if name in ABSENT:
        return None
    stated = (rows.frame.loc[rows.cell == cell, "other_case_id"] != "").any()
    return selectivity(rows, cell, limit=limit) if name == "other" or stated else None


def _per_case(rows: Rows, changes: Pairs, cells: list[int]) -> Values:
    """Return the mean change per case over `cells`; NaN where a case has none."""
    total, count = np.zeros(rows.subject_of_case.size), np.zeros(rows.subject_of_case.size)
    for cell in cells:
        where = changes.of(int(cell))
        total[changes.case[where]] += changes.effect[where]
        count[changes.case[where]] += 1
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _reason(rows: Rows, cell: int) -> str:
    here = rows.frame.loc[rows.cell == cell, ["error", "note"]]
    reasons = [text for text in (*here["error"], *here["note"]) if text]
    return f"no case applies ({reasons[0]})" if reasons else "no case applies"
