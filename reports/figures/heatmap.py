"""Heat map: which words move which model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from robustness.reports.data.claims import condition_order
from robustness.reports.data.datatable import table_of
from robustness.reports.data.frames import Frames
from robustness.reports.figures import theme
from robustness.reports.figures.figure import CLAIM_COLUMNS, FigureText
from robustness.reports.figures.registry import FIGURES, FigureEntry, FigureInput
from robustness.reports.words import count, interval, metric_words, number, short_words, text


@FIGURES.add("heatmap")
class Heatmap(FigureEntry):
    """One heat map over all series, where there are several."""

    name = "heatmap"
    position = 20
    section = "prompt"
    regulatory = 6

    def captions(self, source: FigureInput) -> list[FigureText]:
        """Return one caption over all prompt claims; none for a single series."""
        rows = source.frames.verdicts[source.frames.verdicts["claim"] == "prompt"]
        if len(source.frames.series) < 2 or rows.empty:
            return []
        changes = count(rows["condition"].nunique(), "prompt change")
        alt = f"Heat map of {changes} by {count(len(source.frames.series), 'model')}; each cell writes its verdict."
        table = table_of(rows, "t-heatmap", "Words by model", CLAIM_COLUMNS)
        return [FigureText("heatmap", "heatmap", "", "Which words move which model", alt, table)]

    def draw(self, caption: FigureText, frames: Frames) -> go.Figure:
        """Return the heat map, the condition with the largest estimate on top."""
        return reliance_heatmap(frames.verdicts, order=condition_order(frames.verdicts))


def reliance_heatmap(verdicts: pd.DataFrame, *, order: Sequence[str] | None = None) -> go.Figure:
    """Draw condition x series: the estimate of every prompt claim as colour, its verdict as text.

    Colour is redundant: each cell says the verdict and the number. Cells without an estimate stay empty.
    """
    rows = verdicts[verdicts["claim"] == "prompt"]
    conditions = [
        c for c in dict.fromkeys(order if order is not None else rows["condition"]) if c in set(rows["condition"])
    ]
    series = list(dict.fromkeys(rows["series"]))
    cells = {(r["condition"], r["series"]): r for r in rows.to_dict("records")}
    z: list[list[float | None]] = []
    words: list[list[str]] = []
    hover: list[list[str]] = []
    for condition in conditions:
        line = [cells.get((condition, s)) for s in series]
        z.append([None if c is None or pd.isna(c["estimate"]) else float(c["estimate"]) for c in line])
        words.append(["" if c is None or pd.isna(c["estimate"]) else _cell(c) for c in line])
        hover.append(["" if c is None else interval(c["ci_low"], c["ci_high"], level=c.get("level")) for c in line])
    reach = max([0.1, *(abs(v) for row in z for v in row if v is not None)])
    built = theme.figure(height=70 + 34 * max(len(conditions), 1), margin={"l": 8, "r": 8, "t": 34, "b": 8})
    built.add_trace(
        go.Heatmap(
            z=z,
            x=[theme.label(s) for s in series],
            y=[theme.label(short_words(c)) for c in conditions],
            text=words,
            customdata=hover,
            texttemplate="%{text}",
            coloraxis="coloraxis",
            xgap=3,
            ygap=3,
            hovertemplate="%{y}<br>%{x}<br>%{text} %{customdata}<extra></extra>",
        )
    )
    built.layout.coloraxis = {"cmin": -reach, "cmax": reach, "showscale": False}
    built.layout.showlegend = False
    # Cells without a number have no colour to contrast with: their verdict is written in the page's own ink.
    empty = [
        (s, c, cells[c, s]["verdict"])
        for c in conditions
        for s in series
        if (c, s) in cells and pd.isna(cells[c, s]["estimate"])
    ]
    built.add_trace(
        go.Scatter(
            x=[theme.label(s) for s, *_ in empty],
            y=[theme.label(short_words(c)) for _, c, _ in empty],
            mode="text",
            text=[theme.label(v) for *_, v in empty],
            hoverinfo="skip",
        )
    )
    built.update_xaxes(side="top", showgrid=False, tickangle=0)
    built.update_yaxes(autorange="reversed", showgrid=False, ticksuffix=" ")
    return built


def _cell(row: dict[Any, Any]) -> str:
    unit = "" if row["metric"] == "mask_change" else f" {metric_words(text(row['metric']))}"
    return f"{theme.label(row['verdict'])}  {number(row['estimate'], 2)}{theme.label(unit)}"
