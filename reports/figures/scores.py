"""Clean scores: their distribution over cases, and the trivial baselines that a blind model would reach."""

from __future__ import annotations

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from robustness.reports.data.datatable import Column, table_of
from robustness.reports.data.floors import floor_scores
from robustness.reports.data.frames import Frames
from robustness.reports.figures import theme
from robustness.reports.figures.figure import FigureText, columns
from robustness.reports.figures.registry import FIGURES, FigureEntry, FigureInput
from robustness.reports.words import condition_words, metric_words, number

_SCORE_COLUMNS = columns(
    ("series", "model"),
    ("n", "cases"),
    ("mean", "mean of cases"),
    ("median", "median"),
    ("low", "25%"),
    ("high", "75%"),
)


_OF_CASES = "Here every case counts once; the score on the first screen gives every unit of inference the same weight."


@FIGURES.add("scores")
class Scores(FigureEntry):
    """One distribution per series, all on one axis."""

    name = "scores"
    position = 90
    section = "scores"
    regulatory = 5

    def captions(self, source: FigureInput) -> list[FigureText]:
        """Return one caption over all series that have clean scores."""
        scores = clean_scores(source.frames.results)
        if scores.empty:
            return []
        floors = floor_scores(source.frames.effects, source.frames.results)
        series = [s for s in source.frames.series if (scores["series"] == s).any()]
        rows = [_summary(s, scores[scores["series"] == s]["dice"], floors[floors["series"] == s]) for s in series]
        floor_columns = [
            Column(c, f"floor: {condition_words(c)}", "number") for c in dict.fromkeys(floors["condition"])
        ]
        sentences = [
            f"{r['series']} mean {number(r['mean'])}, median {number(r['median'])}, n = {r['n']}" for r in rows
        ]
        alt = f"Distribution of the clean Dice per case: {'; '.join(sentences)}."
        table = table_of(pd.DataFrame(rows), "t-scores", "Clean scores", [*_SCORE_COLUMNS, *floor_columns])
        return [FigureText("scores", "scores", "", "Clean Dice per case, and the floors", alt, table, (_OF_CASES,))]

    def draw(self, caption: FigureText, frames: Frames) -> go.Figure:
        """Return the distributions with their floors."""
        return score_distribution(frames.results, frames.effects)


def _summary(series: str, dice: pd.Series, floors: pd.DataFrame) -> dict[str, Any]:
    row: dict[str, Any] = {"series": series, "n": len(dice), "mean": dice.mean(), "median": dice.median()}
    row |= {"low": dice.quantile(0.25), "high": dice.quantile(0.75)}
    return row | dict(zip(floors["condition"], floors["perturbed_mean"], strict=True))


_FLOOR_COLOURS = {
    "empty": "#808894",
    "wrong_class": "#D55E00",
    "nonsense": "#B5639A",
    "absent": "#B5639A",
    "all_ones": "#009E73",
}
_MANY = 1500


def clean_scores(results: pd.DataFrame, *, metric: str = "dice") -> pd.DataFrame:
    """Return one row per (series, case_id): the clean score, averaged over the listed texts of the prompt."""
    scored = (results["condition"] == "clean") & results[metric].notna()
    rows = results.loc[scored, ["series", "case_id", metric]]
    rows = rows.assign(**{metric: pd.to_numeric(rows[metric])})
    return rows.groupby(["series", "case_id"], sort=False, as_index=False)[metric].mean()


def score_distribution(results: pd.DataFrame, effects: pd.DataFrame, *, metric: str = "dice") -> go.Figure:
    """Draw the clean scores of every series as box and points, with its floors as marks on the same row."""
    scores, floors = clean_scores(results, metric=metric), floor_scores(effects, results, metric=metric)
    series = list(dict.fromkeys(scores["series"]))
    built = theme.figure(height=110 + 92 * max(len(series), 1), showlegend=not floors.empty, boxgap=0.45)
    built.update_xaxes(
        title_text=f"{metric_words(metric)} per case (0 worst, 1 best)", range=[-0.03, 1.03], tickformat=".1f"
    )
    built.update_yaxes(
        tickmode="array",
        tickvals=list(range(len(series))),
        ticktext=[theme.label(s) for s in series],
        range=[len(series) - 0.4, -0.6],
        showgrid=False,
    )
    for index, name in enumerate(series):
        _add_box(built, scores[scores["series"] == name], metric, name, index)
    for condition, rows in floors.groupby("condition", sort=False):
        _add_floor(built, rows, str(condition), series)
    return built


def _add_box(built: go.Figure, rows: pd.DataFrame, metric: str, name: str, index: int) -> None:
    colour = theme.SERIES[index % len(theme.SERIES)]
    built.add_trace(
        go.Box(
            x=rows[metric].round(4).tolist(),
            y0=index,
            orientation="h",
            name=theme.label(name),
            showlegend=False,
            boxpoints="all" if len(rows) <= _MANY else "outliers",
            jitter=0.55,
            pointpos=0,
            boxmean=True,
            width=0.42,
            marker={"size": 4.5, "opacity": 0.4, "color": colour},
            line={"width": 1.6, "color": colour},
            fillcolor=theme.wash(colour, 0.10),
            text=[theme.label(c) for c in rows["case_id"]],
            hoveron="points",
            hovertemplate="%{text}<br>" + metric_words(metric) + " %{x:.3f}<extra></extra>",
        )
    )


def _add_floor(built: go.Figure, rows: pd.DataFrame, condition: str, series: list[str]) -> None:
    rows = rows[rows["series"].isin(series)]
    words = condition_words(condition)
    built.add_trace(
        go.Scatter(
            x=rows["perturbed_mean"].tolist(),
            y=[series.index(s) for s in rows["series"]],
            mode="markers",
            name=f"floor: {theme.label(words)}",
            marker={
                "symbol": "line-ns-open",
                "size": 44,
                "color": _FLOOR_COLOURS.get(condition, theme.NEUTRAL),
                "line": {"width": 3},
            },
            text=[
                f"{theme.label(words)}: mean {number(m)} (n = {n})"
                for m, n in zip(rows["perturbed_mean"], rows["n_images"], strict=True)
            ],
            hovertemplate="%{text}<extra></extra>",
        )
    )
