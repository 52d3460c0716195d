"""A results table, from a run or from elsewhere, read into the form that the statistics need."""

from __future__ import annotations

import math
import re
import warnings
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from robustness.errors import DoubtWarning, InputError, UnknownNameError, counted, suggest, verb
from robustness.metrics.inference.clustering import groups
from robustness.registry import METRICS
from robustness.results import CLEAN, OTHER_OVERLAP, REFERENCE_FRACTION, look_alikes, parse_condition

Codes = npt.NDArray[np.int64]

_TEXT = ("model", "dataset", "split", "attribute", "expectation", "other_case_id", "note", "error")
_FALSE = {"false", "0", "no", "0.0"}
_TRUE = {"true", "1", "yes", "1.0", ""}
_FAMILIES = ("clean", "prompt", "image", "joint")


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
        applicable: rows that are not marked as not applicable, or failed.
        usable: rows that are applicable and without error.
        subject_is_case: whether no subject was known at all.
    """

    frame: pd.DataFrame
    cell: Codes
    cells: pd.DataFrame
    case: Codes
    subject_of_case: Codes
    prompt_index: Codes
    applicable: npt.NDArray[np.bool_]
    usable: npt.NDArray[np.bool_]
    subject_is_case: bool

    def values(self, column: str) -> npt.NDArray[np.float64]:
        """Return a column as floats; what is not usable or not finite is NaN.

        Raises:
            InputError: the table has no such column, or a usable row of it holds a text that is no number.
        """
        if column not in self.frame.columns:
            columns = [str(c) for c in self.frame.columns]
            raise InputError(f"metric: the table has no column {column!r}{suggest(column, columns)}")
        stated = self.frame[column]
        numbers = pd.to_numeric(stated, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
        if not pd.api.types.is_numeric_dtype(stated):
            self._refuse_texts(stated, np.isnan(numbers) & self.usable)
        return np.where(self.usable & np.isfinite(numbers), numbers, np.nan)

    def _refuse_texts(self, stated: pd.Series, unread: npt.NDArray[np.bool_]) -> None:
        for place in np.flatnonzero(unread):
            value = stated.iloc[int(place)]
            if isinstance(value, str) and value.strip().casefold() not in _NO_VALUE:
                raise InputError(
                    f"table: expected numbers in the column {stated.name!r}, case "
                    f"{self.frame['case_id'].iloc[int(place)]!r} has the text {value!r}; write decimals with a point"
                )


# How tables of others write that there is no value.
_NO_VALUE = frozenset({"", "nan", "na", "n/a", "none", "null", "-"})
# Ratios that are no metrics of a mask and its reference.
_RATIOS = frozenset({"dice_other", OTHER_OVERLAP, REFERENCE_FRACTION})
ROUNDING = 1e-6


def refuse_out_of_range(rows: Rows, column: str) -> None:
    """Raise InputError where a metric lies beyond its ends, on which margins and certificates rest."""
    values = rows.values(column)
    low, high = (0.0, 1.0) if column in _RATIOS else metric_ends(column)
    wrong = np.flatnonzero((values < low - ROUNDING) | (values > high + ROUNDING))
    if wrong.size:
        row, value = rows.frame.iloc[int(wrong[0])], values[wrong[0]]
        raise InputError(
            f"table: expected a {column} from {low:g} to {high:g}, case {row['case_id']!r} under {row['condition']!r}"
            f" has {value:.6g} ({counted(wrong.size, 'row')}); divide percentages by 100, and "
            "leave out what is not known"
        )


def metric_ends(metric: str) -> tuple[float, float]:
    """Return the smallest and the largest value of a registered metric; infinite where there is none."""
    try:
        entry = METRICS.get(metric)
    except UnknownNameError:
        return -math.inf, math.inf
    return float(entry.low), math.inf if entry.high is None else float(entry.high)


def read_rows(table: pd.DataFrame) -> Rows:
    """Check a table and code its keys.

    A missing subject is the case's subject in other rows, else the case itself, with a warning; no row is dropped.

    Raises:
        InputError: `case_id` or `condition` is missing, or one case has two subjects or a condition two families.
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
    applicable, failed, prompt_index = _applicable(frame), _failed(frame), _prompt_index(frame)
    return Rows(
        frame,
        cell,
        _describe(frame, cell, cells),
        case,
        subject_of_case,
        prompt_index,
        applicable | failed,
        applicable & ~failed,
        subject_is_case,
    )


def codes(frame: pd.DataFrame, columns: list[str]) -> tuple[Codes, pd.DataFrame]:
    """Return one code per row for the combination of `columns`, in sorted order, and the combinations."""
    combined = np.zeros(len(frame), dtype=np.int64)
    for name in columns:
        code, uniques = pd.factorize(frame[name], sort=True)
        combined = groups(combined * max(1, len(uniques)) + code).inverse
    # Written from the last row to the first, so that the first row of each combination stays.
    first = np.zeros(int(combined.max(initial=-1)) + 1, dtype=np.int64)
    first[combined[::-1]] = np.arange(len(frame))[::-1]
    return combined.astype(np.int64), frame[columns].iloc[first].reset_index(drop=True)


def _text(frame: pd.DataFrame, name: str) -> pd.Series:
    if name not in frame.columns:
        return pd.Series("", index=frame.index, dtype="str")
    column = frame[name]
    text, absent = column if column.dtype == "str" else column.astype("str"), column.isna()
    return text.where(~absent, "") if absent.any() else text


