"""What a table says about one prompt condition: the quantities that the verdict rules read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from robustness.metrics.intervals import Values
from robustness.metrics.pairing import Pairs, subject_means
from robustness.metrics.referents import Selectivity, selectivity
from robustness.metrics.rows import Codes, Rows
from robustness.results import PARAPHRASE, RERUN, parse_condition

CONTROLS = frozenset({"empty", "nonsense", "shuffled"})
ABSENT = frozenset({"wrong_class", "absent", "negation"})
SAME_MEANING = frozenset({PARAPHRASE, "synonym"})


@dataclass(frozen=True)
class Evidence:
    """Subject means of one condition; arrays are empty where nothing is known.

    Attributes:
        cell: code of the condition.
        attribute: which words it changes.
        subjects: codes of the subjects of `excess`.
        excess: R = C(condition) - mean C(paraphrases) per case, in [-1, 1].
        change: C(condition), over every case that has one, in [0, 1].
        wording: C(paraphrases), over the cases of `excess`.
        n_images: cases in `change`; n_paired: cases in `excess`.
        selectivity: towards a second referent, where one exists.
        floor: mean change between two identical runs, NaN where there is no rerun.
        reason: why nothing applies, where nothing does.
    """

    cell: int
    attribute: str
    subjects: Codes
    excess: Values
    change: Values
    wording: Values
    n_images: int
    n_paired: int
    selectivity: Selectivity | None
    floor: float
    reason: str


def base_name(condition: str) -> str:
    """Return a condition's perturbation, without attribute and severity."""
    return condition.partition("@")[0].partition(":")[0]


def prompt_cells(rows: Rows, cells: pd.DataFrame) -> list[int]:
    """Return the cells that carry a claim about the prompt.

    Every prompt condition but rewordings (`paraphrase`, `synonym`, surface changes that name no attribute and are
    expected to be harmless) and controls (`empty`, `nonsense`, `shuffled`, or expectation "control").
    """
    return [int(cell) for cell in cells.index[cells["family"] == "prompt"] if _is_claim(rows, int(cell))]


def _is_claim(rows: Rows, cell: int) -> bool:
    condition = str(rows.cells.at[cell, "condition"])
    stated = rows.frame.loc[rows.cell == cell, "expectation"]
    if base_name(condition) in SAME_MEANING | CONTROLS or (stated == "control").any():
        return False
    return not ((stated == "invariant").all() and not attribute_of(rows, cell))


def attribute_of(rows: Rows, cell: int) -> str:
    """Return the kind of words that a condition changes; "target" for an absent or wrong class, "" if unknown."""
    here = rows.frame[rows.cell == cell]
    stated = [a for a in here["attribute"].unique() if a]
    condition = str(rows.cells.at[cell, "condition"])
    if len(stated) == 1:
        return str(stated[0])
    known = parse_condition(condition).attribute
    if known or not (base_name(condition) in ABSENT or (here["expectation"] == "abstain").any()):
        return known
    return "target"


def gather(rows: Rows, changes: Pairs | None, cells: pd.DataFrame, cell: int) -> Evidence:
    """Collect the evidence on one condition of a (model, dataset), `cells` being that group's conditions."""
    attribute = attribute_of(rows, cell)
    referent = _referent(rows, cells, cell, attribute)
    empty = np.empty(0)
    if changes is None:
        reason = "the table has no mask_change column"
        return Evidence(cell, attribute, empty.astype(np.int64), empty, empty, empty, 0, 0, referent, np.nan, reason)
    where = changes.of(cell)
    case, subject, change = changes.case[where], changes.subject[where], changes.effect[where]
    floor = _per_case(rows, changes, [c for c in cells.index if base_name(cells.at[c, "condition"]) == PARAPHRASE])
    paired = np.isfinite(floor[case])
    wording = floor[case[paired]]
    subjects, excess = subject_means(change[paired] - wording, subject[paired])
    rerun = [changes.of(int(c)) for c in cells.index if cells.at[c, "condition"] == RERUN]
    repeated = changes.effect[rerun[0]] if rerun else empty
    return Evidence(
        cell, attribute, subjects, excess, subject_means(change, subject)[1],
        subject_means(wording, subject[paired])[1], case.size, int(paired.sum()), referent,
        float(repeated.mean()) if repeated.size else np.nan, _reason(rows, cell),
    )  # fmt: skip


def _referent(rows: Rows, cells: pd.DataFrame, cell: int, attribute: str) -> Selectivity | None:
    if base_name(str(cells.at[cell, "condition"])) in ABSENT or not attribute:
        return None
    for candidate in cells.index:
        is_other = base_name(str(cells.at[candidate, "condition"])) == "other"
        if is_other and attribute_of(rows, int(candidate)) == attribute:
            return selectivity(rows, int(candidate))
    return None


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
    said = [text for text in (*here["error"], *here["note"]) if text]
    return f"no case applies ({said[0]})" if said else "no case applies"
