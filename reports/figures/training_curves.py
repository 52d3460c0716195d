"""Training curves: losses, validation Dice and learning rate over the optimizer steps, as a page of its own."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from robustness.files import write_text
from robustness.reports.figures.theme import SERIES, figure, label

_LOSSES = (("loss", "training loss", "solid"), ("val_loss", "validation loss", "dash"))
_TERMS = (("dice_loss", "Dice term", "dot"), ("ce_loss", "cross entropy term", "dot"))
_TOP, _BOTTOM, _RATE = [0.58, 1.0], [0.16, 0.5], [0.0, 0.09]


def training_figure(log: pd.DataFrame) -> go.Figure:
    """Return the curves of a ``metrics.csv``.

    Args:
        log: one row for each validation with `step epoch loss dice_loss ce_loss val_loss val_dice lr`.

    Returns:
        three panels that share the axis of steps: losses, validation Dice with the best one marked, learning rate.
    """
    chart = figure(height=720, hovermode="x unified", margin={"l": 64, "r": 24, "t": 24, "b": 48})
    for colour, (column, name, dash) in zip((0, 1, 4, 3), (*_LOSSES, *_TERMS), strict=True):
        chart.add_trace(_line(log, column, name, SERIES[colour], dash, axis="y"))
    chart.add_trace(_line(log, "val_dice", "validation Dice", SERIES[2], "solid", axis="y2"))
    if len(log):
        best = log.loc[log["val_dice"].idxmax()]
        place = "bottom left" if 2 * best["step"] > log["step"].max() else "bottom right"
        text = f"best: {best['val_dice']:.3f} in epoch {int(best['epoch'])}"
        marker = {"color": SERIES[2], "size": 11, "symbol": "star"}
        chart.add_trace(
            go.Scatter(
                x=[best["step"]],
                y=[best["val_dice"]],
                mode="markers+text",
                text=[label(text)],
                marker=marker,
                textposition=place,
                yaxis="y2",
                name="best",
                showlegend=False,
                hoverinfo="skip",
            )
        )
    chart.add_trace(_line(log, "lr", "learning rate", SERIES[5], "solid", axis="y3"))
    # One axis of steps at the foot of all panels.
    chart.update_xaxes(title_text="optimizer step", anchor="y3")
    chart.update_layout(
        yaxis={"title_text": "loss", "domain": _TOP, "rangemode": "tozero"},
        yaxis2={"title_text": "validation Dice", "domain": _BOTTOM, "range": [0, 1.02]},
        yaxis3={"title_text": "rate", "domain": _RATE, "rangemode": "tozero", "nticks": 3, "exponentformat": "e"},
    )
    return chart


def write_training_page(log: pd.DataFrame, path: Path, *, title: str) -> Path:
    """Write the curves as one HTML file that loads nothing from elsewhere, atomically, and return `path`."""
    body = training_figure(log).to_html(full_html=False, include_plotlyjs=True, config={"displayModeBar": False})
    name = html.escape(title)
    style = "body{font-family:system-ui,sans-serif;margin:24px auto;max-width:1100px;color:#1c2127}"
    page = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{name}</title>'
        f"<style>{style}</style></head>"
        f"<body><h1>{name}</h1><p>{_summary(log)}</p>{body}</body></html>\n"
    )
    write_text(path, page)
    return path


def _line(log: pd.DataFrame, column: str, name: str, colour: str, dash: str, *, axis: str) -> go.Scatter:
    shown: dict[str, Any] = {"color": colour, "dash": dash, "width": 2}
    mode = "lines+markers" if len(log) < 60 else "lines"
    return go.Scatter(x=log["step"], y=log[column], name=label(name), mode=mode, line=shown, yaxis=axis)


def _summary(log: pd.DataFrame) -> str:
    if not len(log):
        return "No validation so far."
    best, last = log.loc[log["val_dice"].idxmax()], log.iloc[-1]
    return (
        f"{len(log)} validations, {int(last['step'])} optimizer steps, {float(last['seconds']):.0f} s. "
        f"Best validation Dice {best['val_dice']:.4f} in epoch {int(best['epoch'])}, the checkpoint's."
    )
