"""Target selectivity: whether the mask goes to the second target on the same image when the prompt asks for it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from robustness.metrics.inference.intervals import Values
from robustness.metrics.pairing.pairs import paired_positions, subject_values
from robustness.metrics.pairing.rows import Codes, Rows
from robustness.results import CLEAN


class Selectivity(NamedTuple):
    """Subject means of S_A = D(p_A, G_A) - D(p_B, G_A) and S_B = D(p_B, G_B) - D(p_A, G_B).

    Both are exactly 0 for a model that does not look at its prompt. `subjects`, `cases`: codes of both.
    """

    s_a: Values
    s_b: Values
    n_images: int
    subjects: Codes = np.empty(0, dtype=np.int64)
    cases: Codes = np.empty(0, dtype=np.int64)


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
    subjects, s_a, n_images = subject_values(rows, pairs.other, own[pairs.clean] - own[pairs.other])
    _, s_b, _ = subject_values(rows, pairs.other, second[pairs.other] - second[pairs.clean])
    return Selectivity(s_a, s_b, n_images, subjects, np.unique(rows.case[pairs.other]))


def _second_targets(rows: Rows, clean: Codes, other: Codes) -> Codes:
    """Return a code of the second target per row; all alike where one side does not state it."""
    names = rows.frame["other_case_id"]
    stated = (names != "").to_numpy(dtype=bool)
    if not stated[clean].any() or not stated[other].any():
        return np.zeros(len(names), dtype=np.int64)
    return np.asarray(pd.factorize(names)[0], dtype=np.int64)
