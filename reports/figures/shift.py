"""Domain shift as a matrix: kind of image change by severity."""

from __future__ import annotations

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from robustness.reports.figures import theme
from robustness.reports.figures.grid import Cell, grid, reach_of
from robustness.reports.figures.severity import severity_table
from robustness.reports.words import interval, kind_words, metric_words, number, text


def shift_table(effects: pd.DataFrame, *, metric: str = "dice") -> pd.DataFrame:
    """Return the rows behind the shift matrix: every single image change with its severity, largest loss first.

    Columns: those of `effects`, plus `kind` and `severity` (0 for a change without degrees).
    """
    rows = severity_table(effects, metric=metric, least=1)
    worst = rows.groupby("kind")["effect"].transform("max")
    return rows.assign(worst=worst).sort_values(["worst", "kind", "severity"], ascending=[False, True, True])


def shift_matrix(effects: pd.DataFrame, *, metric: str = "dice", reach: float | None = None) -> go.Figure:
    """Draw kind x severity of one series: the loss of `metric` in each cell, largest kind first."""
    rows = shift_table(effects, metric=metric)
    kinds = list(dict.fromkeys(rows["kind"]))
    degrees = sorted(set(rows["severity"]))
    held = {(r["kind"], r["severity"]): r for r in rows.to_dict("records")}
    cells = [[_loss_cell(held.get((kind, degree)), metric) for degree in degrees] for kind in kinds]
    built = grid(
        cells,
        columns=[str(d) if d else "–" for d in degrees],
        rows=[theme.label(kind_words(k)) for k in kinds],
        reach=reach or reach_of(list(rows["effect"])),
        bad_is_high=True,
        column_title="severity",
    )
    conditions = [[_condition(held.get((kind, degree))) for degree in degrees] for kind in kinds]
    series = text(rows["series"].iloc[0]) if "series" in rows and len(rows) else ""
    built.data[0].meta = {"series": series, "cells": conditions}
    return built


def _loss_cell(row: dict[Any, Any] | None, metric: str) -> Cell | None:
    if row is None or pd.isna(row["effect"]):
        return None
    hover = (
        f"<b>{theme.label(kind_words(row['kind']))}{', severity ' + str(row['severity']) if row['severity'] else ''}"
        f"</b><br>loss of {metric_words(metric)} {number(row['effect'])} {interval(row['ci_low'], row['ci_high'])}"
        f"<br>n = {number(row['n_images'], 0)} images, {number(row['n_subjects'], 0)} units"
    )
    return Cell(float(row["effect"]), number(row["effect"], 2), hover)


def _condition(row: dict[Any, Any] | None) -> str:
    return "" if row is None else text(row["condition"])
