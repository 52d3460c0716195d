"""The benchmark's published figures: shown only where asked, labelled, and never among measured numbers."""

from __future__ import annotations

import csv
from functools import cache
from importlib import resources

import pandas as pd
import plotly.graph_objects as go

from robustness.reports.data.datatable import table_of
from robustness.reports.figures import theme
from robustness.reports.figures.figure import FigureText, columns
from robustness.reports.figures.grid import Cell, grid

SOURCE = (
    'Poudel et al., "Exploring Transfer Learning in Medical Image Segmentation using Vision-Language Models", '
    "MIDL 2024, arXiv:2308.07706"
)


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
    held = {(r["model"], r["finetuned_on"]): float(r["dice_percent"]) for r in rows.to_dict("records")}
    tested = rows["tested_on"].iloc[0]
    cells = [
        [
            Cell(held[m, h] / 100, f"{held[m, h]:.2f}", f"published: {m} finetuned on {h}, tested on {tested}")
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


def published_figure() -> FigureText:
    """Return the benchmark's published figures, which are shown only where they are asked for."""
    rows = published()
    said = [f"{r['model']} finetuned on {r['finetuned_on']} {r['dice_percent']:.2f}" for r in rows.to_dict("records")]
    alt = f"Published Dice in percent on {rows['tested_on'].iloc[0]}: {'; '.join(said)}."
    table = table_of(rows, "t-published", "Published figures", _PUBLISHED)
    source = f"Published, not measured here, Dice in percent. Source: {SOURCE}."
    return FigureText("published", "published", "", "Published figures of the benchmark", alt, table, (source,))


_PUBLISHED = columns(
    ("model", "model"),
    ("finetuned_on", "finetuned on"),
    ("tested_on", "tested on"),
    ("dice_percent", "published Dice, percent"),
)
