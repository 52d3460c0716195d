"""Draws the figures that `captions` lists."""

from __future__ import annotations

import math

import pandas as pd
import plotly.graph_objects as go

from robustness.reports.data.claims import condition_order
from robustness.reports.data.datatable import frame_of
from robustness.reports.data.frames import Frames
from robustness.reports.figures.attacks import success_curve
from robustness.reports.figures.captions import drop_conditions
from robustness.reports.figures.collapse import collapse_plot
from robustness.reports.figures.figure import FigureText
from robustness.reports.figures.forest import drop_forest, paired_forest, reliance_forest, span_of
from robustness.reports.figures.grid import reach_of
from robustness.reports.figures.heatmap import reliance_heatmap
from robustness.reports.figures.joint import joint_grid
from robustness.reports.figures.matrix import transfer_matrix
from robustness.reports.figures.published import published_matrix
from robustness.reports.figures.ranks import rank_plot
from robustness.reports.figures.scores import score_distribution
from robustness.reports.figures.severity import severity_curve
from robustness.reports.figures.shift import shift_matrix, shift_table
from robustness.reports.figures.thresholds import threshold_curves

MOST_PAIRED = 30


def draw(text: FigureText, frames: Frames) -> go.Figure:
    """Return the drawing of one listed figure; figures of one family share their axes."""
    if text.family == "reliance":
        return _reliance(text.key, frames)
    if text.family == "drop":
        return _drop(text.key, frames)
    if text.family == "severity":
        return severity_curve(frames.effects, text.key)
    if text.family == "attack":
        return success_curve(frame_of(text.table), frames.series)
    if text.family == "heatmap":
        return reliance_heatmap(frames.verdicts, order=condition_order(frames.verdicts))
    if text.family in ("shift", "joint"):
        return _grid(text, frames)
    if text.family == "paired":
        return paired_forest(frame_of(text.table).head(MOST_PAIRED))
    if text.family == "rank":
        return rank_plot(frames.results, text.key)
    if text.family == "matrix":
        return transfer_matrix(frames.results, frames.origins)
    if text.family == "published":
        return published_matrix()
    if text.family == "thresholds":
        return threshold_curves(frames.results)
    if text.family == "collapse":
        return collapse_plot(frames.results)
    return score_distribution(frames.results, frames.effects)


def _grid(text: FigureText, frames: Frames) -> go.Figure:
    mine = frames.effects[frames.effects["series"] == text.key]
    if text.family == "joint":
        return joint_grid(mine)
    # One scale of colour for all models, so that their matrices can be compared.
    return shift_matrix(mine, reach=reach_of(pd.to_numeric(shift_table(frames.effects)["effect"]).tolist()))


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
