"""Tables of the page as data: columns with a kind, rows with raw values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from robustness.reports import words

CellKind = Literal["text", "number", "count", "p", "condition", "verdict", "metric"]


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
    """Take `columns` of `frame`; columns that it lacks are empty."""
    values = [[plain(v) for v in frame[c.name]] if c.name in frame else [None] * len(frame) for c in columns]
    return DataTable(name, title, tuple(columns), tuple(zip(*values, strict=True)))


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
