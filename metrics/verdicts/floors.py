"""Trivial floors: is the clean score of a model worth calling robust?"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from robustness.errors import counted
from robustness.metrics.inference.intervals import Values, t_interval
from robustness.metrics.pairing.coverage import Flags
from robustness.metrics.pairing.direction import CHANGE, orientation_of
from robustness.metrics.pairing.pairs import pair, subject_means, subject_values
from robustness.metrics.pairing.rows import Codes, Rows, metric_ends
from robustness.metrics.verdicts.evidence import base_name
from robustness.metrics.verdicts.settings import Settings
from robustness.results import CLEAN, REFERENCE_FRACTION

# The model's own score where it is asked for something else.
OWN_FLOORS = ("shuffled", "wrong_class")
# What tells a score worth keeping: the first of these that the table has.
SCORES = ("dice", "iou")
# How every reason begins that holds for all metrics of a model.
FLOOR_SAYS = "the clean "
_NAMES = {"dice": "Dice", "iou": "IoU"}


def floor_reason(rows: Rows, cells: pd.DataFrame, settings: Settings, *, own: bool = True) -> str:
    """Return why the clean Dice of one (model, dataset) carries no claim of robustness; "" where it does.

    What scores no more than the margin cannot lose it, and what scores no more than a trivial answer shows nothing by
    keeping its score. Shown means a lower t bound over subjects (confidence 1 - alpha): the mean lies above the margin,
    and above the Dice of the same cases for an empty mask, for a mask of the whole image (where the table has the
    column `reference_fraction`), and of the model itself under the prompt of another image (`shuffled`) or a prompt for
    a class that is not there (`wrong_class`). All must hold, so each has the whole error rate. Tables without `dice`
    are judged by `iou`; those with neither, and samples of fewer than `min_subjects`, are not judged here.

    `own`: the model's own score under other prompts counts; without it a model that reads no words passes.
    """
    score = _score_of(rows)
    means = _clean_means(rows, cells, score)[1] if score else np.empty(0)
    if settings.too_few(means.size):
        return ""
    bound, who = _low(means, settings), f"{FLOOR_SAYS}{_NAMES[score]} {means.mean():.3f}"
    if not bound > settings.margin_dice:
        return (
            f"{who} is not shown above the margin {settings.margin_dice:g}"
            f" (lower bound {bound:.3f}): what scores nothing cannot lose it"
        )
    trivial = trivial_reason(rows, cells, settings)
    return trivial or (_own_floor(rows, cells, score, who, settings) if own else "")


def unknown_reason(rows: Rows, cells: pd.DataFrame, settings: Settings) -> str:
    """Return that the clean score of one (model, dataset) is known of too few subjects to say anything; "" if not."""
    score = _score_of(rows)
    n = _clean_means(rows, cells, score)[1].size if score else 0
    if not settings.too_few(n):
        return ""
    subjects = f"{_NAMES.get(score, 'score')} is known of {counted(n, settings.unit)}"
    return f"{FLOOR_SAYS}{subjects}, fewer than {settings.min_subjects}: nothing shows what the prompts do as they are"


def trivial_reason(rows: Rows, cells: pd.DataFrame, settings: Settings) -> str:
    """Return which trivial mask, empty or of the whole image, the clean score is not shown to beat; "" for none."""
    score = _score_of(rows)
    clean, means = _clean_means(rows, cells, score) if score else (np.empty(0, np.int64), np.empty(0))
    if settings.too_few(means.size):
        return ""
    scores = rows.values(score)[clean]
    for name, floor in _trivial(rows, clean, score).items():
        gain = subject_values(rows, clean, scores - floor)[1]
        if not _low(gain, settings) > 0:
            return (
                f"{FLOOR_SAYS}{_NAMES[score]} {means.mean():.3f} is not shown above that of {name},"
                f" {means.mean() - gain.mean():.3f}"
            )
    return ""


def headroom_reason(rows: Rows, cells: pd.DataFrame, metric: str, margin: float, settings: Settings) -> str:
    """Return why a metric of one (model, dataset) cannot worsen by the margin; "" where it can, or has no end.

    The clean mean must be shown (lower t bound, confidence 1 - alpha) to lie further than the margin from the metric's
    worst value.
    """
    low, high = metric_ends(metric)
    if metric == CHANGE or metric not in rows.frame.columns or not math.isfinite(high):
        return ""
    _, means = _clean_means(rows, cells, metric)
    room = means - low if orientation_of(metric) == "clean - perturbed" else high - means
    if settings.too_few(room.size) or _low(room, settings) > margin:
        return ""
    return (
        f"a clean {metric} of {means.mean():.3f} is not shown to lie further than the margin {margin:g} from the worst"
        " value: it cannot lose that much"
    )


def _score_of(rows: Rows) -> str:
    return next((s for s in SCORES if s in rows.frame.columns and np.isfinite(rows.values(s)).any()), "")


def _clean_means(rows: Rows, cells: pd.DataFrame, metric: str) -> tuple[Codes, Values]:
    """Return the clean rows with a value, and one mean per subject."""
    values = rows.values(metric)
    clean = np.flatnonzero(np.isin(rows.cell, cells.index[cells["condition"] == CLEAN]) & np.isfinite(values))
    return clean, subject_values(rows, clean, values[clean])[1]


def _trivial(rows: Rows, clean: Codes, score: str) -> dict[str, Values]:
    """Return the score of trivial masks, one per clean row."""
    empty = _empty_reference(rows)[clean]
    floors = {"an empty mask": empty.astype(float)}
    if REFERENCE_FRACTION in rows.frame.columns:
        area = rows.values(REFERENCE_FRACTION)[clean]
        whole = np.where(np.isfinite(area), 2 * area / (1 + area) if score == "dice" else area, 0.0)
        floors["a mask of the whole image"] = np.where(empty, 0.0, whole)
    return floors


def _empty_reference(rows: Rows) -> Flags:
    """Return the rows whose reference is known to be empty."""
    empty = np.zeros(len(rows.frame), dtype=bool)
    for flag in ("both_empty", "hallucinated"):
        if flag in rows.frame.columns:
            empty |= rows.frame[flag].eq(True).fillna(False).to_numpy(dtype=bool)
    if REFERENCE_FRACTION in rows.frame.columns:
        empty |= rows.values(REFERENCE_FRACTION) == 0
    return empty


def _own_floor(rows: Rows, cells: pd.DataFrame, score: str, who: str, settings: Settings) -> str:
    for name in OWN_FLOORS:
        for cell in cells.index[[base_name(str(c)) == name for c in cells["condition"]]]:
            losses = pair(rows, score, "clean - perturbed", keep=rows.cell == cell)
            loss = subject_means(losses.effect, losses.subject)[1]
            own = subject_means(losses.perturbed, losses.subject)[1].mean() if loss.size else 0.0
            if not settings.too_few(loss.size) and not _low(loss, settings) > 0:
                return (
                    f"{who} is not shown above the model's own under {name} prompts,"
                    f" {own:.3f}: the score does not come from what the prompt asks for"
                )
    return ""


def _low(values: Values, settings: Settings) -> float:
    return t_interval(values, level=1 - 2 * settings.alpha).low
