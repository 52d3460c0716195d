"""A grid of cells that write their number: the drawing behind every matrix of the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import plotly.graph_objects as go

from robustness.reports.figures import theme


class Cell(NamedTuple):
    """One cell: `value` gives the colour, `text` what it says, `hover` the rest; a cell without value stays empty."""

    value: float | None
    text: str
    hover: str


def grid(
    cells: Sequence[Sequence[Cell | None]],
    *,
    columns: Sequence[str],
    rows: Sequence[str],
    reach: float,
    bad_is_high: bool = False,
    middle: float = 0.0,
    column_title: str = "",
) -> go.Figure:
    """Draw rows x columns of cells; labels must be escaped already (`theme.label`).

    Args:
        cells: one sequence per row, as long as `columns`.
        columns, rows: labels, left to right and top to bottom.
        reach: distance from `middle` at which the colour is full.
        bad_is_high: high values get the warm end (losses) instead of the cool one (gains).
        middle: the value without colour.
        column_title: what the columns are.
    """
    line_height = 30 if len(rows) < 16 else 24
    built = theme.figure(
        height=(84 if column_title else 62) + line_height * max(len(rows), 1), margin={"l": 8, "r": 8, "t": 34, "b": 8}
    )
    built.add_trace(
        go.Heatmap(
            z=[[None if c is None else c.value for c in row] for row in cells],
            x=list(range(len(columns))),
            y=list(range(len(rows))),
            text=[["" if c is None else c.text for c in row] for row in cells],
            customdata=[["" if c is None else c.hover for c in row] for row in cells],
            texttemplate="%{text}",
            coloraxis="coloraxis",
            xgap=3,
            ygap=3,
            hovertemplate="%{customdata}<extra></extra>",
            hoverongaps=False,
        )
    )
    built.layout.coloraxis = {
        "cmin": middle - reach,
        "cmax": middle + reach,
        "showscale": False,
        "reversescale": bad_is_high,
    }
    ticks = {"tickmode": "array", "showgrid": False}
    built.update_xaxes(
        side="top",
        tickangle=0,
        tickvals=list(range(len(columns))),
        ticktext=list(columns),
        title_text=column_title,
        **ticks,
    )
    built.update_yaxes(
        autorange="reversed", ticksuffix=" ", tickvals=list(range(len(rows))), ticktext=list(rows), **ticks
    )
    return built


def reach_of(values: Sequence[float | None], *, least: float = 0.1) -> float:
    """Return the largest distance from 0, at least `least`, so that noise does not fill the scale."""
    return max([least, *(abs(v) for v in values if v is not None)])
