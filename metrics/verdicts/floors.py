"""Trivial floors: is the clean score of a model worth calling robust?"""

from __future__ import annotations

import numpy as np
import pandas as pd

from robustness.metrics.inference.intervals import Values, t_interval
from robustness.metrics.pairing.coverage import Flags
from robustness.metrics.pairing.pairs import pair, subject_means, subject_values
from robustness.metrics.pairing.rows import Codes, Rows
from robustness.metrics.verdicts.evidence import base_name
from robustness.metrics.verdicts.settings import Settings
from robustness.results import CLEAN, REFERENCE_FRACTION

# The model's own score where it is asked for something else.
OWN_FLOORS = ("shuffled", "wrong_class")
SCORE = "dice"
# How every reason begins.
FLOOR_SAYS = "the clean Dice"


def floor_reason(rows: Rows, cells: pd.DataFrame, settings: Settings) -> str:
    """Return why the clean Dice of one (model, dataset) carries no claim of robustness; "" where it does.

    What scores no more than the margin cannot lose it, and what scores no more than a trivial answer shows nothing by
    keeping its score. Shown means a lower t bound over subjects (confidence 1 - alpha): the mean lies above the margin,
    and above the Dice of the same cases for an empty mask, for a mask of the whole image (where the table has the
    column `reference_fraction`), and of the model itself under the prompt of another image (`shuffled`) or a prompt for
    a class that is not there (`wrong_class`). All must hold, so each has the whole error rate. Tables without `dice`
    and samples of fewer than `min_subjects` are not judged here.
    """
    if SCORE not in rows.frame.columns:
        return ""
    scores = rows.values(SCORE)
    clean = np.flatnonzero(np.isin(rows.cell, cells.index[cells["condition"] == CLEAN]) & np.isfinite(scores))
    means = subject_values(rows, clean, scores[clean])[1]
    if settings.too_few(means.size):
        return ""
    bound = _low(means, settings)
    if not bound > settings.margin_dice:
        return (
            f"{FLOOR_SAYS} {means.mean():.3f} is not shown above the margin {settings.margin_dice:g}"
            f" (lower bound {bound:.3f}): what scores nothing cannot lose it"
        )
    for name, floor in _trivial(rows, clean, scores).items():
        gain = subject_values(rows, clean, scores[clean] - floor)[1]
        if not _low(gain, settings) > 0:
            return (
                f"{FLOOR_SAYS} {means.mean():.3f} is not shown above that of {name}, {means.mean() - gain.mean():.3f}"
            )
    return _own_floor(rows, cells, float(means.mean()), settings)


def _trivial(rows: Rows, clean: Codes, scores: Values) -> dict[str, Values]:
    """Return the Dice of trivial masks, one per clean row."""
    empty = _empty_reference(rows)[clean]
    floors = {"an empty mask": empty.astype(float)} if empty.any() else {}
    if REFERENCE_FRACTION in rows.frame.columns:
        area = rows.values(REFERENCE_FRACTION)[clean]
        whole = np.where(np.isfinite(area), 2 * area / (1 + area), 0.0)
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


def _own_floor(rows: Rows, cells: pd.DataFrame, clean: float, settings: Settings) -> str:
    for name in OWN_FLOORS:
        for cell in cells.index[[base_name(str(c)) == name for c in cells["condition"]]]:
            losses = pair(rows, SCORE, "clean - perturbed", keep=rows.cell == cell)
            loss = subject_means(losses.effect, losses.subject)[1]
            if not settings.too_few(loss.size) and not _low(loss, settings) > 0:
                return (
                    f"{FLOOR_SAYS} {clean:.3f} is not shown above the model's own under {name} prompts,"
                    f" {clean - loss.mean():.3f}: the score does not come from what the prompt asks for"
                )
    return ""


def _low(values: Values, settings: Settings) -> float:
    return t_interval(values, level=1 - 2 * settings.alpha).low
