"""Validation of the suite itself, from figures that its documentation commits: parity, known models, calibration."""

from __future__ import annotations

from importlib import resources

import pandas as pd

from robustness.reports.data.datatable import Column, DataTable, table_of

_COLUMNS = (
    Column("study", "study"),
    Column("subject", "model"),
    Column("found", "found"),
    Column("limit", "limit"),
    Column("source", "written out in"),
)


def validation_table() -> DataTable:
    """Return the figures, one row per model; ``.ci/validation_table.py`` writes them from the tables of docs/."""
    path = resources.files("robustness.reports.sections").joinpath("validation.csv")
    with path.open(encoding="utf-8") as stream:
        table = pd.read_csv(stream, dtype=str, keep_default_na=False)
    return table_of(table, "validation", "Validation of this suite", _COLUMNS)
