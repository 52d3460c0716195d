"""Dice against the threshold: is the score a matter of where the probabilities are cut?"""

from __future__ import annotations

import re
from types import MappingProxyType

import pandas as pd
import plotly.graph_objects as go

from robustness.reports.data.datatable import table_of
from robustness.reports.data.frames import ALPHA, Alphas, Frames
from robustness.reports.data.unit_means import unit_interval
from robustness.reports.figures import theme
from robustness.reports.figures.figure import FigureText, columns
from robustness.reports.figures.registry import FIGURES, FigureEntry, FigureInput
from robustness.reports.words import interval, number

_TABLE_COLUMNS = columns(
    ("series", "model"),
    ("threshold", "threshold"),
    ("mean", "mean Dice"),
    ("ci_low", "low"),
    ("ci_high", "high"),
    ("n_images", "cases"),
    ("n_subjects", "units"),
)


@FIGURES.add("thresholds")
class Thresholds(FigureEntry):
    """One figure over all series, where the rows hold Dice at several thresholds."""

    name = "thresholds"
    position = 100
    section = "scores"
    regulatory = 5

    def captions(self, source: FigureInput) -> list[FigureText]:
        """Return one caption; none where no other threshold was scored."""
        results = source.frames.results
        rows = threshold_table(results, source.frames.alphas) if threshold_columns(results) else pd.DataFrame()
        if rows.empty:
            return []
        best = rows.sort_values("mean", ascending=False, kind="stable").groupby("series", sort=False).head(1)
        sentences = [
            f"{r['series']} is best at {r['threshold']:g} with {number(r['mean'])}" for r in best.to_dict("records")
        ]
        alt = f"Mean clean Dice against the threshold: {'; '.join(sentences)}."
        table = table_of(rows, "t-thresholds", "Thresholds", _TABLE_COLUMNS)
        return [FigureText("thresholds", "thresholds", "", "Dice against the threshold", alt, table)]

    def draw(self, caption: FigureText, frames: Frames) -> go.Figure:
        """Return the curves."""
        return threshold_curves(frames.results, frames.alphas)


_COLUMN = re.compile(r"^dice(?:_at_|@|_t)(0?\.\d+)$")
COLUMNS = ("series", "threshold", "n_images", "n_subjects", "mean", "ci_low", "ci_high", "level")


def threshold_columns(results: pd.DataFrame) -> dict[str, float]:
    """Return the columns that hold Dice at another threshold (``dice_at_0.30``), with that threshold, in its order."""
    thresholds = {str(c): float(m.group(1)) for c in results.columns if (m := _COLUMN.match(str(c)))}
    scored = {c: t for c, t in thresholds.items() if pd.to_numeric(results[c], errors="coerce").notna().any()}
    return dict(sorted(scored.items(), key=lambda item: item[1]))


def threshold_table(results: pd.DataFrame, alphas: Alphas = MappingProxyType({})) -> pd.DataFrame:
    """Return the clean mean Dice of every series at every stored threshold (columns `COLUMNS`), with t intervals.

    Their `level` is 1 - alpha, by the series' own `alphas`.
    """
    clean = results[results["condition"] == "clean"]
    records = [
        {
            "series": series,
            "threshold": threshold,
            **unit_interval(rows, column, level=1 - alphas.get(str(series), ALPHA)),
        }
        for series, rows in clean.groupby("series", sort=False)
        for column, threshold in threshold_columns(results).items()
    ]
    return pd.DataFrame(records, columns=list(COLUMNS)).dropna(subset=["mean"])


def threshold_curves(results: pd.DataFrame, alphas: Alphas = MappingProxyType({})) -> go.Figure:
    """Draw the mean clean Dice against the threshold on the probability, one line with its band per series."""
    table = threshold_table(results, alphas)
    built = theme.figure(height=300, showlegend=True, margin={"l": 8, "r": 10, "t": 30, "b": 44})
    built.update_xaxes(title_text="threshold on the probability", range=[0, 1], tickformat=".1f", dtick=0.1)
    built.update_yaxes(title_text="mean clean Dice", range=[0, 1.02], tickformat=".1f", dtick=0.2)
    for index, (name, rows) in enumerate(table.groupby("series", sort=False)):
        colour = theme.SERIES[index % len(theme.SERIES)]
        x = rows["threshold"].tolist()
        low, high = rows["ci_low"].fillna(rows["mean"]).tolist(), rows["ci_high"].fillna(rows["mean"]).tolist()
        built.add_trace(
            go.Scatter(
                x=x + x[::-1],
                y=high + low[::-1],
                fill="toself",
                fillcolor=theme.wash(colour, 0.16),
                mode="lines",
                line={"width": 0},
                hoverinfo="skip",
                showlegend=False,
            )
        )
        built.add_trace(
            go.Scatter(
                x=x,
                y=rows["mean"].tolist(),
                mode="lines+markers",
                name=theme.label(name),
                line={"color": colour, "width": 2.2, "dash": theme.DASHES[index % len(theme.DASHES)]},
                marker={"symbol": theme.SERIES_SYMBOLS[index % len(theme.SERIES_SYMBOLS)], "size": 7, "color": colour},
                text=[
                    f"{number(r['mean'])} {interval(r['ci_low'], r['ci_high'], level=r['level'])}"
                    for r in rows.to_dict("records")
                ],
                hovertemplate="<b>%{fullData.name}</b><br>threshold %{x}: %{text}<extra></extra>",
            )
        )
    return built
