"""Coverage: the cases that a condition applies to, and how much of each is not known."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from robustness.metrics.inference.clustering import groups
from robustness.metrics.pairing.rows import Codes, Rows
from robustness.results import CLEAN, PARAPHRASE

Values = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int32]


def applicable_rows(rows: Rows, *, keep: Flags | None = None) -> Counts:
    """Return, per cell and case, how many values the condition should have of the case: (cells, cases).

    A row counts where it is not marked as not applicable, failed ones included; several rows of a case are its texts.
    An image change and a paraphrase apply to every case that has a clean row, so a case without such a row lacks one
    value; every condition applies to a case that could not be read.

    Args:
        keep: rows that count, one bool per row; None: all.
    """
    n_cells, n_cases = len(rows.cells), rows.subject_of_case.size
    counted = rows.applicable if keep is None else rows.applicable & keep
    position = rows.cell * max(1, n_cases) + rows.case
    expected = np.bincount(position[counted], minlength=n_cells * n_cases).astype(np.int32).reshape(n_cells, n_cases)
    stated = np.zeros((n_cells, n_cases), dtype=bool)
    stated[rows.cell, rows.case] = True
    condition, family = rows.cells["condition"].to_numpy(), rows.cells["family"].to_numpy()
    group = rows.cells["group"].to_numpy()
    unusable = np.bincount(rows.case[rows.usable], minlength=n_cases) == 0
    for clean in np.flatnonzero(condition == CLEAN):
        for cell in np.flatnonzero((group == group[clean]) & (condition != CLEAN)):
            whole = family[cell] == "image" or condition[cell] == PARAPHRASE
            expected[cell] += (expected[clean] > 0) & ~stated[cell] & (whole | unusable)
    return expected


def count_rows(rows: Rows, where: Codes) -> Counts:
    """Return how many of the rows with these numbers every case has."""
    return np.bincount(rows.case[where], minlength=rows.subject_of_case.size).astype(np.int32)


class Missing(NamedTuple):
    """What is not known of one condition.

    Attributes:
        subjects: codes of every subject that the condition applies to (N,).
        share: of each one's values that are missing, 0 to 1 (N,): the mean over its cases.
        n_images: cases that lack a value of at least one text.
        cases: codes of every case that the condition applies to, sorted (C,).
        lost: share of each case's values that is missing (C,).
        owner: position of each case's subject in `subjects` (C,).
    """

    subjects: Codes
    share: Values
    n_images: int
    cases: Codes
    lost: Values
    owner: Codes

    @property
    def n_subjects(self) -> int:
        """N, the subjects that the condition applies to, with a value or not."""
        return int(self.subjects.size)

    @property
    def total(self) -> float:
        """Mean share over subjects; 0 where the condition applies to nobody."""
        return float(self.share.mean()) if self.share.size else 0.0


def lost_certificate(missing: Missing | None) -> str:
    """Return why a claim with few missing cases is not certified."""
    n = 0 if missing is None else missing.n_images
    cases = (
        f"{n} case{' is' if n == 1 else 's are'} missing" if n else "a few paraphrases or second targets are missing"
    )
    return f"{cases}, and no certificate holds with what is missing counted as the worst value"


def lost_shares(expected: Counts, present: Counts) -> Values:
    """Return the share of each case's values that is missing; NaN where the condition does not apply."""
    values = np.maximum(expected, present)
    lost: Values = np.where(values > 0, 1.0 - present / np.maximum(values, 1), np.nan)
    return lost


def missing_of(rows: Rows, lost: Values) -> Missing:
    """Return what is missing of one condition.

    Args:
        lost: one share per case, NaN where the condition does not apply (`lost_shares`).
    """
    cases = np.flatnonzero(np.isfinite(lost))
    subjects, owner, count = groups(rows.subject_of_case[cases])
    own = lost[cases]
    share = np.bincount(owner, weights=own, minlength=subjects.size) / np.maximum(count, 1)
    return Missing(subjects, share, int((own > 0).sum()), cases, own, owner)


def with_worst(missing: Missing, cases: Codes, values: Values, worst: float) -> Values:
    """Return one mean per subject, what is missing counted as `worst`: (1 - lost) value + lost worst in every case.

    Args:
        cases, values: the cases with a value, sorted, and their means over the texts that have one.
    """
    full = np.zeros(missing.cases.size)
    full[np.searchsorted(missing.cases, cases)] = values
    # A worst value without end must not reach the cases that lack nothing.
    lost = missing.lost > 0
    filled = (1 - missing.lost) * full + np.where(lost, missing.lost * np.where(lost, worst, 0.0), 0.0)
    count = np.bincount(missing.owner, minlength=missing.subjects.size)
    means: Values = np.bincount(missing.owner, weights=filled, minlength=missing.subjects.size) / np.maximum(count, 1)
    return means
