"""Success curves of attacks: the share of cases that a change of each size is known to break."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from robustness.reports.data.datatable import frame_of, table_of
from robustness.reports.data.frames import ALPHA, Alphas, Frames
from robustness.reports.figures import theme
from robustness.reports.figures.figure import FigureText, columns
from robustness.reports.figures.registry import FIGURES, FigureEntry, FigureInput
from robustness.reports.words import attack_words, count, interval, number
from robustness.results import is_attack

MARGIN = 0.10
_COLUMNS = columns(
    ("series", "model"),
    ("condition", "condition"),
    ("eps", "eps (1/255)"),
    ("share", "share broken, at least"),
    ("share_low", "low"),
    ("share_high", "high"),
    ("clean_mean", "clean Dice"),
    ("attacked_mean", "attacked Dice, at most"),
    ("clean_failed", "clean below limit"),
    ("failed", "attacked below limit"),
    ("margin", "margin"),
    ("failed_low", "low"),
    ("failed_high", "high"),
    ("n_suspicious", "suspicious rows"),
    ("n_images", "cases"),
    ("n_subjects", "units"),
)


@FIGURES.add("attack")
class Attack(FigureEntry):
    """One success curve per attack whose rows state their eps."""

    name = "attack"
    position = 80
    section = "robustness"
    regulatory = 12
    heading = "Attacks: what small aimed changes can do"
    note = (
        "Share of cases whose Dice falls by more than the margin when every pixel may move by at most eps, chosen"
        " against this model. Band: distribution-free interval over units. An attack bounds robustness from one side:"
        " the true share is at least this, the score under the worst change of this size at most this. So attacks carry"
        " no verdict ROBUST, and signs that an attack did not work are no robustness either."
    )

    def captions(self, source: FigureInput) -> list[FigureText]:
        """Return one caption per attack; its rows are those of `attack_table` with an eps."""
        margin = source.frames.margin_dice or MARGIN
        table = attack_table(source.frames.results, margin=margin, alphas=source.frames.alphas)
        attacks = table[table["eps"].notna()].groupby("attack", sort=True)
        return [_caption(index, str(attack), rows, margin) for index, (attack, rows) in enumerate(attacks)]

    def draw(self, caption: FigureText, frames: Frames) -> go.Figure:
        """Return the success curve of one attack."""
        return success_curve(frame_of(caption.table), frames.series)


def _caption(index: int, attack: str, rows: pd.DataFrame, margin: float) -> FigureText:
    title = attack_title(attack)
    alt = f"{title}, share of cases that lose more than {margin:g} Dice against eps. {attack_says(rows)}"
    table = table_of(rows, f"t-attack-{index}", title, _COLUMNS)
    return FigureText(f"attack-{index}", "attack", attack, title, alt, table)


def attack_table(
    results: pd.DataFrame, *, margin: float | None = None, alphas: Alphas = MappingProxyType({})
) -> pd.DataFrame:
    """Return the rows behind the curves: those of `attack_success` with `series`, for each attack and eps.

    Conditions without a usable row are left out. Without a margin it is `MARGIN`; `alphas` are those of the plans by
    series.
    """
    from robustness.metrics.analyses.attacks import COLUMNS, attack_success

    attacks = [condition for condition in results["condition"].unique() if is_attack(str(condition))]
    names = list(results.loc[results["condition"].isin(attacks), "series"].unique())
    # One model on one data set is one series, whatever its rows say.
    tables = [
        attack_success(
            results[results["series"] == name], margin=margin or MARGIN, alpha=alphas.get(str(name), ALPHA)
        ).assign(series=name)
        for name in names
    ]
    table = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=[*COLUMNS, "series"])
    return table[table["n_images"] > 0].reset_index(drop=True)


def attack_says(rows: pd.DataFrame) -> str:
    """Return what one attack shows of all models: a bound, in words, at its largest eps, and any doubt about it.

    `rows` are those of one attack in `attack_table`.
    """
    sentences = []
    for series, mine in rows.groupby("series", sort=False):
        last = mine.sort_values("eps", kind="stable").iloc[-1]
        lost = f"{100 * last['share']:.0f}% of cases {_bounds(last)}"
        means = f"{number(last['attacked_mean'])} ({number(last['clean_mean'])} clean)"
        doubt = int(mine["n_suspicious"].sum())
        sentences.append(
            f"{series}: a change of at most {last['eps']:g}/255 costs at least {lost} more than {last['margin']:g}"
            f" Dice; mean Dice is at most {means}"
            + (
                f"; {count(doubt, 'row')} show{'s' if doubt == 1 else ''} signs that the attack did not work"
                if doubt
                else ""
            )
        )
    return "; ".join(sentences) + "."


def success_curve(table: pd.DataFrame, series: Sequence[str]) -> go.Figure:
    """Draw the share of cases that one attack breaks against eps, one line with its band per series.

    eps 0 is the clean image, which breaks no case by definition.

    Args:
        table: the rows of one attack in `attack_table`.
        series: all models of the page, in its order, so that each keeps its colour.
    """
    built = theme.figure(height=260, showlegend=len(series) > 1, margin={"l": 8, "r": 10, "t": 26, "b": 44})
    ticks = [0.0, *sorted(set(table["eps"].dropna()))]
    built.update_xaxes(title_text="eps in levels of 1/255", tickvals=ticks, ticktext=[f"{t:g}" for t in ticks])
    margin = float(table["margin"].iloc[0]) if len(table) else MARGIN
    built.update_yaxes(title_text=f"cases that lose over {margin:g} Dice", range=[0, 1.02], tickformat=".0%", dtick=0.2)
    for name, rows in table.groupby("series", sort=False):
        _add_curve(built, rows.sort_values("eps", kind="stable"), str(name), list(series).index(str(name)))
    return built


def _add_curve(built: go.Figure, rows: pd.DataFrame, name: str, index: int) -> None:
    colour = theme.SERIES[index % len(theme.SERIES)]
    x = [0.0, *rows["eps"].tolist()]
    low, high = [0.0, *rows["share_low"].tolist()], [0.0, *rows["share_high"].tolist()]
    built.add_trace(theme.band(x, low, high, colour=colour, name=name))
    notes = [
        "clean",
        *(f"{_bounds(r)}<br>mean Dice {number(r['attacked_mean'])}" for r in rows.to_dict("records")),
    ]
    built.add_trace(
        go.Scatter(
            x=x,
            y=[0.0, *rows["share"].tolist()],
            mode="lines+markers",
            name=theme.label(name),
            text=notes,
            line={"color": colour, "width": 2.2, "dash": theme.DASHES[index % len(theme.DASHES)]},
            marker={"symbol": theme.SERIES_SYMBOLS[index % len(theme.SERIES_SYMBOLS)], "size": 7, "color": colour},
            hovertemplate="<b>%{fullData.name}</b><br>eps %{x:g}/255: at least %{y:.0%}<br>%{text}<extra></extra>",
            legendgroup=theme.label(name),
        )
    )


def _bounds(row: Mapping[Any, Any] | pd.Series) -> str:
    return interval(row["share_low"], row["share_high"], 2, level=row["level"])


def attack_title(attack: str) -> str:
    """Return the heading of one attack's curve."""
    words = " + ".join(attack_words(part) for part in attack.split("+"))
    return words[:1].upper() + words[1:]
