"""Contrasts that gates judge: one value per subject for each condition, model and dataset, with its cases."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from robustness.errors import InputError, suggest
from robustness.metrics.pairing.coverage import Missing, applicable_rows, count_rows, lost_shares, missing_of
from robustness.metrics.pairing.pairs import Orientation, pair, subject_means, subject_values
from robustness.metrics.pairing.rows import Codes, Rows
from robustness.results import CLEAN

Values = npt.NDArray[np.float64]


class Contrast(NamedTuple):
    """One condition of one (model, dataset), or of one group of its cases.

    Attributes:
        group: value of the grouping column; "" without one.
        clean, changed, effect: one mean per subject (K,); `effect` is oriented as asked for.
        cases, case_effects: names of the cases and one value each (N,).
        n_flagged: rows that could not be used.
        subjects: codes of the subjects behind `effect`.
        missing: what is not known of the cases that the condition applies to; None: not counted, or nothing.
        case_codes, case_clean, case_changed: codes of the cases, and the means behind `case_effects` (N,).
    """

    model: str
    dataset: str
    condition: str
    group: str
    clean: Values
    changed: Values
    effect: Values
    cases: tuple[str, ...]
    case_effects: Values
    n_flagged: int
    subjects: Codes = np.empty(0, dtype=np.int64)
    missing: Missing | None = None
    case_codes: Codes = np.empty(0, dtype=np.int64)
    case_clean: Values = np.empty(0)
    case_changed: Values = np.empty(0)

    @property
    def n_subjects(self) -> int:
        """K, the number of subjects with a value."""
        return int(self.effect.size)

    @property
    def n_images(self) -> int:
        """N, the number of cases with a value."""
        return int(self.case_effects.size)


def contrasts(rows: Rows, metric: str, orientation: Orientation, *, by: str = "") -> list[Contrast]:
    """Return every condition but clean against clean, paired as in `robustness.metrics.analyses.effects`.

    Args:
        by: a column with one value per case: each of its values is a contrast of its own.

    Raises:
        InputError: no such column, or a case with two values of `by`.
    """
    pairs = pair(rows, metric, orientation)
    grouping, expected = _Grouping(rows, by), applicable_rows(rows)
    cells = []
    for cell in rows.cells.index[rows.cells["condition"] != CLEAN]:
        where = pairs.of(int(cell))
        lost = lost_shares(expected[int(cell)], pairs.n_texts_of(int(cell), rows.subject_of_case.size))
        for group, mine in grouping.split(pairs.case[where], int(cell)):
            subject, cases = pairs.subject[where][mine], pairs.case[where][mine]
            clean, changed, effect = (
                subject_means(v[where][mine], subject)[1] for v in (pairs.clean, pairs.perturbed, pairs.effect)
            )
            cells.append(
                Contrast(
                    *_key(rows, int(cell)),
                    group,
                    clean,
                    changed,
                    effect,
                    grouping.names(cases),
                    pairs.effect[where][mine],
                    int(pairs.flagged[int(cell)]),
                    np.unique(subject),
                    _missing(rows, grouping.within(lost, group)),
                    cases,
                    pairs.clean[where][mine],
                    pairs.perturbed[where][mine],
                )
            )
    return cells


def scores(rows: Rows, metric: str, *, by: str = "") -> list[Contrast]:
    """Return the plain scores of every condition, clean included, as contrasts whose effect is the score itself."""
    values = rows.values(metric)
    grouping, expected = _Grouping(rows, by), applicable_rows(rows)
    cells = []
    for cell in rows.cells.index:
        inside = np.flatnonzero(rows.cell == cell)
        used = inside[np.isfinite(values[inside])]
        lost = lost_shares(expected[int(cell)], count_rows(rows, used))
        for group, mine in grouping.split(rows.case[used], int(cell)):
            chosen = used[mine]
            subjects, means, _ = subject_values(rows, chosen, values[chosen])
            cases, index, count = np.unique(rows.case[chosen], return_inverse=True, return_counts=True)
            of_case = np.bincount(index, weights=values[chosen], minlength=cases.size) / np.maximum(count, 1)
            names, flagged = grouping.names(cases), inside.size - used.size
            missing = _missing(rows, grouping.within(lost, group))
            key = _key(rows, int(cell))
            of_cases = (cases, of_case, of_case)
            cells.append(
                Contrast(*key, group, means, means, means, names, of_case, flagged, subjects, missing, *of_cases)
            )
    return cells


def _missing(rows: Rows, lost: Values) -> Missing | None:
    missing = missing_of(rows, lost)
    return missing if missing.n_images else None


def _key(rows: Rows, cell: int) -> tuple[str, str, str]:
    row = rows.cells.loc[cell]
    return str(row["model"]), str(row["dataset"]), str(row["condition"])


class _Grouping:
    """The name and the group of every case."""

    def __init__(self, rows: Rows, by: str) -> None:
        first = np.unique(rows.case, return_index=True)[1]
        self._case_ids = rows.frame["case_id"].to_numpy()[first]
        self._groups = _groups(rows, by, first) if by else None
        stated = rows.frame.get("applicable")
        every = np.ones(rows.case.size, dtype=bool)
        self._rows, self._applicable = rows, every if stated is None else stated.fillna(True).to_numpy(dtype=bool)

    def names(self, cases: Codes) -> tuple[str, ...]:
        return tuple(str(name) for name in self._case_ids[cases])

    def within(self, lost: Values, group: str) -> Values:
        """Return what is missing of the cases of one group; NaN for all others."""
        return lost if self._groups is None else np.where(self._groups == group, lost, np.nan)

    def split(self, cases: Codes, cell: int) -> list[tuple[str, Codes]]:
        """Return each group that a cell applies to, with the positions of its members among `cases`.

        A group of which no case has a value is there and has no members. Without a column: one nameless group.
        """
        if self._groups is None:
            return [("", np.arange(cases.size))]
        of_case = self._groups[cases]
        applies = np.unique(self._rows.case[(self._rows.cell == cell) & self._applicable])
        return [(str(name), np.flatnonzero(of_case == name)) for name in sorted(set(self._groups[applies]))]


def _groups(rows: Rows, by: str, first: Codes) -> npt.NDArray[np.object_]:
    if by not in rows.frame.columns:
        columns = [str(c) for c in rows.frame.columns]
        near = suggest(by, columns) or "; a column of the data is one of the results where [data] groups names it"
        raise InputError(f"subgroup: the table has no column {by!r}{near}")
    stated = rows.frame[by]
    text = stated.where(stated.notna(), "").astype("str").to_numpy(dtype=object)
    of_case: npt.NDArray[np.object_] = text[first]
    wrong = np.flatnonzero(of_case[rows.case] != text)
    if wrong.size:
        case = rows.frame["case_id"].iloc[int(wrong[0])]
        raise InputError(f"subgroup: expected one {by} per case, case {case!r} has several; choose another column")
    return of_case
