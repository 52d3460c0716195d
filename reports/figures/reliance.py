"""Excess mask change per word: how far each word swap moves the mask beyond a mere paraphrase."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from robustness.reports.data.claims import condition_order
from robustness.reports.data.datatable import table_of
from robustness.reports.data.frames import Frames
from robustness.reports.figures.figure import CLAIM_COLUMNS, FigureText
from robustness.reports.figures.forest import forest, span_of
from robustness.reports.figures.registry import FIGURES, FigureEntry, FigureInput
from robustness.reports.words import condition_words, interval, metric_words, number, text


@FIGURES.add("reliance")
class Reliance(FigureEntry):
    """One forest plot per series over its prompt claims."""

    name = "reliance"
    position = 10
    section = "prompt"
    regulatory = 6
    notebook = "forest"
    heading = "How far each change moves the mask"
    note = (
        "Excess mask change over paraphrase, with the interval that decided. Grey band: the margin. An interval"
        " wholly inside it says that the words do not matter, one wholly beyond it that they do; a point inside it"
        " whose interval leaves it decides nothing, and an undecided row says why when the pointer is on it. Rows"
        " marked “Dice” carry the other quantity, by which FOLLOWS is decided: the smaller of the gains when the mask"
        " leaves one target and reaches the other."
    )

    def captions(self, source: FigureInput) -> list[FigureText]:
        """Return one caption per series with an estimate; its rows are the prompt claims in the page's order."""
        verdicts = source.frames.verdicts
        order = condition_order(verdicts)
        claims = verdicts[(verdicts["claim"] == "prompt") & verdicts["estimate"].notna()]
        claims = claims.assign(position=[order.index(c) for c in claims["condition"]]).sort_values("position")
        per_series = [(i, s, claims[claims["series"] == s]) for i, s in enumerate(source.frames.series)]
        return [_caption(i, series, rows) for i, series, rows in per_series if len(rows)]

    def draw(self, caption: FigureText, frames: Frames) -> go.Figure:
        """Return the forest plot; all series share conditions and range."""
        table = frames.verdicts[frames.verdicts["claim"] == "prompt"]
        estimated = set(table[table["estimate"].notna()]["condition"])
        order = [c for c in condition_order(frames.verdicts) if c in estimated]
        span = span_of(table["estimate"], table["ci_low"], table["ci_high"], table["margin"], -table["margin"])
        return reliance_forest(table[table["series"] == caption.key], order=order, span=span)


def _caption(index: int, series: str, rows: pd.DataFrame) -> FigureText:
    sentences = [
        f"{condition_words(text(r['condition']))} {number(r['estimate'])}"
        f" {interval(r['ci_low'], r['ci_high'], level=r['level'])} {text(r['verdict'])}"
        for r in rows.to_dict("records")
    ]
    alt = f"Forest plot for {series}: excess mask change of each word swap with its interval. {'; '.join(sentences)}."
    table = table_of(rows, f"t-reliance-{index}", series, CLAIM_COLUMNS)
    return FigureText(f"reliance-{index}", "reliance", series, series, alt, table)


def reliance_forest(
    verdicts: pd.DataFrame, *, order: Sequence[str] | None = None, span: tuple[float, float] | None = None
) -> go.Figure:
    """Draw the prompt claims of one series: how far a word swap moves the mask beyond a mere paraphrase.

    Args:
        verdicts: rows of verdicts.parquet of one model and dataset; those with ``claim == "prompt"`` are drawn.
        order: conditions from top to bottom; the table's order by default.
        span: x range, to make figures comparable.
    """
    rows = verdicts[(verdicts["claim"] == "prompt") & verdicts["estimate"].notna()]
    rows = rows.rename(columns={"estimate": "value"})
    title = "excess mask change, 1 − IoU"
    # FOLLOWS is decided by a gain in Dice, not by the mask change: such rows say so on the axis.
    marks = {
        c: f" · {metric_words(m)}" for c, m in zip(rows["condition"], rows["metric"], strict=True) if m != "mask_change"
    }
    return forest(rows, order=order, span=span, title=title, two_sided=True, marks=marks)
