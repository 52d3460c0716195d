"""Each condition beside the clean prediction of the same case and text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from robustness.errors import InputError, counted, verb
from robustness.metrics.inference.clustering import groups
from robustness.metrics.inference.intervals import Values
from robustness.metrics.pairing.rows import Codes, Rows
from robustness.results import CLEAN, PARAPHRASE

Counts = npt.NDArray[np.int32]
Orientation = Literal["clean - perturbed", "perturbed - clean", "itself"]


@dataclass(frozen=True)
class Pairs:
    """Means over the texts of a case: parallel arrays, one element per (cell, case), sorted.

    Attributes:
        cell, case, subject: codes.
        clean, perturbed, effect: means; `effect` is oriented.
        flagged: rows of each cell that are not applicable, failed, undefined or without a paired clean row.
        n_texts: rows behind each element.
    """

    cell: Codes
    case: Codes
    subject: Codes
    clean: Values
    perturbed: Values
    effect: Values
    flagged: Codes
    n_texts: Codes

    def of(self, cell: int) -> slice:
        """Return where a cell's elements lie."""
        return slice(*np.searchsorted(self.cell, [cell, cell + 1]))

    def n_texts_of(self, cell: int, n_cases: int) -> Counts:
        """Return how many values a cell has of every case."""
        where, counted = self.of(cell), np.zeros(n_cases, dtype=np.int32)
        counted[self.case[where]] = self.n_texts[where]
        return counted


def pair(rows: Rows, metric: str, orientation: Orientation, *, keep: npt.NDArray[np.bool_] | None = None) -> Pairs:
    """Pair every row that is not clean with its paired clean row and average texts within case.

    The paired row has the same model, dataset, split, case and prompt_index; where no such clean row exists, and for
    paraphrases (of a changed image too), it is the clean row with prompt_index 0. Clean rows that repeat count once.
    A clean row that failed leaves its rows unpaired. With orientation "itself" the metric is its own effect
    (mask_change) and no pair is needed.

    Args:
        keep: rows to consider besides the clean ones; None: all.

    Raises:
        InputError: a case has two clean values of one text.
    """
    refuse_contradictions(rows, metric)
    values = rows.values(metric)
    condition = rows.cells["condition"].to_numpy()
    is_clean = (condition == CLEAN)[rows.cell]
    other = np.flatnonzero(~is_clean if keep is None else ~is_clean & keep)
    if orientation == "itself":
        clean = np.zeros(other.size)
    else:
        clean = _paired_values(rows, values, is_clean, other, _is_paraphrase(condition)[rows.cell[other]])
    defined = np.isfinite(values[other]) & np.isfinite(clean)
    flagged = np.bincount(rows.cell[other[~defined]], minlength=len(rows.cells))
    return _average(rows, other[defined], clean[defined], values[other[defined]], orientation, flagged)


