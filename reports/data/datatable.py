"""Tables of the page as data: columns with a kind, rows with raw values."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from robustness.metrics.inference.intervals import level_of
from robustness.reports import words

CellKind = Literal["text", "number", "count", "p", "level", "condition", "verdict", "metric"]
# Names of columns that end an interval end so, with both ends in one text or each by itself.
_ENDS = ("_low", "_high", "_interval")
LEVEL: Literal["level"] = "level"


@dataclass(frozen=True)
class Column:
    """One column; a hidden one is exported but not shown; `link` leads from its cells to rows ("rows", "clean")."""

    name: str
    label: str
    kind: CellKind = "text"
    hidden: bool = False
    link: str = ""


@dataclass(frozen=True)
class DataTable:
    """A table; `rows` hold raw values (str, float, int, bool or None) in the order of `columns`."""

    id: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Any, ...], ...]


def table_of(frame: pd.DataFrame, name: str, title: str, columns: Sequence[Column]) -> DataTable:
    """Take `columns` of `frame`; columns that it lacks are empty. Intervals state their level (`stated_levels`)."""
    columns = stated_levels(frame, columns)
    values = [[plain(v) for v in frame[c.name]] if c.name in frame else [None] * len(frame) for c in columns]
    return DataTable(name, title, tuple(columns), tuple(zip(*values, strict=True)))


def stated_levels(frame: pd.DataFrame, columns: Sequence[Column]) -> tuple[Column, ...]:
    """Say the level of every interval: behind the labels of its ends where the rows share it, else in a column shown.

    Ends are columns such as ``loss_low`` and ``loss_high`` (``share_interval``: a text with both, and with the level
    where rows differ); `frame` holds their level as ``loss_level``, else as ``level``. The column of levels comes
    behind them, hidden where the labels or texts say it.
    """
    ends: dict[str, list[Column]] = {}
    for column in columns:
        if column.name.endswith(_ENDS):
            own = f"{column.name.rpartition('_')[0]}_{LEVEL}"
            ends.setdefault(own if own in frame else LEVEL, []).append(column)
    stated = list(columns)
    for name, of_level in ends.items():
        levels = _levels(frame, name, of_level)
        shared = len(levels.unique()) == 1 and bool(levels.notna().all())
        behind = stated.index(of_level[-1]) + 1
        in_text = all(c.hidden or c.name.endswith("_interval") for c in of_level)
        elsewhere = (
            shared or in_text or levels.empty or (name != LEVEL and levels.equals(_levels(frame, LEVEL, of_level)))
        )
        stated.insert(behind, Column(name, name.replace("_", " "), LEVEL, hidden=elsewhere))
        if shared:
            label = f"({level_of(float(levels.iloc[0]))})"
            stated = [replace(c, label=f"{c.label} {label}") if c in of_level else c for c in stated]
    return tuple(stated)


def _levels(frame: pd.DataFrame, name: str, ends: Sequence[Column]) -> pd.Series:
    """Return the levels of the rows that have one of these ends; NaN where none is recorded."""
    values = frame[name] if name in frame else pd.Series(float("nan"), frame.index)
    present = [frame[c.name].replace("", None).notna() for c in ends if c.name in frame]
    bounded = pd.concat(present, axis=1).any(axis=1) if present else pd.Series(False, frame.index)
    return pd.to_numeric(values, errors="coerce").astype(float).round(12)[bounded]


def level_words(table: DataTable) -> str:
    """Say in one sentence of which level a table's intervals are; "" where it has none."""
    bounds = [i for i, column in enumerate(table.columns) if column.name.endswith(_ENDS)]
    at = [i for i, column in enumerate(table.columns) if column.kind == LEVEL]
    bounded = [row for row in table.rows if any(row[i] is not None for i in bounds)]
    stated = levels([row[i] for row in bounded for i in at])
    several = "; each row has its own, in its numbers" if " to " in stated else ""
    return f"Level of the intervals: {stated}{several}." if stated else ""


def plain(value: Any) -> Any:
    """Return a cell as a JSON value; NaN and missing values as None."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or value is pd.NA or (isinstance(value, float) and not np.isfinite(value)):
        return None
    return value if isinstance(value, bool | int | float) else str(value)


def shown(value: Any, kind: CellKind) -> str:
    """Return a raw value as the page writes it."""
    if value is None:
        return words.DASH
    if kind == "metric":
        return words.metric_words(str(value))
    if kind == "level":
        return level_of(float(value))
    if kind == "p":
        return words.p_value(value)
    if kind == "number":
        return words.number(float(value)) if isinstance(value, int | float) else str(value)
    if kind == "count":
        return words.number(round(value)) if isinstance(value, int | float) else str(value)
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def frame_of(table: DataTable) -> pd.DataFrame:
    """Return a table's raw values as a DataFrame with its column names."""
    return pd.DataFrame(list(table.rows), columns=[c.name for c in table.columns])


def inert(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose texts no spreadsheet runs as a formula: an apostrophe comes before such a beginning.

    The page's own export does the same.
    """
    return frame.map(_inert)


def _inert(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def levels(values: Collection[Any]) -> str:
    """Write the levels of several intervals: ``95%``, ``98.24% to 99.38%``; empty where there is none.

    Example:
        >>> levels([0.95, 0.95]), levels([0.99, 0.9, None])
        ('95%', '90% to 99%, or not recorded')
    """
    stated = sorted({level_of(float(v)): float(v) for v in values if pd.notna(v)}.items(), key=lambda pair: pair[1])
    span = " to ".join(dict.fromkeys((stated[0][0], stated[-1][0]))) if stated else ""
    return ", or ".join(filter(None, (span, words.MISSING if any(pd.isna(v) for v in values) else "")))
