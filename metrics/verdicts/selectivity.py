"""Target selectivity: whether the mask goes to the second target on the same image when the prompt asks for it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from robustness.metrics.inference.intervals import Values, t_interval
from robustness.metrics.pairing.coverage import Counts, Flags, count_rows
from robustness.metrics.pairing.pairs import paired_positions, subject_means
from robustness.metrics.pairing.rows import Codes, Rows, read_rows
from robustness.results import CLEAN, OTHER_OVERLAP

# Of the smaller of two targets, what may lie in the other: a part and its whole are no two places to go to.
TARGET_OVERLAP = 0.5
SHIFT_COLUMNS = (
    "model",
    "dataset",
    "condition",
    "targets",
    "n_images",
    "n_subjects",
    "s_a",
    "s_a_low",
    "s_a_high",
    "s_b",
    "s_b_low",
    "s_b_high",
    "level",
)


class LeftOut(NamedTuple):
    """Pairs of which more than the stated share of the smaller target lies in the other one: described, not judged.

    A part and its whole, as a rule. A mask that grows and shrinks leaves the one and reaches the other, so that a model
    which tells no part from another would seem to follow.

    Attributes:
        s_a, s_b: subject means over these pairs, as in `Selectivity`.
        n_texts: rows of every case of the table with such a pair, with a value or not.
        limit: the stated share.
    """

    s_a: Values
    s_b: Values
    n_texts: Counts
    limit: float

    @property
    def n_cases(self) -> int:
        """Cases with such a pair."""
        return int(np.count_nonzero(self.n_texts))


class Selectivity(NamedTuple):
    """Subject means of S_A = D(p_A, G_A) - D(p_B, G_A) and S_B = D(p_B, G_B) - D(p_A, G_B).

    Over the pairs of targets that lie apart. Both are exactly 0 for a model that does not look at its prompt.

    Attributes:
        cases: codes of the cases, sorted; of_case_a, of_case_b: their means (N,).
        n_texts: rows of every case of the table that have both Dice values and a paired clean row.
        left_out: the pairs of targets that overlap; None where there is none, or where it is not known.
    """

    s_a: Values
    s_b: Values
    n_images: int
    cases: Codes = np.empty(0, dtype=np.int64)
    of_case_a: Values = np.empty(0)
    of_case_b: Values = np.empty(0)
    n_texts: Counts = np.empty(0, dtype=np.int32)
    left_out: LeftOut | None = None


class Matched(NamedTuple):
    """Row numbers under prompt B and of the paired clean rows under prompt A."""

    other: Codes
    clean: Codes


def overlapping_rows(table: pd.DataFrame, limit: float) -> Flags:
    """Tell which rows have a second target that overlaps their own by more than `limit`; none where it is not known."""
    if OTHER_OVERLAP not in table.columns:
        return np.zeros(len(table), dtype=bool)
    overlap = pd.to_numeric(table[OTHER_OVERLAP], errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    return np.asarray(overlap > limit, dtype=bool)


def rows_with_second_target(table: pd.DataFrame, limit: float = 1.0) -> Flags:
    """Tell which rows name a second target of which at most `limit` of the smaller one overlaps; 1: any."""
    if "other_case_id" not in table.columns:
        return np.zeros(len(table), dtype=bool)
    named = (table["other_case_id"].fillna("") != "").to_numpy(dtype=bool)
    return np.asarray(named & ~overlapping_rows(table, limit), dtype=bool)


def second_target_pairs(rows: Rows, cell: int) -> Matched | None:
    """Return the rows of a cell with both Dice values, and the clean rows they pair with; None without such columns.

    They pair by case, `other_case_id` and prompt_index (0 where that text has no clean row).
    """
    if "dice_other" not in rows.frame.columns or "dice" not in rows.frame.columns:
        return None
    group = rows.cells["group"].to_numpy()
    finite = np.isfinite(rows.values("dice")) & np.isfinite(rows.values("dice_other"))
    in_group = (group == group[cell])[rows.cell] & finite
    clean = np.flatnonzero(in_group & (rows.cells["condition"] == CLEAN).to_numpy()[rows.cell])
    other = np.flatnonzero(in_group & (rows.cell == cell))
    position = paired_positions(rows, clean, other, _second_targets(rows, clean, other))
    return Matched(other[position >= 0], clean[position[position >= 0]])


def apart(rows: Rows, pairs: Matched, limit: float = TARGET_OVERLAP) -> Matched:
    """Return the pairs of rows whose two targets lie apart: at most `limit` of the smaller one in the other."""
    return _of(pairs, ~overlapping_rows(rows.frame, limit)[pairs.other])


def selectivity(rows: Rows, cell: int, *, limit: float = TARGET_OVERLAP) -> Selectivity | None:
    """Return the selectivity of one cell, `other:KIND` as a rule; None where its rows have no second target.

    Args:
        limit: largest share of the smaller of two targets that may lie in the other (column `other_overlap`).
    """
    pairs = second_target_pairs(rows, cell)
    if pairs is None:
        return None
    overlaps = overlapping_rows(rows.frame, limit)
    within = np.flatnonzero((rows.cell == cell) & overlaps & rows.applicable)
    if pairs.other.size + within.size == 0:
        return None
    left_out = None
    if within.size:
        *_, s_a, s_b = _shifts(rows, _of(pairs, overlaps[pairs.other]))
        left_out = LeftOut(s_a, s_b, count_rows(rows, within), limit)
    used = _of(pairs, ~overlaps[pairs.other])
    cases, of_case_a, of_case_b, s_a, s_b = _shifts(rows, used)
    return Selectivity(s_a, s_b, cases.size, cases, of_case_a, of_case_b, count_rows(rows, used.other), left_out)


def _of(pairs: Matched, chosen: Flags) -> Matched:
    return Matched(pairs.other[chosen], pairs.clean[chosen])


def _shifts(rows: Rows, pairs: Matched) -> tuple[Codes, Values, Values, Values, Values]:
    """Return the cases, their means of S_A and S_B, and the subjects' means."""
    own, second = rows.values("dice"), rows.values("dice_other")
    cases, position, count = np.unique(rows.case[pairs.other], return_inverse=True, return_counts=True)
    of_case_a, of_case_b = (
        np.bincount(position, weights=values, minlength=cases.size) / np.maximum(count, 1)
        for values in (own[pairs.clean] - own[pairs.other], second[pairs.other] - second[pairs.clean])
    )
    s_a, s_b = (subject_means(values, rows.subject_of_case[cases])[1] for values in (of_case_a, of_case_b))
    return cases, of_case_a, of_case_b, s_a, s_b


