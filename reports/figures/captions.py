"""Which figures the page has, what they say in words, and the table behind each."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd

from robustness.reports.data.claims import condition_order
from robustness.reports.data.datatable import Column, table_of
from robustness.reports.data.frames import Frames
from robustness.reports.data.paired import Comparison
from robustness.reports.figures.captions_attacks import attack_figures
from robustness.reports.figures.captions_more import grids, paired_figures, sample_figures
from robustness.reports.figures.figure import FigureText, capital, columns
from robustness.reports.figures.published import published_figure
from robustness.reports.figures.scores import clean_scores, floor_scores
from robustness.reports.figures.severity import severity_table
from robustness.reports.words import condition_words, count, image_kind, interval, kind_words, number, text
from robustness.results import parse_condition


def captions(frames: Frames, *, compared: Sequence[Comparison] = (), published: bool = False) -> tuple[FigureText, ...]:
    """Return the figures that these tables can fill, in page order; with `published` the benchmark's figures too."""
    makers: tuple[Callable[[Frames], list[FigureText]], ...] = (
        _reliance,
        _heatmap,
        _drop,
        _severity,
        attack_figures,
        _scores,
        grids,
        sample_figures,
    )
    of_paper = [published_figure()] if published else []
    return (*(figure for make in makers for figure in make(frames)), *of_paper, *paired_figures(compared))


def drop_conditions(effects: pd.DataFrame, *, metric: str = "dice") -> tuple[str, ...]:
    """Return the conditions of the loss figure: all prompt changes, and every image change at its highest degree.

    Largest loss of any series first. The degrees below are in the severity curves and in the table of effects.
    """
    rows = effects[(effects["metric"] == metric) & effects["effect"].notna()]
    worst = pd.to_numeric(rows["effect"]).groupby(rows["condition"]).max().sort_values(ascending=False, kind="stable")
    parsed = {str(c): parse_condition(str(c)) for c in worst.index}
    top: dict[str, int] = {}
    for name, condition in parsed.items():
        if condition.family == "image":
            top[image_kind(name)] = max(top.get(image_kind(name), 0), condition.severity)
    return tuple(
        name
        for name, condition in parsed.items()
        if condition.family in ("prompt", "joint")
        or (condition.family == "image" and top[image_kind(name)] == condition.severity)
    )


def _reliance(frames: Frames) -> list[FigureText]:
    order = condition_order(frames.verdicts)
    made = []
    for index, series in enumerate(frames.series):
        rows = frames.verdicts
        rows = rows[(rows["series"] == series) & (rows["claim"] == "prompt") & rows["estimate"].notna()]
        if rows.empty:
            continue
        rows = rows.assign(place=[order.index(c) for c in rows["condition"]]).sort_values("place")
        said = [
            f"{condition_words(text(r['condition']))} {number(r['estimate'])} {interval(r['ci_low'], r['ci_high'])}"
            f" {text(r['verdict'])}"
            for r in rows.to_dict("records")
        ]
        alt = (
            f"Forest plot for {series}: excess mask change of each word swap with its interval. "
            + "; ".join(said)
            + "."
        )
        name = f"reliance-{index}"
        made.append(
            FigureText(name, "reliance", series, series, alt, table_of(rows, f"t-{name}", series, _CLAIM_COLUMNS))
        )
    return made


def _heatmap(frames: Frames) -> list[FigureText]:
    rows = frames.verdicts[frames.verdicts["claim"] == "prompt"]
    if len(frames.series) < 2 or rows.empty:
        return []
    changes = count(rows["condition"].nunique(), "prompt change")
    alt = f"Heat map of {changes} by {len(frames.series)} models; each cell writes its verdict."
    table = table_of(rows, "t-heatmap", "Words by model", _CLAIM_COLUMNS)
    return [FigureText("heatmap", "heatmap", "", "Which words move which model", alt, table)]


