"""Finetuned on, tested on: models by data sets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from robustness.metrics.analyses.transfer import COLUMNS, transfer
from robustness.reports.data.datatable import table_of
from robustness.reports.data.frames import ALPHA, Frames
from robustness.reports.data.origins import Origin
from robustness.reports.figures import theme
from robustness.reports.figures.figure import FigureText, columns
from robustness.reports.figures.grid import Cell, grid
from robustness.reports.figures.registry import FIGURES, FigureEntry, FigureInput
from robustness.reports.words import count, interval, metric_words, number

_COLUMNS = columns(
    ("model", "model"),
    ("text", "kind"),
    ("finetuned_on", "finetuned on"),
    ("dataset", "tested on"),
    ("mean", "mean Dice"),
    ("ci_low", "low"),
    ("ci_high", "high"),
    ("loss", "loss against own data"),
    ("loss_low", "low"),
    ("loss_high", "high"),
    ("p_adjusted", "p adj."),
    ("retention", "share kept"),
    ("retention_low", "low"),
    ("retention_high", "high"),
    ("n_images", "cases"),
    ("n_subjects", "units"),
    ("note", "note"),
)


@FIGURES.add("matrix")
class Matrix(FigureEntry):
    """One matrix over all models and data sets."""

    name = "matrix"
    position = 110
    section = "scores"
    regulatory = 5
    heading = "On other data"
    note = (
        'Clean mean Dice of every model on every data set; "own" marks what a model was finetuned on. Down a column'
        " the patients are the same. Along a row they differ: losses are unpaired (Welch's interval on units, p by"
        " permuting units, Holm over a model's other data sets)."
    )

    def captions(self, source: FigureInput) -> list[FigureText]:
        """Return one caption where there are several data sets."""
        rows = matrix_table(source.frames.results, source.frames.origins, alpha=source.frames.alpha)
        if rows.empty:
            return []
        sentences = [f"{r['model']} on {r['dataset']} {number(r['mean'])}" for r in rows.to_dict("records")]
        alt = f"Matrix of clean mean Dice, model by data set: {'; '.join(sentences)}."
        table = table_of(rows, "t-matrix", "Finetuned on, tested on", _COLUMNS)
        title = "Every model on every data set, nothing changed"
        return [FigureText("matrix", "matrix", "", title, alt, table, says(rows))]

    def draw(self, caption: FigureText, frames: Frames) -> go.Figure:
        """Return the matrix."""
        return transfer_matrix(frames.results, frames.origins, alpha=frames.alpha)


Origins = Mapping[str, Origin]


def matrix_table(
    results: pd.DataFrame,
    origins: Origins | None = None,
    *,
    metric: str = "dice",
    alpha: float = ALPHA,
    resamples: int = 9999,
    seed: int = 0,
) -> pd.DataFrame:
    """Return the clean score of every model on every data set, and what it loses against its own data.

    Columns: those of `robustness.metrics.analyses.transfer`, `level` of its intervals, and `text` ("vision-language",
    "image only" or "").
    One data set alone gives no rows: a matrix of one column says nothing that the scores do not.
    """
    clean = _once(results[(results["condition"] == "clean") & results[metric].notna()])
    if clean["dataset"].nunique() < 2:
        return pd.DataFrame(columns=[*COLUMNS, "level", "text"])
    origin_of = origins or {}
    homes = {name: origin.finetuned_on for name, origin in origin_of.items()}
    losses = transfer(clean, homes, metric=metric, alpha=alpha, resamples=resamples, seed=seed)
    kinds = {True: "vision-language", False: "image only", None: ""}
    return losses.assign(level=1 - alpha, text=[kinds[origin_of.get(m, Origin()).reads_text] for m in losses["model"]])


def transfer_matrix(
    results: pd.DataFrame, origins: Origins | None = None, *, metric: str = "dice", alpha: float = ALPHA
) -> go.Figure:
    """Draw model x data set: the clean mean of `metric` in each cell; a model's own data are marked.

    Different patients: a difference along a row is not paired.
    """
    rows = matrix_table(results, origins, metric=metric, alpha=alpha, resamples=99)
    models, datasets = list(dict.fromkeys(rows["model"])), list(dict.fromkeys(rows["dataset"]))
    row_of = {(r["model"], r["dataset"]): r for r in rows.to_dict("records")}
    cells = [[_cell(row_of.get((m, d)), metric) for d in datasets] for m in models]
    labels = [_label(next(r for r in rows.to_dict("records") if r["model"] == m)) for m in models]
    return grid(
        cells,
        columns=[theme.label(d) for d in datasets],
        rows=labels,
        reach=0.5,
        middle=0.5,
        column_title="tested on",
    )


def says(rows: pd.DataFrame) -> tuple[str, ...]:
    """Return what the rows of `matrix_table` say of each model away from its own data."""
    sentences = []
    for model, mine in rows.groupby("model", sort=False):
        away = mine[mine["loss"].notna()]
        if away.empty:
            sentences.append(f"{model}: {mine['note'].iloc[0] or 'no other data set'}; nothing to compare with.")
            continue
        parts = [
            f"on {r['dataset']} {number(r['mean'])}, a loss of {number(r['loss'])}{_bounds(r)}"
            f" ({100 * r['retention']:.0f}% kept)"
            for r in away.to_dict("records")
        ]
        sentences.append(
            f"{model}, on its own data ({mine['finetuned_on'].iloc[0]}) {number(away['own_mean'].iloc[0])}: "
            f"{'; '.join(parts)}."
        )
    return tuple(sentences)


def _once(clean: pd.DataFrame) -> pd.DataFrame:
    """Keep the first run of each model on each data set: two runs of one page may hold the same cases."""
    if "series" not in clean:
        return clean
    first = clean.groupby(["model", "dataset"], sort=False)["series"].transform("first")
    return clean[clean["series"] == first]


def _bounds(row: Mapping[Any, Any]) -> str:
    return "" if pd.isna(row["loss_low"]) else f" {interval(row['loss_low'], row['loss_high'], level=row['level'])}"


def _label(row: Mapping[Any, Any]) -> str:
    of_text = " (image only)" if row["text"] == "image only" else ""
    home = f", finetuned on {row['finetuned_on']}" if row["finetuned_on"] else ""
    return theme.label(f"{row['model']}{of_text}{home}")


def _cell(row: Mapping[Any, Any] | None, metric: str) -> Cell | None:
    if row is None or pd.isna(row["mean"]):
        return None
    against = "" if pd.isna(row["loss"]) else f"<br>loss against its own data {number(row['loss'])}{_bounds(row)}"
    hover = (
        f"{theme.label(row['model'])} on {theme.label(row['dataset'])}<br>clean {metric_words(metric)}"
        f" {number(row['mean'])} {interval(row['ci_low'], row['ci_high'], level=row['level'])}{against}"
        f"<br>n = {count(row['n_images'], 'case')}, {count(row['n_subjects'], 'unit')}"
    )
    return Cell(float(row["mean"]), number(row["mean"], 2) + (" own" if row["own"] else ""), hover)
