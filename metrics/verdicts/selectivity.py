"""Target selectivity: whether the mask goes to the second target on the same image when the prompt asks for it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from robustness.metrics.inference.intervals import Values
from robustness.metrics.pairing.coverage import Counts, count_rows
from robustness.metrics.pairing.pairs import paired_positions, subject_means
from robustness.metrics.pairing.rows import Codes, Rows
from robustness.results import CLEAN


class Selectivity(NamedTuple):
    """Subject means of S_A = D(p_A, G_A) - D(p_B, G_A) and S_B = D(p_B, G_B) - D(p_A, G_B).

    Both are exactly 0 for a model that does not look at its prompt.

    Attributes:
        cases: codes of the cases, sorted; of_case_a, of_case_b: their means (N,).
        n_texts: rows of every case of the table that have both Dice values and a paired clean row.
    """

    s_a: Values
    s_b: Values
    n_images: int
    cases: Codes = np.empty(0, dtype=np.int64)
    of_case_a: Values = np.empty(0)
    of_case_b: Values = np.empty(0)
    n_texts: Counts = np.empty(0, dtype=np.int32)


class Matched(NamedTuple):
    """Row numbers under prompt B and of the paired clean rows under prompt A."""

    other: Codes
    clean: Codes


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
    place = paired_positions(rows, clean, other, _second_targets(rows, clean, other))
    return Matched(other[place >= 0], clean[place[place >= 0]])


def selectivity(rows: Rows, cell: int) -> Selectivity | None:
    """Return the selectivity of one cell, `other:KIND` as a rule; None where its rows have no second target."""
    pairs = second_target_pairs(rows, cell)
    if pairs is None or pairs.other.size == 0:
        return None
    own, second = rows.values("dice"), rows.values("dice_other")
    cases, place, count = np.unique(rows.case[pairs.other], return_inverse=True, return_counts=True)
    of_case_a, of_case_b = (
        np.bincount(place, weights=values, minlength=cases.size) / count
        for values in (own[pairs.clean] - own[pairs.other], second[pairs.other] - second[pairs.clean])
    )
    s_a, s_b = (subject_means(values, rows.subject_of_case[cases])[1] for values in (of_case_a, of_case_b))
    return Selectivity(s_a, s_b, cases.size, cases, of_case_a, of_case_b, count_rows(rows, pairs.other))


def _second_targets(rows: Rows, clean: Codes, other: Codes) -> Codes:
    """Return a code of the second target per row; all alike where one side does not state it."""
    names = rows.frame["other_case_id"]
    stated = (names != "").to_numpy(dtype=bool)
    if not stated[clean].any() or not stated[other].any():
        return np.zeros(len(names), dtype=np.int64)
    return np.asarray(pd.factorize(names)[0], dtype=np.int64)
