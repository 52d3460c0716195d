"""Does the mask go where another prompt points: selectivity towards two referents on one image."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from robustness.metrics.intervals import Values
from robustness.metrics.pairing import subject_means, twin_positions
from robustness.metrics.rows import Codes, Rows
from robustness.results import CLEAN


class Selectivity(NamedTuple):
    """Subject means of S_A = D(p_A, G_A) - D(p_B, G_A) and S_B = D(p_B, G_B) - D(p_A, G_B).

    Both are exactly 0 for a model that does not look at its prompt.
    """

    s_a: Values
    s_b: Values
    n_images: int


def selectivity(rows: Rows, cell: int) -> Selectivity | None:
    """Return the selectivity of one cell, `other:KIND` as a rule; None where its rows have no second referent.

    Clean rows and the cell's rows pair by case, `other_case_id` and prompt_index (0 where that text has no clean row).
    """
    if "dice_other" not in rows.frame.columns or "dice" not in rows.frame.columns:
        return None
    own, second = rows.values("dice"), rows.values("dice_other")
    group = rows.cells["group"].to_numpy()
    in_group = (group == group[cell])[rows.cell] & np.isfinite(own) & np.isfinite(second)
    clean = np.flatnonzero(in_group & (rows.cells["condition"] == CLEAN).to_numpy()[rows.cell])
    other = np.flatnonzero(in_group & (rows.cell == cell))
    referent = _referents(rows, clean, other)
    place = twin_positions(rows, clean, other, referent)
    clean, other = clean[place[place >= 0]], other[place >= 0]
    if other.size == 0:
        return None
    cases, at, count = np.unique(rows.case[other], return_inverse=True, return_counts=True)
    subject = rows.subject_of_case[cases]
    s_a = np.bincount(at, weights=own[clean] - own[other]) / count
    s_b = np.bincount(at, weights=second[other] - second[clean]) / count
    return Selectivity(subject_means(s_a, subject)[1], subject_means(s_b, subject)[1], cases.size)


def _referents(rows: Rows, clean: Codes, other: Codes) -> Codes:
    """Return a code of the second referent per row; all alike where one side does not state it."""
    names = rows.frame["other_case_id"]
    stated = (names != "").to_numpy(dtype=bool)
    if not stated[clean].any() or not stated[other].any():
        return np.zeros(len(names), dtype=np.int64)
    return np.asarray(pd.factorize(names)[0], dtype=np.int64)
