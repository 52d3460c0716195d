"""The determinism certificate of a run: a paragraph and a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from robustness.reports.data.datatable import Column, DataTable, table_of
from robustness.reports.data.run_tables import RunTables
from robustness.reports.words import count, listing

_COLUMNS = (
    Column("model", "model"),
    Column("dataset", "dataset"),
    Column("knob", "turned"),
    Column("setting", "to"),
    Column("n", "predictions", "count"),
    Column("n_unequal_failures", "failed once", "count"),
    Column("identical", "same bits"),
    Column("dice", "Dice moves by"),
    Column("mask_change", "mask moves by"),
    Column("probability", "probability moves by"),
)
_FIGURES = ("dice", "mask_change", "probability")
_NOT_OF_THIS_RUN = ("precision", "device")


def certificate_table(runs: Sequence[RunTables]) -> DataTable:
    """Return what each knob did to the predictions of each model; empty where no run was certified."""
    rows = [{**row, **{name: _small(row.get(name)) for name in _FIGURES}} for row in _rows(runs)]
    frame = pd.DataFrame(rows, columns=[column.name for column in _COLUMNS])
    return table_of(frame, "certificate", "Noise of the computation", _COLUMNS)


def certificate_text(runs: Sequence[RunTables]) -> str:
    """Return what a reader must know of the noise of the computation."""
    rows = _rows(runs)
    if not rows:
        return (
            "How far the way of computing alone moves a prediction (batch sizes, threads, precision, device) was not"
            " measured: robustness audit --certify measures it."
        )
    own = [row for row in rows if row.get("knob") not in _NOT_OF_THIS_RUN]
    moved = [row for row in own if not row.get("identical")]
    text = f"The same predictions were computed again with {count(len(own), 'change')} of nothing but the computation: "
    if not moved:
        text += "every bit was the same."
    else:
        largest = max((row.get("dice") or 0.0 for row in moved), default=0.0)
        knobs = listing(sorted({str(row.get("knob")) for row in moved}))
        text += f"{len(moved)} of them moved something ({knobs}), Dice by at most {_small(largest)}."
    other = [row for row in rows if row.get("knob") in _NOT_OF_THIS_RUN and not row.get("identical")]
    if other:
        largest = max((row.get("dice") or 0.0 for row in other), default=0.0)
        text += f" Another precision or device moves Dice by up to {_small(largest)}; the run itself has one of each."
    return text + " The table names each change."


def _rows(runs: Sequence[RunTables]) -> list[Mapping[str, Any]]:
    rows = []
    for run in runs:
        certificate = run.manifest.get("certificate")
        listed = certificate.get("rows") if isinstance(certificate, Mapping) else None
        rows += [row for row in listed or () if isinstance(row, Mapping)]
    return rows


def _small(value: Any) -> str | None:
    """Return a difference with two digits, however small: 1e-7 is not 0."""
    return f"{value:.2g}" if isinstance(value, int | float) else None
