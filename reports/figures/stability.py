"""Mask change per image perturbation and paraphrase: how far the mask moves where it should stay."""

from __future__ import annotations

import math
from dataclasses import replace

import pandas as pd
import plotly.graph_objects as go

from robustness.reports.data.datatable import table_of
from robustness.reports.data.frames import Frames, severities_text
from robustness.reports.figures.drop import drop_conditions, drop_forest
from robustness.reports.figures.figure import EFFECT_COLUMNS, FigureText
from robustness.reports.figures.forest import span_of
from robustness.reports.figures.registry import FIGURES, FigureEntry, FigureInput
from robustness.reports.words import condition_words, count, interval, number, text

METRIC = "mask_change"


@FIGURES.add("stability")
class Stability(FigureEntry):
    """One forest plot per series over the mask changes that a robustness claim was made on."""

    name = "stability"
    position = 45
    section = "robustness"
    regulatory = 7
    heading = "How far the mask moves where it should stay"
    note = (
        "Mean mask change (1 − IoU with the clean mask) with its interval; image changes at the highest severity that"
        " was run. A mask can move as far as this while its Dice stays: both are judged, each against its own margin"
        " (grey band)."
    )

    def captions(self, source: FigureInput) -> list[FigureText]:
        """Return one caption per series; none where no robustness claim was made on the mask change."""
        rows = _rows(source.frames)
        per_series = [(i, s, rows[rows["series"] == s]) for i, s in enumerate(source.frames.series)]
        says = severities_text(source.frames.results)
        return [replace(_caption(i, series, table), says=says) for i, series, table in per_series if len(table)]

    def draw(self, caption: FigureText, frames: Frames) -> go.Figure:
        """Return the forest plot; all series share conditions and range."""
        rows, claims = _rows(frames), _claims(frames)
        margins = pd.to_numeric(claims["margin"]).dropna()
        margin = float(margins.iloc[0]) if len(margins) else math.nan
        order = tuple(dict.fromkeys(rows["condition"]))
        span = span_of(rows["effect"], rows["ci_low"], rows["ci_high"], margins)
        own = rows[rows["series"] == caption.key]
        return drop_forest(
            own, claims[claims["series"] == caption.key], metric=METRIC, margin=margin, order=order, span=span
        )


def _claims(frames: Frames) -> pd.DataFrame:
    verdicts = frames.verdicts
    return verdicts[(verdicts["claim"] == "robustness") & (verdicts["metric"] == METRIC)]


def _rows(frames: Frames) -> pd.DataFrame:
    conditions = set(drop_conditions(frames.effects, metric=METRIC)) & set(_claims(frames)["condition"])
    rows = frames.effects[(frames.effects["metric"] == METRIC) & frames.effects["condition"].isin(conditions)]
    return rows.sort_values("effect", ascending=False, kind="stable")


def _caption(index: int, series: str, rows: pd.DataFrame) -> FigureText:
    worst = rows.iloc[0]
    alt = (
        f"Forest plot for {series}: mask change under {count(len(rows), 'change')} that should leave it alone. Largest:"
        f" {condition_words(text(worst['condition']))}, {number(worst['effect'])}"
        f" {interval(worst['ci_low'], worst['ci_high'], level=worst['level'])}."
    )
    table = table_of(rows, f"t-stability-{index}", series, EFFECT_COLUMNS)
    return FigureText(f"stability-{index}", "stability", series, series, alt, table)
