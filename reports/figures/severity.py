"""Severity curves: how a score falls as an image change grows."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from robustness.reports.data.datatable import table_of
from robustness.reports.data.frames import Frames
from robustness.reports.figures import theme
from robustness.reports.figures.figure import FigureText, capital, columns
from robustness.reports.figures.registry import FIGURES, FigureEntry, FigureInput
from robustness.reports.words import image_kind, interval, kind_words, metric_words, number
from robustness.results import is_searched, parse_condition

_COLUMNS = columns(
    ("series", "model"),
    ("severity", "severity"),
    ("clean_mean", "clean"),
    ("perturbed_mean", "changed"),
    ("effect", "loss"),
    ("ci_low", "low"),
    ("ci_high", "high"),
    ("n_images", "cases"),
    ("n_subjects", "units"),
)


@FIGURES.add("severity")
class Severity(FigureEntry):
    """One figure per image change, all series in it."""

    name = "severity"
    position = 70
    section = "robustness"
    regulatory = 7
    heading = "As the change grows"
    note = "Mean Dice. Band: interval of the paired loss, drawn at the clean mean."
    series_key = True

    def captions(self, source: FigureInput) -> list[FigureText]:
        """Return one caption per image change with at least two severities."""
        table = severity_table(source.frames.effects)
        return [_caption(str(kind), rows) for kind, rows in table.groupby("kind", sort=True)]

    def draw(self, caption: FigureText, frames: Frames) -> go.Figure:
        """Return the curves of one image change."""
        return severity_curve(frames.effects, caption.key)


def _caption(kind: str, rows: pd.DataFrame) -> FigureText:
    ends = rows.sort_values("severity").groupby("series", sort=False).tail(1)
    sentences = [
        f"{r['series']} from {number(r['clean_mean'])} clean to {number(r['perturbed_mean'])} at severity"
        f" {r['severity']}"
        for r in ends.to_dict("records")
    ]
    alt = f"Mean Dice against severity of {kind_words(kind)}: {'; '.join(sentences)}."
    table = table_of(rows, f"t-severity-{kind}", kind, _COLUMNS)
    return FigureText(f"severity-{kind}", "severity", kind, capital(kind_words(kind)), alt, table)


def severity_table(effects: pd.DataFrame, *, metric: str = "dice", least: int = 2) -> pd.DataFrame:
    """Return the rows behind the curves: single image perturbations with severities.

    Columns: those of `effects` plus `kind`, `severity`, and `low`, `high`: the interval of the paired loss placed at
    the row's clean mean. Kinds with fewer than `least` severities (flip, inversion) have no curve and are left out, and
    so are attacks, which have a figure of their own.
    """
    rows = effects[effects["metric"] == metric]
    parsed = [parse_condition(str(c)) for c in rows["condition"]]
    rows = rows.assign(severity=[c.severity for c in parsed], kind=[image_kind(str(c)) for c in rows["condition"]])
    single = [c.family == "image" and c.severity > 0 and not is_searched(c.parts[0]) for c in parsed]
    # As booleans: an empty list would choose no column instead of no row.
    rows = rows[pd.Series(single, rows.index, dtype=bool)]
    rows = rows.assign(low=rows["clean_mean"] - rows["ci_high"], high=rows["clean_mean"] - rows["ci_low"])
    n_severities = rows.groupby("kind")["severity"].transform("nunique")
    return rows[n_severities >= least].sort_values(["kind", "series", "severity"], kind="stable")


def severity_curve(effects: pd.DataFrame, kind: str, *, metric: str = "dice") -> go.Figure:
    """Draw mean `metric` against severity for one image change, one line with its band per series.

    Severity 0 is the clean mean of the same cases. `effects` needs the column `series`.
    """
    series = list(dict.fromkeys(effects["series"]))
    table = severity_table(effects[effects["condition"].map(image_kind) == kind], metric=metric)
    built = theme.figure(height=230, showlegend=False, margin={"l": 8, "r": 10, "t": 6, "b": 40})
    top = int(table["severity"].max()) if len(table) else 5
    built.update_xaxes(title_text="severity (0 = clean)", tickvals=list(range(top + 1)), range=[-0.15, top + 0.15])
    built.update_yaxes(title_text=f"mean {metric_words(metric)}", range=[0, 1.02], tickformat=".1f", dtick=0.2)
    for name, rows in table.groupby("series", sort=False):
        _add_curve(built, rows, str(name), series.index(name))
    return built


def _add_curve(built: go.Figure, rows: pd.DataFrame, name: str, index: int) -> None:
    colour = theme.SERIES[index % len(theme.SERIES)]
    first = float(rows["clean_mean"].iloc[0])
    x = [0, *rows["severity"].tolist()]
    low, high = [first, *rows["low"].tolist()], [first, *rows["high"].tolist()]
    built.add_trace(theme.band(x, low, high, colour=colour, name=name))
    notes = [
        "clean",
        *(
            f"loss {number(r['effect'])} {interval(r['ci_low'], r['ci_high'], level=r.get('level'))}"
            for r in rows.to_dict("records")
        ),
    ]
    built.add_trace(
        go.Scatter(
            x=x,
            y=[first, *rows["perturbed_mean"].tolist()],
            mode="lines+markers",
            name=theme.label(name),
            text=notes,
            line={"color": colour, "width": 2.2, "dash": theme.DASHES[index % len(theme.DASHES)]},
            marker={"symbol": theme.SERIES_SYMBOLS[index % len(theme.SERIES_SYMBOLS)], "size": 7, "color": colour},
            hovertemplate="<b>%{fullData.name}</b><br>severity %{x}: %{y:.3f}<br>%{text}<extra></extra>",
            legendgroup=theme.label(name),
        )
    )
