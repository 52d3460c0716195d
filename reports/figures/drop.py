"""Loss of Dice per change: what each change costs, largest first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pandas as pd
import plotly.graph_objects as go

from robustness.reports.data.datatable import table_of
from robustness.reports.data.frames import Frames, severities_text
from robustness.reports.figures.figure import EFFECT_COLUMNS, FigureText
from robustness.reports.figures.forest import forest, span_of
from robustness.reports.figures.registry import FIGURES, FigureEntry, FigureInput
from robustness.reports.words import condition_words, count, image_kind, interval, metric_words, number, text
from robustness.results import parse_condition


@FIGURES.add("drop")
class Drop(FigureEntry):
    """One forest plot per series over the losses."""

    name = "drop"
    position = 40
    section = "robustness"
    regulatory = 7
    notebook = "loss"
    heading = "What each change costs"
    note = (
        "Loss of Dice with its interval, largest first; image changes at the highest severity that was run. Grey"
        " band: the margin up to which a loss is tolerated. Grey rings carry no robustness verdict."
    )

    def captions(self, source: FigureInput) -> list[FigureText]:
        """Return one caption per series; its rows are the Dice effects of `drop_conditions`."""
        effects = source.frames.effects
        order = drop_conditions(effects)
        losses = effects[(effects["metric"] == "dice") & effects["condition"].isin(order)]
        losses = losses.assign(position=[order.index(c) for c in losses["condition"]]).sort_values("position")
        per_series = [(i, s, losses[losses["series"] == s]) for i, s in enumerate(source.frames.series)]
        says = severities_text(source.frames.results)
        return [replace(_caption(i, series, rows), says=says) for i, series, rows in per_series if len(rows)]

    def draw(self, caption: FigureText, frames: Frames) -> go.Figure:
        """Return the forest plot; all series share conditions and range."""
        order = drop_conditions(frames.effects)
        shown = frames.effects[(frames.effects["metric"] == "dice") & frames.effects["condition"].isin(order)]
        claims = frames.verdicts[(frames.verdicts["claim"] == "robustness") & (frames.verdicts["metric"] == "dice")]
        margins = pd.to_numeric(claims["margin"]).dropna()
        margin = float(margins.iloc[0]) if len(margins) else math.nan
        span = span_of(shown["effect"], shown["ci_low"], shown["ci_high"], margins)
        verdicts = frames.verdicts[frames.verdicts["series"] == caption.key]
        rows = shown[shown["series"] == caption.key]
        return drop_forest(rows, verdicts, margin=margin, order=order, span=span)


def _caption(index: int, series: str, rows: pd.DataFrame) -> FigureText:
    worst = rows.iloc[0]
    alt = (
        f"Forest plot for {series}: loss of Dice under {count(len(rows), 'change')}. Largest: "
        f"{condition_words(text(worst['condition']))}, {number(worst['effect'])} "
        f"{interval(worst['ci_low'], worst['ci_high'], level=worst['level'])}."
    )
    table = table_of(rows, f"t-drop-{index}", series, EFFECT_COLUMNS)
    return FigureText(f"drop-{index}", "drop", series, series, alt, table)


def drop_conditions(effects: pd.DataFrame, *, metric: str = "dice") -> tuple[str, ...]:
    """Return the conditions of the loss figure: prompt perturbations, and image perturbations at the highest severity.

    Largest loss of any series first. The lower severities are in the severity curves and in the table of effects.
    """
    rows = effects[(effects["metric"] == metric) & effects["effect"].notna()]
    worst = pd.to_numeric(rows["effect"]).groupby(rows["condition"]).max().sort_values(ascending=False, kind="stable")
    parsed = {str(c): parse_condition(str(c)) for c in worst.index}
    top: dict[str, int] = {}
    for name, condition in parsed.items():
        if condition.family == "image":
            top[image_kind(name)] = max(top.get(image_kind(name), 0), condition.severity)
    return tuple(
        name
        for name, condition in parsed.items()
        if condition.family in ("prompt", "joint")
        or (condition.family == "image" and top[image_kind(name)] == condition.severity)
    )


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
    judged = verdicts[(verdicts["claim"] == "robustness") & (verdicts["metric"] == metric)]
    decided = dict(zip(judged["condition"], judged["verdict"], strict=True))
    rows = rows.assign(value=rows["effect"], verdict=[decided.get(c, "") for c in rows["condition"]], margin=margin)
    title = "mask change, 1 − IoU" if metric == "mask_change" else f"loss of {metric_words(metric)}, clean − changed"
    return forest(rows, order=order, span=span, title=title, two_sided=False)
