"""Heat map: which words move which model."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from robustness.reports import theme
from robustness.reports.words import condition_words, interval, number


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
        words.append(["" if c is None else f"{theme.label(c['verdict'])}  {number(c['estimate'], 2)}" for c in line])
        hover.append(["" if c is None else interval(c["ci_low"], c["ci_high"]) for c in line])
    reach = max([0.1, *(abs(v) for row in z for v in row if v is not None)])
    built = theme.figure(height=70 + 34 * max(len(conditions), 1), margin={"l": 8, "r": 8, "t": 34, "b": 8})
    built.add_trace(go.Heatmap(
        z=z, x=[theme.label(s) for s in series], y=[theme.label(condition_words(c)) for c in conditions],
        text=words, customdata=hover, texttemplate="%{text}", zmin=-reach, zmax=reach,
        colorscale=[list(stop) for stop in theme.DIVERGING], showscale=False, xgap=3, ygap=3,
        hovertemplate="%{y}<br>%{x}<br>%{text} %{customdata}<extra></extra>",
    ))  # fmt: skip
    built.update_xaxes(side="top", showgrid=False)
    built.update_yaxes(autorange="reversed", showgrid=False)
    return built
