"""The benchmark's published figures: shown only where asked, labelled, and never among measured numbers."""

from __future__ import annotations

import csv
from functools import cache
from importlib import resources

import pandas as pd
import plotly.graph_objects as go

from robustness.reports.data.datatable import table_of
from robustness.reports.data.frames import Frames
from robustness.reports.figures import theme
from robustness.reports.figures.figure import FigureText, columns
from robustness.reports.figures.grid import Cell, grid
from robustness.reports.figures.registry import FIGURES, FigureEntry, FigureInput

SOURCE = (
    'Poudel et al., "Exploring Transfer Learning in Medical Image Segmentation using Vision-Language Models", '
    "MIDL 2024, arXiv:2308.07706"
)


_COLUMNS = columns(
    ("model", "model"),
    ("finetuned_on", "finetuned on"),
    ("tested_on", "tested on"),
    ("dice_percent", "published Dice, percent"),
)


@FIGURES.add("published")
class Published(FigureEntry):
    """One matrix, shown only where it is asked for."""

    name = "published"
    position = 120
    section = "scores"
    heading = "What was published"
    note = (
        "For orientation only: figures of a paper, on other data, splits and checkpoints than those of this run. Never"
        " compare a cell here with a cell above as if they were measured alike."
    )

    def captions(self, source: FigureInput) -> list[FigureText]:
        """Return the benchmark's published figures with their source."""
        if not source.published:
            return []
        rows = published()
        sentences = [
            f"{r['model']} finetuned on {r['finetuned_on']} {r['dice_percent']:.2f}" for r in rows.to_dict("records")
        ]
        alt = f"Published Dice in percent on {rows['tested_on'].iloc[0]}: {'; '.join(sentences)}."
        table = table_of(rows, "t-published", "Published figures", _COLUMNS)
        origin = f"Published, not measured here, Dice in percent. Source: {SOURCE}."
        return [FigureText("published", "published", "", "Published figures of the benchmark", alt, table, (origin,))]

    def draw(self, caption: FigureText, frames: Frames) -> go.Figure:
        """Return the published matrix."""
        return published_matrix()


@cache
def published() -> pd.DataFrame:
    """Return the benchmark's published Dice in percent: model, finetuned_on, tested_on, dice_percent."""
    text = resources.files("robustness.reports.figures").joinpath("published_dice.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    return pd.DataFrame(rows).astype({"dice_percent": "float64"})


def published_matrix() -> go.Figure:
    """Draw the published figures, model x data set of the finetuning, on the same colours as the measured matrix."""
    rows = published()
    models, homes = list(dict.fromkeys(rows["model"])), list(dict.fromkeys(rows["finetuned_on"]))
    dice_of = {(r["model"], r["finetuned_on"]): float(r["dice_percent"]) for r in rows.to_dict("records")}
    tested = rows["tested_on"].iloc[0]
    cells = [
        [
            Cell(dice_of[m, h] / 100, f"{dice_of[m, h]:.2f}", f"published: {m} finetuned on {h}, tested on {tested}")
            for h in homes
        ]
        for m in models
    ]
    return grid(
        cells,
        columns=[theme.label(h) for h in homes],
        rows=[theme.label(m) for m in models],
        reach=0.5,
        middle=0.5,
        column_title=f"finetuned on (tested on {tested}), Dice in percent",
    )
