"""A results table, from a run or from elsewhere, read into the form that the statistics need."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from robustness.errors import InputError, suggest
from robustness.results import parse_condition

Codes = npt.NDArray[np.int64]

_TEXT = ("model", "dataset", "split", "attribute", "expectation", "other_case_id", "note", "error")
_FALSE = {"false", "0", "no", "0.0"}


@dataclass(frozen=True)
class Rows:
    """A results table with integer codes in place of its keys.

    Attributes:
        frame: the table, the optional columns filled in.
        cell: code of each row's (model, dataset, condition), sorted by name.
        cells: one row per cell: model, dataset, condition, family, group (code of model and dataset).
        case: code of each row's (model, dataset, split, case_id).
        subject_of_case: subject code of every case.
        prompt_index: of each row.
        usable: rows that are applicable and without error.
        subject_is_case: whether no subject was known at all.
    """

    frame: pd.DataFrame
    cell: Codes
    cells: pd.DataFrame
    case: Codes
    subject_of_case: Codes
    prompt_index: Codes
    usable: npt.NDArray[np.bool_]
    subject_is_case: bool

    def values(self, column: str) -> npt.NDArray[np.float64]:
        """Return a column as floats; what is not usable or not finite is NaN.

        Raises:
            InputError: the table has no such column.
        """
        if column not in self.frame.columns:
            columns = [str(c) for c in self.frame.columns]
            raise InputError(f"metric: the table has no column {column!r}{suggest(column, columns)}")
        numbers = pd.to_numeric(self.frame[column], errors="coerce").to_numpy(dtype=float, na_value=np.nan)
        return np.where(self.usable & np.isfinite(numbers), numbers, np.nan)


def read_rows(table: pd.DataFrame) -> Rows:
    """Check a table and code its keys.

    A missing subject is the case's subject in other rows, else the case itself, with a warning; no row is dropped.

    Raises:
        InputError: `case_id` or `condition` is missing, or one case has two subjects.
    """
    for name in ("case_id", "condition"):
        if name not in table.columns:
            raise InputError(f"table: expected a column {name!r}, got {', '.join(map(str, table.columns)) or 'none'}")
        if table[name].isna().any():
            raise InputError(f"table: expected a {name} in every row, {int(table[name].isna().sum())} are missing")
    frame = table.reset_index(drop=True)
    for name in (*_TEXT, "case_id", "condition"):
        frame[name] = _text(frame, name)
    case, _ = codes(frame, ["model", "dataset", "split", "case_id"])
    cell, cells = codes(frame, ["model", "dataset", "condition"])
    subject_of_case, subject_is_case = _subjects(frame, case)
    return Rows(
        frame,
        cell,
        _describe(frame, cell, cells),
        case,
        subject_of_case,
        _prompt_index(frame),
        _usable(frame),
        subject_is_case,
    )


def codes(frame: pd.DataFrame, columns: list[str]) -> tuple[Codes, pd.DataFrame]:
    """Return one code per row for the combination of `columns`, in sorted order, and the combinations."""
    combined = np.zeros(len(frame), dtype=np.int64)
    for name in columns:
        code, uniques = pd.factorize(frame[name], sort=True)
        _, combined = np.unique(combined * max(1, len(uniques)) + code, return_inverse=True)
    first = np.unique(combined, return_index=True)[1]
    return combined.astype(np.int64), frame[columns].iloc[first].reset_index(drop=True)


def _text(frame: pd.DataFrame, name: str) -> pd.Series:
    if name not in frame.columns:
        return pd.Series("", index=frame.index, dtype="str")
    column = frame[name]
    return (column if column.dtype == "str" else column.astype("str")).where(column.notna(), "")


def _describe(frame: pd.DataFrame, cell: Codes, cells: pd.DataFrame) -> pd.DataFrame:
    described = cells.copy()
    described["group"] = codes(cells, ["model", "dataset"])[0]
    parsed = [parse_condition(name) for name in cells["condition"]]
    described["family"] = [p.family for p in parsed]
    if "family" in frame.columns:
        first = np.unique(cell, return_index=True)[1]
        stated = _text(frame, "family").to_numpy()[first]
        described["family"] = np.where(stated == "", described["family"], stated)
    return described


def _subjects(frame: pd.DataFrame, case: Codes) -> tuple[Codes, bool]:
    n_cases = int(case.max(initial=-1)) + 1
    stated = _text(frame, "subject_id").to_numpy(dtype=object) if "subject_id" in frame.columns else None
    labelled = np.zeros(len(frame), dtype=bool) if stated is None else stated != ""
    subject = np.full(n_cases, -1, dtype=np.int64)
    if stated is not None and labelled.any():
        code, _ = pd.factorize(pd.Series(stated[labelled]), sort=True)
        subject[case[labelled]] = code
        if (subject[case[labelled]] != code).any():
            row = frame.loc[labelled].iloc[int(np.flatnonzero(subject[case[labelled]] != code)[0])]
            raise InputError(f"table: expected one subject_id per case, case {row['case_id']!r} has several")
    missing = np.flatnonzero(subject < 0)
    subject[missing] = subject.max(initial=-1) + 1 + np.arange(missing.size)
    if missing.size:
        warnings.warn(
            f"subject_id is missing for {missing.size} of {n_cases} cases: each of them is taken as its own subject, so"
            " intervals assume that these images are independent",
            stacklevel=4,
        )
    return subject, bool(missing.size == n_cases)


def _prompt_index(frame: pd.DataFrame) -> Codes:
    if "prompt_index" not in frame.columns:
        return np.zeros(len(frame), dtype=np.int64)
    numbers = pd.to_numeric(frame["prompt_index"], errors="coerce").fillna(0)
    return np.asarray(numbers, dtype=np.int64)


def _usable(frame: pd.DataFrame) -> npt.NDArray[np.bool_]:
    usable: npt.NDArray[np.bool_] = (frame["error"] == "").to_numpy(dtype=bool)
    if "applicable" in frame.columns:
        stated = _text(frame, "applicable")
        usable = usable & ~stated.str.lower().isin(_FALSE).to_numpy(dtype=bool)
    return usable