def _describe(frame: pd.DataFrame, cell: Codes, cells: pd.DataFrame) -> pd.DataFrame:
    described = cells.copy()
    described["group"] = codes(cells, ["model", "dataset"])[0]
    parsed = [parse_condition(name) for name in cells["condition"]]
    described["family"] = [p.family for p in parsed]
    if "family" in frame.columns:
        stated = _stated_families(frame, cell, cells)
        described["family"] = np.where(stated == "", described["family"], stated)
    return described


def _stated_families(frame: pd.DataFrame, cell: Codes, cells: pd.DataFrame) -> npt.NDArray[np.object_]:
    """Return the family that the rows of each cell state; "" where none does."""
    family = _text(frame, "family").str.strip()
    filled = np.flatnonzero((family != "").to_numpy())
    code, names = pd.factorize(family.iloc[filled], sort=True)
    for name in names:
        if name not in _FAMILIES:
            raise InputError(f"table: family: expected one of {', '.join(_FAMILIES)}, got {name!r}")
    together = groups(cell[filled] * max(1, len(names)) + code).codes
    pairs = np.column_stack(np.divmod(together, max(1, len(names))))
    stated = np.full(len(cells), "", dtype=object)
    stated[pairs[:, 0]] = np.asarray(names, dtype=object)[pairs[:, 1]] if filled.size else ""
    twice = pairs[:-1, 0][np.diff(pairs[:, 0]) == 0]
    if twice.size:
        condition = cells["condition"].iloc[int(twice[0])]
        several = sorted({str(names[c]) for number, c in pairs if number == twice[0]})
        raise InputError(
            f"table: expected one family per condition, {condition!r} has {' and '.join(several)}; state one of clean,"
            " prompt, image, joint in all of its rows, or leave the column out"
        )
    return stated


def _subjects(frame: pd.DataFrame, case: Codes) -> tuple[Codes, bool]:
    n_cases = int(case.max(initial=-1)) + 1
    stated = _subject_names(_text(frame, "subject_id")) if "subject_id" in frame.columns else None
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
            f"subject_id is missing for {missing.size} of {counted(n_cases, 'case')}: each of them is taken as its own"
            " subject, so intervals assume that these images are independent",
            DoubtWarning,
            stacklevel=4,
        )
    return subject, bool(missing.size == n_cases)


def _subject_names(column: pd.Series) -> npt.NDArray[np.object_]:
    """Return the subjects' names without outer blanks, whole numbers alike whether written 3 or 3.0."""
    code, names = pd.factorize(column)
    written = [str(name) for name in names]
    plain = [re.sub(r"^(-?\d+)\.0+$", r"\1", name.strip()) for name in written]
    if len(set(plain)) < len(set(written)):
        merged = sorted(a for a, b in zip(written, plain, strict=True) if a != b)
        warnings.warn(
            f"subject_id: {len(written)} spellings of {counted(len(set(plain)), 'subject')} (such as {merged[0]!r}):"
            " blanks around a name and a decimal .0 are taken off, so that nobody counts twice",
            DoubtWarning,
            stacklevel=5,
        )
    if (alike := look_alikes(plain)) is not None:
        warnings.warn(f"subject_id: {alike}", DoubtWarning, stacklevel=5)
    of_row: npt.NDArray[np.object_] = np.array([*plain, ""], dtype=object)[code]
    return of_row


def warn_of_repeats(rows: Rows) -> None:
    """Warn where rows of a change repeat another row's case and text: they would be averaged."""
    frame, width = rows.frame, int(rows.prompt_index.max(initial=0)) + 1
    key = (rows.cell * max(1, rows.subject_of_case.size) + rows.case) * width + rows.prompt_index
    _, index, count = groups(key)
    repeated = np.flatnonzero(count[index] > 1)
    if not repeated.size:
        return
    changed = repeated[(frame["condition"].to_numpy()[repeated] != CLEAN)]
    names = [name for name in ("attribute", "other_case_id", "prompt", "note") if name in frame.columns]
    again = frame.iloc[changed][names].assign(key=key[changed]).duplicated().to_numpy()
    if again.any():
        n, row = int(again.sum()), frame.iloc[int(changed[np.flatnonzero(again)[0]])]
        warnings.warn(
            f"table: {counted(n, 'row')} {verb(n, 'repeat')} another row of the same case, condition and"
            f" text, for example case {row['case_id']!r} under {row['condition']!r}; repeated rows are averaged, so"
            " that one hides the other: remove them, or give the texts a prompt_index",
            DoubtWarning,
            stacklevel=3,
        )


def _prompt_index(frame: pd.DataFrame) -> Codes:
    if "prompt_index" not in frame.columns:
        return np.zeros(len(frame), dtype=np.int64)
    numbers = pd.to_numeric(frame["prompt_index"], errors="coerce").fillna(0)
    return np.asarray(numbers, dtype=np.int64)


def _applicable(frame: pd.DataFrame) -> npt.NDArray[np.bool_]:
    if "applicable" not in frame.columns:
        return np.ones(len(frame), dtype=bool)
    words = _text(frame, "applicable").str.strip().str.lower()
    unclear = ~words.isin(_FALSE | _TRUE).to_numpy(dtype=bool)
    if unclear.any():
        word = frame["applicable"].iloc[int(np.flatnonzero(unclear)[0])]
        raise InputError(f"table: applicable: expected True or False in every row, got {word!r}")
    stated: npt.NDArray[np.bool_] = words.isin(_FALSE).to_numpy(dtype=bool)
    return ~stated


def _failed(frame: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Return the rows that state an error; False, 0, "no" and the like state none."""
    stated: npt.NDArray[np.bool_] = ~frame["error"].str.strip().str.lower().isin(_FALSE | {""}).to_numpy(dtype=bool)
    return stated