def _drop(frames: Frames) -> list[FigureText]:
    order = drop_conditions(frames.effects)
    made = []
    for index, series in enumerate(frames.series):
        rows = frames.effects
        rows = rows[(rows["series"] == series) & (rows["metric"] == "dice") & rows["condition"].isin(order)]
        if rows.empty:
            continue
        rows = rows.assign(place=[order.index(c) for c in rows["condition"]]).sort_values("place")
        worst = rows.iloc[0]
        alt = (
            f"Forest plot for {series}: loss of Dice under {count(len(rows), 'change')}. Largest: "
            f"{condition_words(text(worst['condition']))}, {number(worst['effect'])} "
            f"{interval(worst['ci_low'], worst['ci_high'])}."
        )
        name = f"drop-{index}"
        made.append(FigureText(name, "drop", series, series, alt, table_of(rows, f"t-{name}", series, _EFFECT_COLUMNS)))
    return made


def _severity(frames: Frames) -> list[FigureText]:
    table = severity_table(frames.effects)
    made = []
    for kind, rows in table.groupby("kind", sort=True):
        ends = rows.sort_values("severity").groupby("series", sort=False).tail(1)
        said = [
            f"{r['series']} from {number(r['clean_mean'])} clean to {number(r['perturbed_mean'])} at severity"
            f" {r['severity']}"
            for r in ends.to_dict("records")
        ]
        alt = f"Mean Dice against severity of {kind_words(str(kind))}: " + "; ".join(said) + "."
        name = f"severity-{kind}"
        data = table_of(rows, f"t-{name}", str(kind), _CURVE_COLUMNS)
        made.append(FigureText(name, "severity", str(kind), capital(kind_words(str(kind))), alt, data))
    return made


def _scores(frames: Frames) -> list[FigureText]:
    scores, floors = clean_scores(frames.results), floor_scores(frames.effects, frames.results)
    if scores.empty:
        return []
    rows = []
    for series in frames.series:
        held = scores[scores["series"] == series]["dice"]
        if held.empty:
            continue
        row = {"series": series, "n": len(held), "mean": held.mean(), "median": held.median()}
        row |= {"low": held.quantile(0.25), "high": held.quantile(0.75)}
        mine = floors[floors["series"] == series]
        rows.append(row | dict(zip(mine["condition"], mine["perturbed_mean"], strict=True)))
    names = list(dict.fromkeys(floors["condition"]))
    columns = [*_SCORE_COLUMNS, *(Column(c, f"floor: {condition_words(c)}", "number") for c in names)]
    said = [f"{r['series']} mean {number(r['mean'])}, median {number(r['median'])}, n = {r['n']}" for r in rows]
    alt = "Distribution of the clean Dice per case: " + "; ".join(said) + "."
    data = table_of(pd.DataFrame(rows), "t-scores", "Clean scores", columns)
    return [FigureText("scores", "scores", "", "Clean Dice per case, and the floors", alt, data)]


_CLAIM_COLUMNS = columns(
    ("series", "model"),
    ("condition", "condition"),
    ("metric", "metric"),
    ("verdict", "verdict"),
    ("estimate", "estimate"),
    ("ci_low", "low"),
    ("ci_high", "high"),
    ("margin", "margin"),
    ("n_images", "images"),
    ("n_subjects", "units"),
)
_EFFECT_COLUMNS = columns(
    ("series", "model"),
    ("condition", "condition"),
    ("clean_mean", "clean"),
    ("perturbed_mean", "changed"),
    ("effect", "loss"),
    ("ci_low", "low"),
    ("ci_high", "high"),
    ("n_images", "images"),
    ("n_subjects", "units"),
)
_CURVE_COLUMNS = columns(
    ("series", "model"),
    ("severity", "severity"),
    ("clean_mean", "clean"),
    ("perturbed_mean", "changed"),
    ("effect", "loss"),
    ("ci_low", "low"),
    ("ci_high", "high"),
    ("n_images", "images"),
    ("n_subjects", "units"),
)
_SCORE_COLUMNS = columns(
    ("series", "model"),
    ("n", "cases"),
    ("mean", "mean"),
    ("median", "median"),
    ("low", "25%"),
    ("high", "75%"),
)
