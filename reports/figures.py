"""Draws the figures that `captions` lists."""

from __future__ import annotations

import math

import pandas as pd
import plotly.graph_objects as go

from robustness.reports.captions import FigureText, drop_conditions
from robustness.reports.claims import condition_order
from robustness.reports.forest import drop_forest, reliance_forest, span_of
from robustness.reports.heatmap import reliance_heatmap
from robustness.reports.scores import score_distribution
from robustness.reports.severity import severity_curve
from robustness.reports.tables import Frames


def draw(text: FigureText, frames: Frames) -> go.Figure:
    """Return the drawing of one listed figure; figures of one family share their axes."""
    if text.family == "reliance":
        return _reliance(text.key, frames)
    if text.family == "drop":
        return _drop(text.key, frames)
    if text.family == "severity":
        return severity_curve(frames.effects, text.key)
    if text.family == "heatmap":
        return reliance_heatmap(frames.verdicts, order=condition_order(frames.verdicts))
    return score_distribution(frames.results, frames.effects)


def _reliance(series: str, frames: Frames) -> go.Figure:
    table = frames.verdicts[frames.verdicts["claim"] == "prompt"]
    order = [c for c in condition_order(frames.verdicts) if table[table["condition"] == c]["estimate"].notna().any()]
    span = span_of(table["estimate"], table["ci_low"], table["ci_high"], table["margin"], -table["margin"])
    return reliance_forest(table[table["series"] == series], order=order, span=span)


def _drop(series: str, frames: Frames) -> go.Figure:
    order = drop_conditions(frames.effects)
    shown = frames.effects[(frames.effects["metric"] == "dice") & frames.effects["condition"].isin(order)]
    claims = frames.verdicts[(frames.verdicts["claim"] == "robustness") & (frames.verdicts["metric"] == "dice")]
    margins = pd.to_numeric(claims["margin"]).dropna()
    margin = float(margins.iloc[0]) if len(margins) else math.nan
    span = span_of(shown["effect"], shown["ci_low"], shown["ci_high"], margins)
    mine = frames.verdicts["series"] == series
    rows = shown[shown["series"] == series]
    return drop_forest(rows, frames.verdicts[mine], margin=margin, order=order, span=span)
