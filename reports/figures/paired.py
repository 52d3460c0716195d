"""Paired differences of two models or versions, what got worse on top."""

from __future__ import annotations

import math
from dataclasses import asdict

import pandas as pd
import plotly.graph_objects as go

from robustness.reports.data.datatable import frame_of, table_of
from robustness.reports.data.frames import Frames
from robustness.reports.data.paired import Comparison
from robustness.reports.figures.figure import FigureText, columns
from robustness.reports.figures.forest import forest, span_of
from robustness.reports.figures.registry import FIGURES, FigureEntry, FigureInput
from robustness.reports.words import condition_words, count, interval, metric_words, number, text

_MOST_DRAWN = 30
_COLUMNS = columns(
    ("series", "model"),
    ("condition", "condition"),
    ("outcome", "outcome"),
    ("baseline_mean", "before"),
    ("mean", "now"),
    ("effect", "loss"),
    ("ci_low", "low"),
    ("ci_high", "high"),
    ("p_adjusted", "p adj."),
    ("n_images", "cases"),
    ("n_subjects", "units"),
)


@FIGURES.add("paired")
class Paired(FigureEntry):
    """One forest plot per comparison with the baseline."""

    name = "paired"
    position = 130
    section = "comparison"
    note = (
        "Paired difference in Dice with its interval; right of 0 is worse than the baseline. At most the first"
        f" {_MOST_DRAWN} are drawn, all stand in the table."
    )

    def captions(self, source: FigureInput) -> list[FigureText]:
        """Return one caption per comparison that has differences."""
        return [_caption(index, one) for index, one in enumerate(source.comparisons) if one.differences]

    def draw(self, caption: FigureText, frames: Frames) -> go.Figure:
        """Return the forest plot of the first rows."""
        return paired_forest(frame_of(caption.table).head(_MOST_DRAWN))


def _caption(index: int, one: Comparison) -> FigureText:
    rows = pd.DataFrame([asdict(d) for d in one.differences]).assign(series=one.series)
    first = one.differences[0]
    worse = sum(d.outcome == "worse" for d in one.differences)
    title = f"{one.series} against {one.baseline}"
    alt = (
        f"Forest plot of {title}: paired difference in Dice under"
        f" {count(len(one.differences), 'condition')}, {worse} worse. First: {condition_words(first.condition)}"
        f" {number(first.effect)} {interval(first.ci_low, first.ci_high, level=first.level)}."
    )
    table = table_of(rows, f"t-paired-{index}", title, _COLUMNS)
    return FigureText(f"paired-{index}", "paired", one.series, title, alt, table)


_OUTCOMES = {"worse": "FRAGILE", "better": "FOLLOWS", "no difference shown": "INCONCLUSIVE"}


def paired_forest(differences: pd.DataFrame, *, metric: str = "dice") -> go.Figure:
    """Draw paired differences of two versions, one row per condition; right is worse than the baseline.

    Args:
        differences: columns condition, outcome, effect, ci_low, ci_high, level, n_images, n_subjects, in page order.
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
    built = forest(rows, order=None, span=span, title=title, two_sided=False)
    for trace in built.data:
        # The shapes are those of the verdicts; what they mean here is said by the outcome alone.
        trace.name = next((o for o, v in _OUTCOMES.items() if v == trace.name), trace.name)
        trace.text = [line.partition("<br>" + (_OUTCOMES.get(trace.name) or "-"))[0] for line in trace.text]
    return built