def _second_targets(rows: Rows, clean: Codes, other: Codes) -> Codes:
    """Return a code of the second target per row; all alike where one side does not state it."""
    names = rows.frame["other_case_id"]
    stated = (names != "").to_numpy(dtype=bool)
    if not stated[clean].any() or not stated[other].any():
        return np.zeros(len(names), dtype=np.int64)
    return np.asarray(pd.factorize(names)[0], dtype=np.int64)


def target_shifts(table: pd.DataFrame, *, alpha: float = 0.05, target_overlap: float = TARGET_OVERLAP) -> pd.DataFrame:
    """Return S_A and S_B of every condition with a second target, of targets apart and of those that overlap.

    Args:
        table: rows with `dice`, `dice_other` and `other_case_id`; without `other_overlap` every pair counts as apart.
        alpha: t intervals of `level` 1 - 2 alpha on subject means; NaN bounds with fewer than two subjects.
        target_overlap: largest share of the smaller of two targets that may lie in the other.

    Returns:
        Columns `SHIFT_COLUMNS`, one row per condition and kind of pair ("apart", "overlapping") that occurs.
    """
    rows, records, level = read_rows(table), [], 1 - 2 * alpha
    for cell in (int(c) for c in rows.cells.index[rows.cells["family"] == "prompt"]):
        pairs = second_target_pairs(rows, cell)
        if pairs is None or pairs.other.size == 0:
            continue
        overlaps = overlapping_rows(rows.frame, target_overlap)[pairs.other]
        for name, chosen in (("apart", ~overlaps), ("overlapping", overlaps)):
            if chosen.any():
                cases, _, _, s_a, s_b = _shifts(rows, _of(pairs, chosen))
                shifts = (*t_interval(s_a, level=level), *t_interval(s_b, level=level))
                key = tuple(rows.cells.loc[cell, ["model", "dataset", "condition"]])
                records.append((*key, name, cases.size, s_a.size, *shifts, level))
    return pd.DataFrame(records, columns=list(SHIFT_COLUMNS))