def _is_paraphrase(conditions: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Tell which conditions hold paraphrases, alone or on a changed image."""
    return np.array([str(name).rpartition("+")[2] == PARAPHRASE for name in conditions], dtype=bool)


def _paired_values(
    rows: Rows, values: Values, is_clean: npt.NDArray[np.bool_], other: Codes, first_text: npt.NDArray[np.bool_]
) -> Values:
    # A failed text is not replaced by another one: its rows are flagged. Of repeated rows a usable one comes first.
    clean = np.concatenate([np.flatnonzero(is_clean & rows.usable), np.flatnonzero(is_clean & ~rows.usable)])
    position = paired_positions(rows, clean, other, np.zeros_like(rows.case), first_text)
    paired = np.full(other.size, np.nan)
    paired[position >= 0] = values[clean[position[position >= 0]]]
    return paired


def refuse_contradictions(rows: Rows, metric: str) -> None:
    """Raise InputError where a case has two clean values of one text: its effect would depend on the order of rows."""
    values = rows.values(metric)
    is_clean = (rows.cells["condition"].to_numpy() == CLEAN)[rows.cell]
    clean = np.flatnonzero(is_clean & np.isfinite(values))
    key = rows.case[clean] * (int(rows.prompt_index.max(initial=0)) + 1) + rows.prompt_index[clean]
    _, first, position = np.unique(key, return_index=True, return_inverse=True)
    apart = np.abs(values[clean] - values[clean[first[position]]])
    wrong = np.flatnonzero(apart > 1e-6 * np.maximum(1.0, np.abs(values[clean])))
    if wrong.size:
        one, two = values[clean[first[position[wrong[0]]]]], values[clean[wrong[0]]]
        case = rows.frame["case_id"].iloc[int(clean[wrong[0]])]
        raise InputError(
            f"table: expected one clean {metric} per case and text, case {case!r} has {one:.6g} and {two:.6g}"
            f" ({counted(wrong.size, 'row')} {verb(wrong.size, 'contradict')} the first); keep"
            " one of them, or give the texts a prompt_index"
        )


def paired_positions(
    rows: Rows, clean: Codes, other: Codes, extra: Codes, first_text: npt.NDArray[np.bool_] | None = None
) -> Codes:
    """Return, for each row of `other`, the position in `clean` of its paired row; -1 where it has none.

    Args:
        clean: row numbers; of rows with equal keys the first counts.
        other: row numbers.
        extra: a code per row of the table that must agree too.
        first_text: which of `other` pair with prompt_index 0 whatever their own is; None: none.
    """
    width = int(rows.prompt_index.max(initial=0)) + 1
    base = (rows.case * (int(extra.max(initial=0)) + 1) + extra) * width
    text = rows.prompt_index[other] if first_text is None else np.where(first_text, 0, rows.prompt_index[other])
    keys, first = np.unique(base[clean] + rows.prompt_index[clean], return_index=True)
    position = _position(keys, base[other] + text)
    position = np.where(position < 0, _position(keys, base[other]), position)
    return np.where(position >= 0, first[position], -1) if first.size else position


def _position(keys: Codes, targets: Codes) -> Codes:
    """Return the position of each targets key in the sorted keys; -1 where it is absent."""
    if keys.size == 0:
        return np.full(targets.size, -1)
    position = np.minimum(np.searchsorted(keys, targets), keys.size - 1)
    return np.where(keys[position] == targets, position, -1)


def _average(
    rows: Rows, used: Codes, clean: Values, perturbed: Values, orientation: Orientation, flagged: Codes
) -> Pairs:
    n_cases = max(1, rows.subject_of_case.size)
    keys, position, count = groups(rows.cell[used] * n_cases + rows.case[used])
    sign = -1.0 if orientation == "clean - perturbed" else 1.0

    def mean(values: Values) -> Values:
        means: Values = np.bincount(position, weights=values, minlength=keys.size) / count
        return means

    case = keys % n_cases
    return Pairs(
        keys // n_cases,
        case,
        rows.subject_of_case[case],
        mean(clean),
        mean(perturbed),
        mean(sign * (perturbed - clean)),
        flagged,
        count,
    )


def subject_means(values: Values, subject: Codes) -> tuple[Codes, Values]:
    """Return the subjects, sorted, and the mean of each one's images."""
    subjects, position, count = groups(subject)
    return subjects, np.bincount(position, weights=values, minlength=subjects.size) / np.maximum(count, 1)


def subject_values(rows: Rows, where: Codes, values: Values) -> tuple[Codes, Values, int]:
    """Return the subjects, each one's mean, and the number of cases: texts averaged within case, cases within subject.

    Args:
        where: row numbers.
        values: one per row of `where`.
    """
    cases, at, count = groups(rows.case[where])
    means = np.bincount(at, weights=values, minlength=cases.size) / np.maximum(count, 1)
    subjects, means_of_subjects = subject_means(means, rows.subject_of_case[cases])
    return subjects, means_of_subjects, cases.size


def with_clean(rows: Rows, cell: int) -> tuple[Codes, Codes]:
    """Return the usable rows of a condition that have a paired clean row, and the numbers of those."""
    clean = np.flatnonzero((rows.cells["condition"] == CLEAN).to_numpy()[rows.cell] & rows.usable)
    other = np.flatnonzero((rows.cell == cell) & rows.usable)
    first_text = np.full(other.size, bool(_is_paraphrase(rows.cells.loc[[cell], "condition"].to_numpy())[0]))
    position = paired_positions(rows, clean, other, np.zeros_like(rows.case), first_text)
    return other[position >= 0], clean[position[position >= 0]]


def subject_matrix(columns: Sequence[tuple[Codes, Values]]) -> Values:
    """Return (subjects, columns), NaN where a subject has no value for a column."""
    everyone = np.unique(np.concatenate([subjects for subjects, _ in columns])) if columns else np.empty(0, np.int64)
    matrix = np.full((everyone.size, len(columns)), np.nan)
    for i, (subjects, values) in enumerate(columns):
        matrix[np.searchsorted(everyone, subjects), i] = values
    return matrix
