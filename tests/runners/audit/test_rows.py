"""A row of the results: its columns are the contract's, whatever happened to its prediction."""

from __future__ import annotations

import dataclasses

import pytest

from robustness.results import COLUMNS, FLAGS, MEASURED
from robustness.runners.audit.results_table import results_table
from robustness.runners.audit.rows import ResultRow, SeriesIdentity
from robustness.types import CaseInfo, Prompt

SERIES = SeriesIdentity("m", "d", "test")
INFO = CaseInfo("c", "i", "s", "polyp", (Prompt("a polyp"),), {"groups": {"scanner": "A"}})
SCORES = dict.fromkeys((*MEASURED, *FLAGS), 0.0)


def test_the_columns_of_a_scored_row_are_those_of_the_contract() -> None:
    row = dataclasses.replace(ResultRow.of(SERIES, INFO), measured=SCORES)
    assert set(row.cells()) == {*COLUMNS, "params", "truth", "scanner"}


def test_a_condition_fills_its_columns() -> None:
    row = ResultRow.of(SERIES, INFO, "antonym:size+image:gaussian_noise@3")
    assert (row.family, row.attribute, row.severity) == ("joint", "size", 0)
    assert ResultRow.of(SERIES, INFO).family == "clean"


def test_failed_and_inapplicable_rows_keep_who_they_are_and_measure_nothing() -> None:
    row = ResultRow.of(SERIES, INFO, "antonym:size")
    table = results_table([row.failed(ValueError("broken")), row.inapplicable("no size is named")])
    assert table["error"].tolist() == ["broken", ""]
    assert table["applicable"].tolist() == [True, False]
    assert table["note"].tolist() == ["", "no size is named"]
    assert table["scanner"].tolist() == ["A", "A"]
    assert table[[*MEASURED, *FLAGS, "dice_other"]].isna().all(axis=None)
    assert (row.error, row.applicable) == ("", True)


def test_a_row_of_no_such_column_cannot_be_made() -> None:
    with pytest.raises(TypeError, match="promt"):
        dataclasses.replace(ResultRow.of(SERIES, INFO), promt="a polyp")  # type: ignore[call-arg]
