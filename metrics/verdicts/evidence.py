"""What a table says about one prompt condition: the quantities that the verdict rules read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from robustness.metrics.inference.intervals import Values
from robustness.metrics.pairing.pairs import Pairs, subject_means
from robustness.metrics.pairing.rows import Codes, Rows
from robustness.metrics.verdicts.referents import Selectivity, selectivity
from robustness.results import PARAPHRASE, RERUN, parse_condition

CONTROLS = frozenset({"empty", "nonsense", "shuffled"})
ABSENT = frozenset({"wrong_class", "absent", "negation"})
SAME_MEANING = frozenset({PARAPHRASE, "synonym"})
# Chosen by looking at the scores, so no test of them is valid.
SEARCHED = frozenset({"worst_case"})


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
        selectivity: towards a second referent, where the condition's own rows name one.
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
    known = parse_condition(condition).attribute
    if known or not (base_name(condition) in ABSENT or (here["expectation"] == "abstain").any()):
        return known
    return "target"


@dataclass(frozen=True)
class Background:
    """What all conditions of one (model, dataset) are held against.

    Attributes:
        changes: mask changes of every condition; None where the table has none.
        wording: mean change by rewording per case, NaN where a case has no paraphrase.
        floor: mean change between two identical runs, NaN where there is no rerun.
    """

    changes: Pairs | None
    wording: Values
    floor: float


def background(rows: Rows, changes: Pairs | None, cells: pd.DataFrame) -> Background:
    """Collect what the conditions of one (model, dataset), `cells`, have in common."""
    named = [(int(cell), base_name(str(name))) for cell, name in zip(cells.index, cells["condition"], strict=True)]
    wording, floor = np.full(rows.subject_of_case.size, np.nan), np.nan
    if changes is not None:
        wording = _per_case(rows, changes, [cell for cell, name in named if name == PARAPHRASE])
        repeats = [changes.effect[changes.of(cell)] for cell, name in named if name == RERUN]
        floor = float(repeats[0].mean()) if repeats and repeats[0].size else np.nan
    return Background(changes, wording, floor)


def gather(rows: Rows, behind: Background, cell: int) -> Evidence:
    """Collect the evidence on one condition."""
    attribute = attribute_of(rows, cell)
    referent = _referent(rows, cell)
    empty = np.empty(0)
    if behind.changes is None:
        reason = "the table has no mask_change column"
        return Evidence(cell, attribute, np.empty(0, np.int64), empty, empty, empty, 0, 0, referent, np.nan, reason)
    where = behind.changes.of(cell)
    case, subject = behind.changes.case[where], behind.changes.subject[where]
    change = behind.changes.effect[where]
    paired = np.isfinite(behind.wording[case])
    wording = behind.wording[case[paired]]
    subjects, excess = subject_means(change[paired] - wording, subject[paired])
    return Evidence(
        cell,
        attribute,
        subjects,
        excess,
        subject_means(change, subject)[1],
        subject_means(wording, subject[paired])[1],
        case.size,
        int(paired.sum()),
        referent,
        behind.floor,
        "" if case.size else _reason(rows, cell),
    )


def _referent(rows: Rows, cell: int) -> Selectivity | None:
    """Return the selectivity that the condition's own rows show; None where they name no second referent.

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
    said = [text for text in (*here["error"], *here["note"]) if text]
    return f"no case applies ({said[0]})" if said else "no case applies"
