"""Evidence of a table on one prompt condition: the quantities that the verdict rules read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from robustness.metrics.inference.intervals import Values
from robustness.metrics.pairing.coverage import Flags, Missing, missing_cases, with_worst
from robustness.metrics.pairing.pairs import Pairs, subject_means
from robustness.metrics.pairing.rows import Codes, Rows
from robustness.metrics.verdicts.selectivity import Selectivity, selectivity
from robustness.results import PARAPHRASE, RERUN, parse_condition

CONTROLS = frozenset({"empty", "nonsense", "shuffled"})
ABSENT = frozenset({"wrong_class", "absent", "negation"})
SAME_MEANING = frozenset({PARAPHRASE, "synonym"})
# Chosen by looking at the scores, so no test of them is valid.
SEARCHED = frozenset({"worst_case"})


class Worst(NamedTuple):
    """Subject means over all subjects that a condition applies to, what is missing counted against a claim.

    Attributes:
        share: of the cases that lack a mask change, a paraphrase or a score of the second target: the largest.
        excess_low, excess_high: R with -1, with 1; where only the paraphrase is missing with C - 1, with C.
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
    here = rows.frame[rows.cell == cell]
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
        applies: whether each condition applies to each case, (cells, cases); None: missing cases are not counted.
    """

    changes: Pairs | None
    paraphrase: Values
    rerun_noise: float
    applies: Flags | None = None


def common_baseline(rows: Rows, changes: Pairs | None, cells: pd.DataFrame, applies: Flags | None = None) -> Baseline:
    """Collect what the conditions of one (model, dataset), `cells`, have in common."""
    named = [(int(cell), base_name(str(name))) for cell, name in zip(cells.index, cells["condition"], strict=True)]
    paraphrase, rerun_noise = np.full(rows.subject_of_case.size, np.nan), np.nan
    if changes is not None:
        paraphrase = _per_case(rows, changes, [cell for cell, name in named if name == PARAPHRASE])
        repeats = [changes.effect[changes.of(cell)] for cell, name in named if name == RERUN]
        rerun_noise = float(repeats[0].mean()) if repeats and repeats[0].size else np.nan
    return Baseline(changes, paraphrase, rerun_noise, applies)


def gather(rows: Rows, baseline: Baseline, cell: int) -> Evidence:
    """Collect the evidence on one condition."""
    attribute = attribute_of(rows, cell)
    second_target = _second_target(rows, cell)
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
    if baseline.applies is None:
        return None, None
    applies = baseline.applies[cell]
    missing = missing_cases(rows, applies, changes.case)
    unpaired = missing_cases(rows, applies, changes.case[changes.paired])
    unmatched = unpaired if second_target is None else missing_cases(rows, applies, second_target.cases)
    share = max(
        missing.total, unpaired.total if changes.paired.any() else 0.0, unmatched.total if second_target else 0.0
    )
    if share == 0:
        return None, None
    cases = np.union1d(np.flatnonzero(applies), changes.case)
    subject = rows.subject_of_case[cases]
    paired = changes.case[changes.paired]
    excess = changes.change[changes.paired] - changes.paraphrase

    def whole(worst: float, *parts: tuple[Codes, Values]) -> Values:
        filled = np.full(rows.subject_of_case.size, worst)
        for at, values in parts:
            filled[at] = values
        return subject_means(filled[cases], subject)[1]

    empty = np.empty(0)
    selective = [] if second_target is None else [second_target.s_a, second_target.s_b]
    followed = (
        [with_worst(unmatched, second_target.subjects, v, -1.0) for v in selective] if second_target else [empty, empty]
    )
    return missing, Worst(
        share,
        # A paraphrase without a value changes the mask by anything between nothing and everything.
        whole(-1.0, (changes.case, changes.change - 1), (paired, excess)),
        whole(1.0, (changes.case, changes.change), (paired, excess)),
        whole(1.0, (changes.case, changes.change)),
        whole(0.0, (paired, changes.paraphrase)),
        *followed,
    )


def _second_target(rows: Rows, cell: int) -> Selectivity | None:
    """Return the selectivity that the condition's own rows show; None where they name no second target.

    What a mask does under `other:side` says nothing of what it does under `antonym:side`, so no condition borrows it.
    """
    name = base_name(str(rows.cells.at[cell, "condition"]))
    if name in ABSENT:
        return None
    stated = (rows.frame.loc[rows.cell == cell, "other_case_id"] != "").any()
    return selectivity(rows, cell) if name == "other" or stated else None


def _per_case(rows: Rows, changes: Pairs, cells: list[int]) -> Values:
    """Return the mean change per case over `cells`; NaN where a case has none."""
    total, count = np.zeros(rows.subject_of_case.size), np.zeros(rows.subject_of_case.size)
    for cell in cells:
        where = changes.of(int(cell))
        total[changes.case[where]] += changes.effect[where]
        count[changes.case[where]] += 1
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _reason(rows: Rows, cell: int) -> str:
    here = rows.frame[rows.cell == cell]
    reasons = [text for text in (*here["error"], *here["note"]) if text]
    return f"no case applies ({reasons[0]})" if reasons else "no case applies"
