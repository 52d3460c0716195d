"""Forest plots: one row per claim or condition, its interval, and the margin it is judged by."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from robustness.reports.figures import theme
from robustness.reports.words import condition_words, interval, metric_words, number, short_words, text, verdict_style

CHANGE = "mask_change"


def reliance_forest(
    verdicts: pd.DataFrame, *, order: Sequence[str] | None = None, span: tuple[float, float] | None = None
) -> go.Figure:
    """Draw the prompt claims of one series: how far a word swap moves the mask beyond mere rewording.

    Args:
        verdicts: rows of verdicts.parquet of one model and dataset; those with ``claim == "prompt"`` are drawn.
        order: conditions from top to bottom; the table's order by default.
        span: x range, to make figures comparable.
    """
    rows = verdicts[(verdicts["claim"] == "prompt") & verdicts["estimate"].notna()]
    rows = rows.rename(columns={"estimate": "value"})
    title = "excess mask change, 1 − IoU"
    # FOLLOWS is decided by a gain in Dice, not by the mask change: such rows say so on the axis.
    marks = {c: f" · {metric_words(m)}" for c, m in zip(rows["condition"], rows["metric"], strict=True) if m != CHANGE}
    return _forest(rows, order=order, span=span, title=title, two_sided=True, marks=marks)


def drop_forest(
    effects: pd.DataFrame,
    verdicts: pd.DataFrame,
    *,
    metric: str = "dice",
    margin: float = math.nan,
    order: Sequence[str] | None = None,
    span: tuple[float, float] | None = None,
) -> go.Figure:
    """Draw the loss in `metric` per condition of one series, with its interval; right is worse.

    Args:
        effects: rows of effects.parquet of one model and dataset.
        verdicts: its verdicts; a robustness verdict gives the row's shape and colour.
        metric: the metric drawn.
        margin: the band's edge; NaN draws none.
        order: conditions from top to bottom.
        span: x range.
    """
    rows = effects[(effects["metric"] == metric) & effects["effect"].notna() & (effects["condition"] != "clean")]
    known = verdicts[(verdicts["claim"] == "robustness") & (verdicts["metric"] == metric)]
    decided = dict(zip(known["condition"], known["verdict"], strict=True))
    rows = rows.assign(value=rows["effect"], verdict=[decided.get(c, "") for c in rows["condition"]], margin=margin)
    return _forest(
        rows, order=order, span=span, title=f"loss of {metric_words(metric)}, clean − changed", two_sided=False
    )


_OUTCOMES = {"worse": "FRAGILE", "better": "FOLLOWS", "no difference shown": "INCONCLUSIVE"}


def paired_forest(differences: pd.DataFrame, *, metric: str = "dice") -> go.Figure:
    """Draw paired differences of two versions, one row per condition; right is worse than the baseline.

    Args:
        differences: columns condition, outcome, effect, ci_low, ci_high, n_images, n_subjects, in the order shown.
        metric: what differs.
    """
    rows = differences.assign(
        value=differences["effect"],
        metric=metric,
        margin=math.nan,
        verdict=[_OUTCOMES.get(text(o), "") for o in differences["outcome"]],
    )
    span = span_of(rows["value"], rows["ci_low"], rows["ci_high"])
    title = f"loss of {metric_words(metric)} against the baseline, paired"
    built = _forest(rows, order=None, span=span, title=title, two_sided=False)
    for trace in built.data:
        # The shapes are those of the verdicts; what they mean here is said by the outcome alone.
        trace.name = next((o for o, v in _OUTCOMES.items() if v == trace.name), trace.name)
        trace.text = [line.partition("<br>" + (_OUTCOMES.get(trace.name) or "-"))[0] for line in trace.text]
    return built


def span_of(*columns: pd.Series) -> tuple[float, float] | None:
    """Return a common x range that holds all values with a little air, or None where there is none."""
    values = pd.concat([pd.to_numeric(c, errors="coerce") for c in columns]).dropna()
    if values.empty:
        return None
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    air = 0.06 * max(high - low, 0.05)
    return low - air, high + air


def _forest(
    rows: pd.DataFrame,
    *,
    order: Sequence[str] | None,
    span: tuple[float, float] | None,
    title: str,
    two_sided: bool,
    marks: Mapping[str, str] = MappingProxyType({}),
) -> go.Figure:
    conditions = list(dict.fromkeys(order if order is not None else rows["condition"]))
    place = {condition: i for i, condition in enumerate(conditions)}
    rows = rows[rows["condition"].isin(place)].reset_index(drop=True)
    built = theme.figure(height=80 + theme.ROW_HEIGHT * max(len(conditions), 1), showlegend=False)
    built.update_xaxes(title_text=title, range=list(span) if span else None, zeroline=True, tickformat=".2~f")
    labels = [theme.label(short_words(c)) + marks.get(c, "") for c in conditions]
    built.update_yaxes(
        tickmode="array",
        tickvals=list(place.values()),
        ticktext=labels,
        range=[len(conditions) - 0.4, -0.6],
        showgrid=False,
    )
    _add_margins(built, rows, place, two_sided=two_sided, span=span)
    for verdict, group in rows.groupby(rows["verdict"].map(text), sort=False):
        built.add_trace(_points(group, place, str(verdict)))
    return built


def _add_margins(
    built: go.Figure, rows: pd.DataFrame, place: dict[str, int], *, two_sided: bool, span: tuple[float, float] | None
) -> None:
    left = span[0] if span else -1.0
    shapes: list[dict[str, Any]] = []
    for condition, margin in zip(rows["condition"], pd.to_numeric(rows["margin"]), strict=True):
        if math.isfinite(margin):
            y = place[condition]
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


def _points(group: pd.DataFrame, place: dict[str, int], verdict: str) -> go.Scatter:
    style = verdict_style(verdict)
    value, low, high = (pd.to_numeric(group[c]) for c in ("value", "ci_low", "ci_high"))
    return go.Scatter(
        x=value.tolist(),
        y=[place[c] for c in group["condition"]],
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
    lines = [
        f"<b>{theme.label(condition_words(text(row['condition'])))}</b>",
        f"{metric_words(text(row['metric']))} {number(row['value'])} {interval(row['ci_low'], row['ci_high'])}",
        f"n = {number(row['n_images'], 0)} images, {number(row['n_subjects'], 0)} units",
    ]
    if verdict:
        lines.append(f"{theme.label(verdict)} (margin {number(row['margin'], 2)})")
    return "<br>".join(lines)
