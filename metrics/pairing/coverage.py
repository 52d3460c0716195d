"""Coverage: the cases that a condition applies to, and the subjects of whom it is not known."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from robustness.metrics.pairing.rows import Codes, Rows
from robustness.results import CLEAN, PARAPHRASE

Values = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


def applicable_cases(rows: Rows, *, keep: Flags | None = None) -> Flags:
    """Return, per cell and case, whether the condition applies to the case: (cells, cases).

    A case counts where it has a row that is not marked as not applicable, failed ones included. An image change and a
    paraphrase apply to every case that has a clean row, so a case without such a row counts as missing; every condition
    applies to a case that could not be read.

    Args:
        keep: rows that count, one bool per row; None: all.
    """
    n_cells, n_cases = len(rows.cells), rows.subject_of_case.size
    applies = np.zeros((n_cells, n_cases), dtype=bool)
    counted = rows.applicable if keep is None else rows.applicable & keep
    applies[rows.cell[counted], rows.case[counted]] = True
    stated = np.zeros((n_cells, n_cases), dtype=bool)
    stated[rows.cell, rows.case] = True
    condition, family = rows.cells["condition"].to_numpy(), rows.cells["family"].to_numpy()
    group = rows.cells["group"].to_numpy()
    unusable = np.bincount(rows.case[rows.usable], minlength=n_cases) == 0
    for clean in np.flatnonzero(condition == CLEAN):
        for cell in np.flatnonzero((group == group[clean]) & (condition != CLEAN)):
            whole = family[cell] == "image" or condition[cell] == PARAPHRASE
            applies[cell] |= applies[clean] & ~stated[cell] & (whole | unusable)
    return applies


class Missing(NamedTuple):
    """What is not known of one condition.

    Attributes:
        subjects: codes of every subject that the condition applies to (N,).
        share: of each one's cases that have no value, 0 to 1 (N,).
        n_images: cases without a value.
    """

    subjects: Codes
    share: Values
    n_images: int

    @property
    def n_subjects(self) -> int:
        """N, the subjects that the condition applies to, with a value or not."""
        return int(self.subjects.size)

    @property
    def total(self) -> float:
        """Mean share over subjects; 0 where the condition applies to nobody."""
        return float(self.share.mean()) if self.share.size else 0.0


def missing_cases(rows: Rows, applies: Flags, present: Codes) -> Missing:
    """Return what is missing of one condition.

    Args:
        applies: one bool per case.
        present: codes of the cases with a value.
    """
    state = applies.astype(np.int8)
    state[present] = 2
    cases = np.flatnonzero(state)
    subjects, place, count = np.unique(rows.subject_of_case[cases], return_inverse=True, return_counts=True)
    absent = state[cases] == 1
    n_images = int(absent.sum())
    share = np.bincount(place, weights=absent, minlength=subjects.size) / count if n_images else np.zeros(subjects.size)
    return Missing(subjects, share, n_images)


def with_worst(missing: Missing, subjects: Codes, values: Values, worst: float | Values) -> Values:
    """Return one mean per subject, what is missing counted as `worst`: (1 - share) value + share worst.

    Args:
        subjects, values: the subjects with a value, sorted, and their means.
        worst: one number, or one per subject of `missing`.
    """
    full = np.zeros(missing.subjects.size)
    full[np.searchsorted(missing.subjects, subjects)] = values
    filled = missing.share > 0
    added = np.where(filled, missing.share * np.where(filled, worst, 0.0), 0.0)
    return (1 - missing.share) * full + added
