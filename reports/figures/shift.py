"""Domain shift as a matrix: kind of image change by severity."""

from __future__ import annotations

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from robustness.reports.data.datatable import table_of
from robustness.reports.data.frames import Frames
from robustness.reports.figures import theme
from robustness.reports.figures.figure import FigureText, columns
from robustness.reports.figures.grid import Cell, grid, reach_of
from robustness.reports.figures.registry import FIGURES, FigureEntry, FigureInput
from robustness.reports.figures.severity import severity_table
from robustness.reports.words import count, interval, kind_words, metric_words, number, text

_COLUMNS = columns(
    ("series", "model"),
    ("condition", "condition"),
    ("severity", "severity"),
    ("effect", "loss"),
    ("ci_low", "low"),
    ("ci_high", "high"),
    ("clean_mean", "clean"),
    ("perturbed_mean", "changed"),
    ("n_images", "cases"),
    ("n_subjects", "units"),
)


@FIGURES.add("shift")
class Shift(FigureEntry):
    """One matrix per series."""

    name = "shift"
    position = 50
    section = "robustness"
    regulatory = 7
    heading = "Kind by severity"
    note = (
        "Loss of Dice in each cell; orange is a loss, blue a gain, one scale for all models. A cell leads to its rows."
    )

    def captions(self, source: FigureInput) -> list[FigureText]:
        """Return one caption per series with single image changes."""
        effects = source.frames.effects
        tables = [(i, s, shift_table(effects[effects["series"] == s])) for i, s in enumerate(source.frames.series)]
        return [_caption(index, series, rows) for index, series, rows in tables if len(rows)]

    def draw(self, caption: FigureText, frames: Frames) -> go.Figure:
        """Return the matrix of one series."""
        own = frames.effects[frames.effects["series"] == caption.key]
        # One scale of colour for all models, so that their matrices can be compared.
        return shift_matrix(own, reach=reach_of(pd.to_numeric(shift_table(frames.effects)["effect"]).tolist()))


def _caption(index: int, series: str, rows: pd.DataFrame) -> FigureText:
    worst = rows.sort_values("effect", ascending=False, kind="stable").iloc[0]
    alt = (
        f"Matrix for {series}: loss of Dice for {count(rows['kind'].nunique(), 'image change')} by severity."
        f" Largest: {kind_words(worst['kind'])}, severity {worst['severity']}, {number(worst['effect'])}"
        f" {interval(worst['ci_low'], worst['ci_high'], level=worst['level'])}."
    )
    table = table_of(rows, f"t-shift-{index}", series, _COLUMNS)
    return FigureText(f"shift-{index}", "shift", series, series, alt, table)


def shift_table(effects: pd.DataFrame, *, metric: str = "dice") -> pd.DataFrame:
    """Return the rows behind the shift matrix: every single image change with its severity, largest loss first.

    Columns: those of `effects`, plus `kind` and `severity` (0 for a perturbation without severities).
    """
    rows = severity_table(effects, metric=metric, least=1)
    worst = rows.groupby("kind")["effect"].transform("max")
    return rows.assign(worst=worst).sort_values(["worst", "kind", "severity"], ascending=[False, True, True])


def shift_matrix(effects: pd.DataFrame, *, metric: str = "dice", reach: float | None = None) -> go.Figure:
    """Draw kind x severity of one series: the loss of `metric` in each cell, largest kind first."""
    rows = shift_table(effects, metric=metric)
    kinds = list(dict.fromkeys(rows["kind"]))
    severities = sorted(set(rows["severity"]))
    row_of = {(r["kind"], r["severity"]): r for r in rows.to_dict("records")}
    cells = [[_loss_cell(row_of.get((kind, severity)), metric) for severity in severities] for kind in kinds]
    built = grid(
        cells,
        columns=[str(s) if s else "–" for s in severities],
        rows=[theme.label(kind_words(k)) for k in kinds],
        reach=reach or reach_of(list(rows["effect"])),
        bad_is_high=True,
        column_title="severity",
    )
    conditions = [[_condition(row_of.get((kind, severity))) for severity in severities] for kind in kinds]
    series = text(rows["series"].iloc[0]) if "series" in rows and len(rows) else ""
    built.data[0].meta = {"series": series, "cells": conditions}
    return built


def _loss_cell(row: dict[Any, Any] | None, metric: str) -> Cell | None:
    if row is None or pd.isna(row["effect"]):
        return None
    hover = (
        f"<b>{theme.label(kind_words(row['kind']))}{', severity ' + str(row['severity']) if row['severity'] else ''}"
        f"</b><br>loss of {metric_words(metric)} {number(row['effect'])}"
        f" {interval(row['ci_low'], row['ci_high'], level=row.get('level'))}"
        f"<br>n = {count(row['n_images'], 'case')}, {count(row['n_subjects'], 'unit')}"
    )
    return Cell(float(row["effect"]), number(row["effect"], 2), hover)


def _condition(row: dict[Any, Any] | None) -> str:
    return "" if row is None else text(row["condition"])
