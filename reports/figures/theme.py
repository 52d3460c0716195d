"""One look for every figure: palette, type, and the light and dark templates."""

from __future__ import annotations

import html
from typing import Any

import plotly.graph_objects as go

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'Liberation Sans', Arial, sans-serif"

# Okabe & Ito's set, ordered so that neighbours differ in lightness too; all are legible on white and on near-black.
SERIES = ("#0072B2", "#E07B00", "#009E73", "#B5639A", "#3B9BD9", "#8A6D3B")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
SERIES_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x")
BAND = "rgba(128,136,148,0.16)"
NEUTRAL = "#808894"
_LOW, _HIGH = "#C8640A", "#0B62A0"
ROW_HEIGHT = 26


def _template(*, ink: str, soft: str, grid: str, zero: str, paper: str, middle: str) -> dict[str, Any]:
    axis = {
        "gridcolor": grid,
        "zerolinecolor": zero,
        "linecolor": grid,
        "tickcolor": "rgba(0,0,0,0)",
        "ticks": "outside",
        "ticklen": 6,
        "zeroline": False,
        "tickfont": {"color": soft, "size": 12},
        "title": {"font": {"color": soft, "size": 12.5}, "standoff": 10},
        "automargin": True,
    }
    layout = {
        "font": {"family": FONT, "size": 13, "color": ink},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "xaxis": axis,
        "yaxis": axis,
        "colorway": list(SERIES),
        "coloraxis": {"colorscale": [[0.0, _LOW], [0.5, middle], [1.0, _HIGH]]},
        "hoverlabel": {"bgcolor": paper, "bordercolor": grid, "font": {"color": ink, "size": 12.5}, "align": "left"},
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "font": {"color": ink, "size": 12.5}},
        "margin": {"l": 8, "r": 12, "t": 8, "b": 44},
    }
    return {"layout": layout}


LIGHT = _template(ink="#1c2127", soft="#59616c", grid="#e4e7eb", zero="#9aa2ad", paper="#ffffff", middle="#eef0f2")
DARK = _template(ink="#e8eaed", soft="#a3abb6", grid="#2c323a", zero="#68717d", paper="#1b2026", middle="#2b3138")


def figure(*, height: int, **layout: Any) -> go.Figure:
    """Return an empty figure in the light look; `layout` entries are added to it."""
    # Set at once: update_layout(template=...) walks the whole template, 30 times slower.
    return go.Figure(layout={"template": LIGHT, "height": height, "dragmode": False, **layout})


def band(x: list[float], low: list[float], high: list[float], *, colour: str, name: str) -> go.Scatter:
    """Return the band between `low` and `high` over `x`: a wash of the line's colour that answers no hover."""
    return go.Scatter(
        x=x + x[::-1],
        y=high + low[::-1],
        fill="toself",
        fillcolor=wash(colour, 0.16),
        line={"width": 0},
        hoverinfo="skip",
        name=label(name),
        legendgroup=label(name),
        showlegend=False,
        mode="lines",
    )


def label(text: object) -> str:
    """Escape data-born text for plotly, which renders a subset of HTML in every label."""
    return html.escape(str(text), quote=False)


def wash(colour: str, alpha: float) -> str:
    """Return ``#rrggbb`` as ``rgba(...)`` with opacity `alpha` in [0, 1]."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha})"
