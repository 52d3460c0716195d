"""Text-collapse plot: does a change of words reach the text embedding, and does the mask hear of it?"""

from __future__ import annotations

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from robustness.reports import theme
from robustness.reports.unit_means import unit_interval
from robustness.reports.words import interval, number, short_words

DISTANCE = "text_distance"
COLUMNS = (
    "series", "condition", "n_images", "n_subjects", "distance", "distance_low", "distance_high", "change",
    "change_low", "change_high",
)  # fmt: skip


def collapse_table(results: pd.DataFrame) -> pd.DataFrame:
    """Return, for every prompt change, the mean distance of its text embedding and the mean mask change.

    Columns `COLUMNS`; means over units with t intervals. Empty where the rows hold no column `text_distance`
    (1 - cosine similarity of the text embeddings of the changed and of the clean prompt, 0 to 2).
    """
    if DISTANCE not in results:
        return pd.DataFrame(columns=list(COLUMNS))
    used = results[(results["family"] == "prompt") & pd.to_numeric(results[DISTANCE], errors="coerce").notna()]
    made: list[dict[str, Any]] = []
    for (series, condition), rows in used.groupby(["series", "condition"], sort=False):
        far, moved = unit_interval(rows, DISTANCE), unit_interval(rows, "mask_change")
        made.append({
            "series": series, "condition": condition, "n_images": moved["n_images"], "n_subjects": moved["n_subjects"],
            "distance": far["mean"], "distance_low": far["ci_low"], "distance_high": far["ci_high"],
            "change": moved["mean"], "change_low": moved["ci_low"], "change_high": moved["ci_high"],
        })  # fmt: skip
    return pd.DataFrame(made, columns=list(COLUMNS))


def collapse_plot(results: pd.DataFrame) -> go.Figure:
    """Draw mask change against text distance, one point per prompt change of each series.

    Left: the words are lost in the text encoder. Right and low: the encoder tells them apart, the decoder does not
    listen. Right and high: the change of words moves the mask.
    """
    table = collapse_table(results)
    built = theme.figure(
        height=380, showlegend=table["series"].nunique() > 1, margin={"l": 8, "r": 10, "t": 30, "b": 44}
    )
    built.update_xaxes(title_text="distance of the text embeddings, 1 − cosine", rangemode="tozero", tickformat=".2~f")
    built.update_yaxes(title_text="mask change, 1 − IoU", range=[-0.03, 1.03], tickformat=".1f")
    for index, (name, rows) in enumerate(table.groupby("series", sort=False)):
        colour = theme.SERIES[index % len(theme.SERIES)]
        built.add_trace(go.Scatter(
            x=rows["distance"].tolist(), y=rows["change"].tolist(), mode="markers", name=theme.label(name),
            marker={"symbol": theme.SERIES_SYMBOLS[index % len(theme.SERIES_SYMBOLS)], "size": 10, "color": colour},
            text=[_hover(r) for r in rows.to_dict("records")], hovertemplate="%{text}<extra></extra>",
            customdata=[str(c) for c in rows["condition"]], meta=str(name),
            error_y={"type": "data", "symmetric": False, "color": colour, "thickness": 1.2, "width": 0,
                     "array": (rows["change_high"] - rows["change"]).fillna(0).tolist(),
                     "arrayminus": (rows["change"] - rows["change_low"]).fillna(0).tolist()},
        ))  # fmt: skip
    return built


def _hover(row: dict[Any, Any]) -> str:
    return (
        f"<b>{theme.label(short_words(row['condition']))}</b><br>text distance {number(row['distance'])}"
        f" {interval(row['distance_low'], row['distance_high'])}<br>mask change {number(row['change'])}"
        f" {interval(row['change_low'], row['change_high'])}<br>n = {row['n_images']} images,"
        f" {row['n_subjects']} units"
    )
