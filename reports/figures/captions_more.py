"""Captions of the matrices, of the figures that need the rows themselves, and of paired differences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import pandas as pd

from robustness.reports.data.datatable import table_of
from robustness.reports.data.frames import Frames
from robustness.reports.data.paired import Comparison
from robustness.reports.figures.collapse import collapse_table
from robustness.reports.figures.figure import FigureText, columns
from robustness.reports.figures.joint import joint_answers, joint_table
from robustness.reports.figures.matrix import matrix_table, says
from robustness.reports.figures.ranks import SCENES, rank_table
from robustness.reports.figures.shift import shift_table
from robustness.reports.figures.thresholds import threshold_columns, threshold_table
from robustness.reports.words import condition_words, count, interval, kind_words, number, short_words, text


def grids(frames: Frames) -> list[FigureText]:
    """Return the matrices: loss by kind and severity, joint grids, model by data set."""
    made = []
    for index, series in enumerate(frames.series):
        mine = frames.effects[frames.effects["series"] == series]
        rows = shift_table(mine)
        if len(rows):
            worst = rows.sort_values("effect", ascending=False, kind="stable").iloc[0]
            alt = (
                f"Matrix for {series}: loss of Dice for {count(rows['kind'].nunique(), 'image change')} by severity."
                f" Largest: {kind_words(worst['kind'])}, severity {worst['severity']}, {number(worst['effect'])}"
                f" {interval(worst['ci_low'], worst['ci_high'])}."
            )
            table = table_of(rows, f"t-shift-{index}", series, _SHIFT)
            made.append(FigureText(f"shift-{index}", "shift", series, series, alt, table))
        pairs = joint_table(mine, frames.results[frames.results["series"] == series])
        if len(pairs):
            worst = pairs.sort_values("effect", ascending=False, kind="stable").iloc[0]
            alt = (
                f"Joint grid for {series}: loss of Dice when image and prompt change together. Largest:"
                f" {short_words(text(worst['condition']))}, {number(worst['effect'])}, of which"
                f" {number(worst['interaction'])} beyond the sum of each alone."
            )
            table = table_of(pairs, f"t-joint-{index}", series, _JOINT)
            says = joint_answers(pairs)
            made.append(FigureText(f"joint-{index}", "joint", series, series, alt, table, says))
    return made + _matrix(frames)


def _matrix(frames: Frames) -> list[FigureText]:
    rows = matrix_table(frames.results, frames.origins)
    if rows.empty:
        return []
    said = [f"{r['model']} on {r['dataset']} {number(r['mean'])}" for r in rows.to_dict("records")]
    alt = f"Matrix of clean mean Dice, model by data set: {'; '.join(said)}."
    table = table_of(rows, "t-matrix", "Finetuned on, tested on", _MATRIX)
    title = "Every model on every data set, nothing changed"
    return [FigureText("matrix", "matrix", "", title, alt, table, says(rows))]


def sample_figures(frames: Frames) -> list[FigureText]:
    """Return ranks, threshold curves and the text-collapse plot, where the rows hold what they need."""
    made = []
    for scene, title in SCENES.items():
        ranks = rank_table(frames.results, scene) if len(frames.series) > 1 else pd.DataFrame()
        if len(ranks):
            said = [
                f"{r['series']} mean {number(r['mean'])}, first in {100 * r['first']:.0f}%"
                for r in ranks.to_dict("records")
            ]
            alt = f"Ranks by {title.lower()} over bootstrap samples of the units: {'; '.join(said)}."
            table = table_of(ranks, f"t-rank-{scene}", title, _RANKS)
            made.append(FigureText(f"rank-{scene}", "rank", scene, title, alt, table))
    cuts = threshold_table(frames.results) if threshold_columns(frames.results) else pd.DataFrame()
    if len(cuts):
        best = cuts.sort_values("mean", ascending=False, kind="stable").groupby("series", sort=False).head(1)
        said = [
            f"{r['series']} is best at {r['threshold']:g} with {number(r['mean'])}" for r in best.to_dict("records")
        ]
        alt = f"Mean clean Dice against the threshold: {'; '.join(said)}."
        table = table_of(cuts, "t-thresholds", "Thresholds", _CUTS)
        made.append(FigureText("thresholds", "thresholds", "", "Dice against the threshold", alt, table))
    words = collapse_table(frames.results)
    if len(words):
        alt = (
            f"Mask change against distance of the text embeddings for {count(len(words), 'prompt change')}: "
            + "; ".join(
                f"{r['series']} {short_words(r['condition'])} {number(r['distance'])} and {number(r['change'])}"
                for r in words.to_dict("records")
            )
            + "."
        )
        table = table_of(words, "t-collapse", "Text and mask", _COLLAPSE)
        made.append(FigureText("collapse", "collapse", "", "Mask change against distance of the texts", alt, table))
    return made


def paired_figures(compared: Sequence[Comparison]) -> list[FigureText]:
    """Return one figure per comparison: paired differences in Dice, what got worse on top."""
    made = []
    for index, one in enumerate(compared):
        if not one.differences:
            continue
        rows = pd.DataFrame([asdict(d) for d in one.differences]).assign(series=one.series)
        first = one.differences[0]
        worse = sum(d.outcome == "worse" for d in one.differences)
        alt = (
            f"Forest plot of {one.series} against {one.baseline}: paired difference in Dice under"
            f" {count(len(one.differences), 'condition')}, {worse} worse. First: {condition_words(first.condition)}"
            f" {number(first.effect)} {interval(first.ci_low, first.ci_high)}."
        )
        title = f"{one.series} against {one.baseline}"
        table = table_of(rows, f"t-paired-{index}", title, _PAIRED)
        made.append(FigureText(f"paired-{index}", "paired", one.series, title, alt, table))
    return made


_SHIFT = columns(
    ("series", "model"),
    ("condition", "condition"),
    ("severity", "severity"),
    ("effect", "loss"),
    ("ci_low", "low"),
    ("ci_high", "high"),
    ("clean_mean", "clean"),
    ("perturbed_mean", "changed"),
    ("n_images", "images"),
    ("n_subjects", "units"),
)
_JOINT = columns(
    ("series", "model"),
    ("condition", "condition"),
    ("effect", "loss together"),
    ("ci_low", "low"),
    ("ci_high", "high"),
    ("image_effect", "image alone"),
    ("prompt_effect", "words worth, clean picture"),
    ("prompt_effect_changed", "words worth, changed picture"),
    ("interaction", "interaction"),
    ("interaction_low", "low"),
    ("interaction_high", "high"),
    ("interaction_p", "p adj."),
    ("reading", "reading"),
    ("n_images", "images"),
    ("n_subjects", "units"),
)
_MATRIX = columns(
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
_RANKS = columns(
    ("series", "model"),
    ("rank", "rank"),
    ("mean", "mean Dice"),
    ("first", "share of samples first"),
    ("rank_low", "rank, 2.5%"),
    ("rank_high", "rank, 97.5%"),
    ("n_subjects", "units"),
)
_CUTS = columns(
    ("series", "model"),
    ("threshold", "threshold"),
    ("mean", "mean Dice"),
    ("ci_low", "low"),
    ("ci_high", "high"),
    ("n_images", "cases"),
    ("n_subjects", "units"),
)
_COLLAPSE = columns(
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
_PAIRED = columns(
    ("series", "model"),
    ("condition", "condition"),
    ("outcome", "outcome"),
    ("baseline_mean", "before"),
    ("mean", "now"),
    ("effect", "loss"),
    ("ci_low", "low"),
    ("ci_high", "high"),
    ("p_adjusted", "p adj."),
    ("n_images", "images"),
    ("n_subjects", "units"),
)
