"""Forest plots: one row per claim or condition, its interval, and the margin it is judged by."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from robustness.reports.figures import theme
from robustness.reports.words import (
    condition_words,
    count,
    interval,
    metric_words,
    number,
    short_words,
    text,
    verdict_style,
)


def span_of(*columns: pd.Series) -> tuple[float, float] | None:
    """Return a common x range that holds all values with a little air, or None where there is none."""
    values = pd.concat([pd.to_numeric(c, errors="coerce") for c in columns]).dropna()
    if values.empty:
        return None
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    air = 0.06 * max(high - low, 0.05)
    return low - air, high + air


def forest(
    rows: pd.DataFrame,
    *,
    order: Sequence[str] | None,
    span: tuple[float, float] | None,
    title: str,
    two_sided: bool,
    marks: Mapping[str, str] = MappingProxyType({}),
) -> go.Figure:
    """Draw one line per condition: value, interval, margin band, and the verdict as shape and colour.

    Args:
        rows: columns condition, metric, verdict, value, ci_low, ci_high, level, margin, n_images, n_subjects.
        order: conditions from top to bottom; the table's order where it is None.
        span: x range; plotly's own where it is None.
        title: what the x axis shows.
        two_sided: the margin band runs to both sides of 0, or from the left end to the margin.
        marks: text behind the label of a condition.
    """
    conditions = list(dict.fromkeys(order if order is not None else rows["condition"]))
    positions = {condition: i for i, condition in enumerate(conditions)}
    rows = rows[rows["condition"].isin(positions)].reset_index(drop=True)
    built = theme.figure(height=80 + theme.ROW_HEIGHT * max(len(conditions), 1), showlegend=False)
    built.update_xaxes(title_text=title, range=list(span) if span else None, zeroline=True, tickformat=".2~f")
    labels = [theme.label(short_words(c)) + marks.get(c, "") for c in conditions]
    built.update_yaxes(
        tickmode="array",
        tickvals=list(positions.values()),
        ticktext=labels,
        range=[len(conditions) - 0.4, -0.6],
        showgrid=False,
    )
    _add_margins(built, rows, positions, two_sided=two_sided, span=span)
    for verdict, group in rows.groupby(rows["verdict"].map(text), sort=False):
        built.add_trace(_points(group, positions, str(verdict)))
    return built


def _add_margins(
    built: go.Figure,
    rows: pd.DataFrame,
    positions: dict[str, int],
    *,
    two_sided: bool,
    span: tuple[float, float] | None,
) -> None:
    left = span[0] if span else -1.0
    shapes: list[dict[str, Any]] = []
    for condition, margin in zip(rows["condition"], pd.to_numeric(rows["margin"]), strict=True):
        if math.isfinite(margin):
            y = positions[condition]
            shapes.append(
                {
                    "type": "rect",
                    "layer": "below",
                    "line": {"width": 0},
                    "fillcolor": theme.BAND,
                    "x0": -margin if two_sided else left,
                    "x1": margin,
                    "y0": y - 0.5,
                    "y1": y + 0.5,
                }
            )
    built.layout.shapes = shapes


def _points(group: pd.DataFrame, positions: dict[str, int], verdict: str) -> go.Scatter:
    style = verdict_style(verdict)
    value, low, high = (pd.to_numeric(group[c]) for c in ("value", "ci_low", "ci_high"))
    return go.Scatter(
        x=value.tolist(),
        y=[positions[c] for c in group["condition"]],
        mode="markers",
        name=verdict,
        marker={"symbol": style.symbol, "color": style.colour, "size": 10, "line": {"color": style.colour, "width": 2}},
        error_x={
            "type": "data",
            "symmetric": False,
            "color": style.colour,
            "thickness": 1.6,
            "width": 0,
            "array": (high - value).fillna(0).tolist(),
            "arrayminus": (value - low).fillna(0).tolist(),
        },
        text=[_hover(row, verdict) for row in group.to_dict("records")],
        hovertemplate="%{text}<extra></extra>",
        customdata=[text(c) for c in group["condition"]],
        meta=text(group["series"].iloc[0]) if "series" in group else None,
    )


def _hover(row: dict[Any, Any], verdict: str) -> str:
    # The prompt claims on mask change are about the excess over paraphrase, which can be below 0.
    excess = row.get("claim") == "prompt" and row["metric"] == "mask_change"
    quantity = "excess mask change" if excess else ""
    lines = [
        f"<b>{theme.label(condition_words(text(row['condition'])))}</b>",
        f"{quantity or metric_words(text(row['metric']))} {number(row['value'])}"
        f" {interval(row['ci_low'], row['ci_high'], level=row.get('level'))}",
        f"n = {count(row['n_images'], 'case')}, {count(row['n_subjects'], 'unit')}",
    ]
    if verdict:
        lines.append(f"{theme.label(verdict)} (margin {number(row['margin'], 2)})")
    if verdict.startswith(("INCONCLUSIVE", "UNTESTABLE")) and text(row.get("rule")):
        lines.append(f"why: {theme.label(text(row['rule']))}")
    return "<br>".join(lines)
