"""Text-collapse plot: does a change of words reach the text embedding, and does the mask hear of it?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from robustness.reports.data.datatable import table_of
from robustness.reports.data.frames import ALPHA, Alphas, Frames
from robustness.reports.data.unit_means import unit_intervals
from robustness.reports.figures import theme
from robustness.reports.figures.figure import FigureText, columns
from robustness.reports.figures.registry import FIGURES, FigureEntry, FigureInput
from robustness.reports.words import count, interval, number, short_words

_TABLE_COLUMNS = columns(
    ("series", "model"),
    ("condition", "condition"),
    ("distance", "text distance"),
    ("distance_low", "low"),
    ("distance_high", "high"),
    ("change", "mask change"),
    ("change_low", "low"),
    ("change_high", "high"),
    ("n_images", "cases"),
    ("n_subjects", "units"),
)


@FIGURES.add("collapse")
class Collapse(FigureEntry):
    """One plot over all series whose rows hold text distances."""

    name = "collapse"
    position = 30
    section = "prompt"
    regulatory = 6
    heading = "Where the words get lost"
    note = (
        "Left: the text encoder hardly tells the two prompts apart. Right and low: it does, and the decoder does not"
        " listen. Right and high: the words reach the mask."
    )

    def captions(self, source: FigureInput) -> list[FigureText]:
        """Return one caption over the prompt changes with a text distance."""
        rows = collapse_table(source.frames.results, source.frames.alphas)
        if rows.empty:
            return []
        points = "; ".join(
            f"{r['series']} {short_words(r['condition'])} {number(r['distance'])} and {number(r['change'])}"
            for r in rows.to_dict("records")
        )
        changes = count(len(rows), "prompt change")
        alt = f"Mask change against distance of the text embeddings for {changes}: {points}."
        table = table_of(rows, "t-collapse", "Text and mask", _TABLE_COLUMNS)
        says = _partly_measured(source.frames.results)
        title = "Mask change against distance of the texts"
        return [FigureText("collapse", "collapse", "", title, alt, table, says)]

    def draw(self, caption: FigureText, frames: Frames) -> go.Figure:
        """Return the plot."""
        return collapse_plot(frames.results, frames.alphas)


DISTANCE = "text_distance"
COLUMNS = (
    "series",
    "condition",
    "n_images",
    "n_subjects",
    "distance",
    "distance_low",
    "distance_high",
    "change",
    "change_low",
    "change_high",
    "level",
)
_READ = ["series", "condition", "subject_id", "case_id", DISTANCE, "mask_change"]
_TICKS = (0.0, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0)
# Share of the axis; a label of five signs takes so much of a printed page.
_BETWEEN_TICKS = 0.07


def _apart(ticks: Sequence[float], width: float) -> list[float]:
    """Leave out ticks whose labels would touch that of the one before them."""
    rest = ticks[:1]
    for tick in ticks[1:]:
        if math.sqrt(tick) - math.sqrt(rest[-1]) >= _BETWEEN_TICKS * width:
            rest = [*rest, tick]
    return list(rest)


def collapse_table(results: pd.DataFrame, alphas: Alphas = MappingProxyType({})) -> pd.DataFrame:
    """Return, for every prompt change, the mean distance of its text embedding and the mean mask change.

    Columns `COLUMNS`; means over units with t intervals of `level` 1 - alpha, by the series' own `alphas`. The mask
    change is that of all texts of a case, as in the effects, also where only some of them have a distance. Empty where
    the rows hold no column `text_distance`
    (1 - cosine similarity of the text embeddings of the changed and of the clean prompt, 0 to 2).
    """
    names = [name for name, _ in _changes(results)]
    if not names:
        return pd.DataFrame(columns=list(COLUMNS))
    index = pd.MultiIndex.from_tuples(names, names=["series", "condition"])
    rows = _prompt_rows(results)
    of_series = [(rows[rows["series"] == s], 1 - alphas.get(s, ALPHA)) for s in dict.fromkeys(s for s, _ in names)]
    far, moved = (
        pd.concat([unit_intervals(own, c, by=index.names, level=level) for own, level in of_series]).reindex(index)
        for c in (DISTANCE, "mask_change")
    )
    counts = moved[["n_images", "n_subjects"]].fillna(0).astype(int)
    ends = {"mean": "", "ci_low": "_low", "ci_high": "_high"}
    means = [
        table[list(ends)].rename(columns={key: f"{name}{end}" for key, end in ends.items()})
        for name, table in (("distance", far), ("change", moved))
    ]
    table = pd.concat([counts, *means], axis=1).reset_index()
    return table.assign(level=[1 - alphas.get(s, ALPHA) for s in table["series"]])[list(COLUMNS)]


def _prompt_rows(results: pd.DataFrame) -> pd.DataFrame:
    return results.loc[(results["family"] == "prompt") & results["applicable"].fillna(True).astype(bool), _READ]


def _changes(results: pd.DataFrame) -> list[tuple[tuple[str, str], pd.DataFrame]]:
    """Return the applicable rows of every prompt change that has a text distance in any row."""
    if DISTANCE not in results:
        return []
    by_change = _prompt_rows(results).groupby(["series", "condition"], sort=False)
    groups = [((str(s), str(c)), rows) for (s, c), rows in by_change]
    return [(name, rows) for name, rows in groups if pd.to_numeric(rows[DISTANCE], errors="coerce").notna().any()]


def _partly_measured(results: pd.DataFrame) -> tuple[str, ...]:
    """Say of which changes only some texts have a distance."""
    sentences = []
    for (series, condition), rows in _changes(results):
        n = int(pd.to_numeric(rows[DISTANCE], errors="coerce").notna().sum())
        if n < len(rows):
            sentences.append(
                f"{series}, {short_words(condition)}: the mask change is the mean over {count(len(rows), 'row')}, the"
                f" distance that over the {n:,} for which one is recorded."
            )
    return tuple(sentences)


def collapse_plot(results: pd.DataFrame, alphas: Alphas = MappingProxyType({})) -> go.Figure:
    """Draw mask change against text distance, one point per prompt change of each series.

    Left: the words are lost in the text encoder. Right and low: the encoder tells them apart, the decoder does not
    listen. Right and high: the change of words moves the mask. The distance runs on a square-root scale: changes of one
    word lie close to 0, where a linear scale shows one blot.
    """
    table = collapse_table(results, alphas)
    built = theme.figure(
        height=380, showlegend=table["series"].nunique() > 1, margin={"l": 8, "r": 10, "t": 30, "b": 44}
    )
    furthest = pd.to_numeric(table["distance"]).max() if len(table) else 1.0
    ticks = [tick for tick in _TICKS if tick <= furthest] + [next((t for t in _TICKS if t > furthest), _TICKS[-1])]
    width = max(1.2 * math.sqrt(max(furthest, 1e-4)), 1.02 * math.sqrt(ticks[1]))
    ticks = _apart(ticks, width)
    built.update_xaxes(
        title_text="distance of the text embeddings, 1 − cosine (square-root scale)",
        showgrid=True,
        tickvals=[math.sqrt(t) for t in ticks],
        ticktext=[f"{t:g}" for t in ticks],
        range=[-0.02 * width, width],
    )
    built.update_yaxes(title_text="mask change, 1 − IoU", range=[-0.03, 1.03], tickformat=".1f")
    written = _written(table, width)
    for index, (name, rows) in enumerate(table.groupby("series", sort=False)):
        colour = theme.SERIES[index % len(theme.SERIES)]
        built.add_trace(
            go.Scatter(
                x=[_place(d) for d in rows["distance"]],
                y=rows["change"].tolist(),
                mode="markers+text",
                name=theme.label(name),
                text=[written[i] for i in rows.index],
                textposition="middle right",
                textfont={"size": 11},
                marker={"symbol": theme.SERIES_SYMBOLS[index % len(theme.SERIES_SYMBOLS)], "size": 10, "color": colour},
                hovertext=[_hover(r) for r in rows.to_dict("records")],
                hovertemplate="%{hovertext}<extra></extra>",
                customdata=[str(c) for c in rows["condition"]],
                meta=str(name),
                error_y={
                    "type": "data",
                    "symmetric": False,
                    "color": colour,
                    "thickness": 1.2,
                    "width": 0,
                    "array": (rows["change_high"] - rows["change"]).fillna(0).tolist(),
                    "arrayminus": (rows["change"] - rows["change_low"]).fillna(0).tolist(),
                },
            )
        )
    return built


def _written(table: pd.DataFrame, width: float) -> dict[Any, str]:
    """Return, per row, the name that stands beside its point; "" where the plot is too crowded for it."""
    points = [(_place(r["distance"]) / width, float(r["change"])) for r in table.to_dict("records")]
    return dict(
        zip(table.index, uncrowded(points, [theme.label(short_words(c)) for c in table["condition"]]), strict=True)
    )


def _place(distance: float) -> float:
    # 1 - cosine of two equal vectors can be a rounding error below 0.
    return math.sqrt(max(float(distance), 0.0))


def _hover(row: dict[Any, Any]) -> str:
    return (
        f"<b>{theme.label(short_words(row['condition']))}</b><br>text distance {number(row['distance'])}"
        f" {interval(row['distance_low'], row['distance_high'], level=row['level'])}<br>mask change"
        f" {number(row['change'])} {interval(row['change_low'], row['change_high'], level=row['level'])}"
        f"<br>n = {count(row['n_images'], 'case')},"
        f" {count(row['n_subjects'], 'unit')}"
    )


_CHARACTER, _LINE, _GAP = 0.0075, 0.05, 0.012


def uncrowded(points: Sequence[tuple[float, float]], labels: Sequence[str]) -> list[str]:
    """Return the labels, those that would cover a point or an earlier label left empty.

    Args:
        points: x and y in [0, 1], as shares of the plot's width and height; labels stand to their right.
        labels: one per point; the points far from the origin choose first.
    """
    shown = [""] * len(points)
    taken: list[tuple[float, float, float, float]] = []
    for i in sorted(range(len(points)), key=lambda i: -(points[i][0] + points[i][1])):
        x, y = points[i]
        box = (x + _GAP, x + _GAP + _CHARACTER * len(labels[i]), y - _LINE / 2, y + _LINE / 2)
        others = [
            (a - _GAP / 2, a + _GAP / 2, b - _LINE / 2, b + _LINE / 2) for j, (a, b) in enumerate(points) if j != i
        ]
        if box[1] <= 1 and not any(_meet(box, other) for other in (*taken, *others)):
            shown[i] = labels[i]
            taken.append(box)
    return shown


def _meet(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] < b[1] and b[0] < a[1] and a[2] < b[3] and b[2] < a[3]
