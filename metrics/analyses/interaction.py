"""Interaction of image and prompt perturbations in a grid: the loss of both beyond the sum of each alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from robustness.metrics.inference.intervals import Values, t_interval
from robustness.metrics.inference.mean_interval import mean_interval
from robustness.metrics.inference.signflip import check_alpha, guarded, sign_flip
from robustness.metrics.pairing.direction import orientation_of
from robustness.metrics.pairing.pairs import Pairs, pair, subject_matrix, subject_means
from robustness.metrics.pairing.rows import Codes, Rows, read_rows
from robustness.results import is_searched, parse_condition

COLUMNS = (
    "model",
    "dataset",
    "condition",
    "metric",
    "joint_effect",
    "sum_of_effects",
    "interaction",
    "ci_low",
    "ci_high",
    "p_value",
    "p_adjusted",
    "n_images",
    "n_subjects",
    "note",
    "prompt_effect",
    "prompt_low",
    "prompt_high",
    "prompt_effect_changed",
    "prompt_changed_low",
    "prompt_changed_high",
    "image_mean",
    "family_size",
)
# Where the image change alone leaves less than this, the words have next to nothing left to lose.
FLOOR = 0.1


class Contrast(NamedTuple):
    """One joint condition on the cases that have all four cells of its 2 x 2: one value per case.

    Attributes:
        subject: of each case.
        together: what both changes cost; `by_image`, `by_prompt`: what each costs alone.
        image_score: the score under the image change alone.
        note: why there are no values.
    """

    subject: Codes
    together: Values
    by_image: Values
    by_prompt: Values
    image_score: Values
    note: str = ""


def interactions(
    table: pd.DataFrame,
    *,
    metric: str = "dice",
    alpha: float = 0.05,
    resamples: int = 9999,
    seed: int = 0,
    higher_is_better: Mapping[str, bool | None] | None = None,
) -> pd.DataFrame:
    """Return, per joint condition A+B, the contrast effect(A+B) - effect(A) - effect(B), paired within case.

    Positive: together they do more harm than the sum of both alone; near -min(effect(A), effect(B)): the smaller one
    adds nothing once the other has done its damage. t interval on subject means, sign-flip p, max-T over the joint
    conditions of a (model, dataset); both guarded where the sample is skewed (`mean_interval`, `guarded`).

    With A an image change and B a change of the words, the contrast is also what the right words are worth on the
    changed image, effect(A+B) - effect(A), minus what they are worth on the clean one, effect(B): above 0 reliance on
    text rises as the image degrades; and it is what the image's change costs with the changed words minus what it
    costs with the right ones: above 0 the right words rescue that much. One contrast answers both questions.

    Returns:
        One row per joint condition, columns `COLUMNS`: `prompt_effect` is effect(B), `prompt_effect_changed`
        effect(A+B) - effect(A), both with t intervals, `image_mean` the mean score under A alone. NaN and a note where
        a single condition is missing.

    Source: additive contrast of a 2 x 2 factorial; Cox 1984, doi:10.2307/1403235.
    """
    check_alpha(alpha, resamples)
    rows = read_rows(table)
    pairs = pair(rows, metric, orientation_of(metric, higher_is_better))
    records: list[dict[str, Any]] = []
    for _, cells in rows.cells.groupby("group", sort=True):
        # A search for the worst of both aims one part at the other: no contrast of two changes.
        aimed = cells["condition"].map(is_searched).astype(bool)
        joint = [int(cell) for cell in cells.index[(cells["family"] == "joint") & ~aimed]]
        contrasts = [_contrast(rows, pairs, cells, cell) for cell in joint]
        values = [subject_means(c.together - c.by_image - c.by_prompt, c.subject) for c in contrasts]
        matrix = subject_matrix(values)
        test = guarded(sign_flip(matrix, resamples=resamples, seed=seed), matrix)
        for i, cell in enumerate(joint):
            interval = mean_interval(values[i][1], level=1 - alpha).interval
            records.append(
                {name: cells.at[cell, name] for name in COLUMNS[:3]}
                | {
                    "metric": metric,
                    "interaction": interval.estimate,
                    "ci_low": interval.low,
                    "ci_high": interval.high,
                    "p_value": test.p_value[i],
                    "p_adjusted": test.p_adjusted[i],
                    "n_images": contrasts[i].together.size,
                    "n_subjects": values[i][1].size,
                    "note": contrasts[i].note,
                    "family_size": test.family_size,
                }
                | _parts(contrasts[i], alpha)
            )
    return pd.DataFrame(records, columns=list(COLUMNS))


def reading(row: Mapping[Any, Any], *, alpha: float = 0.05) -> str:
    """Say what a row of `interactions` answers; nothing is claimed where the adjusted p value is not below `alpha`."""
    if not math.isfinite(row["interaction"]):
        return str(row["note"]) or "not testable"
    if not math.isfinite(row["p_adjusted"]):
        return "too few units to tell"
    if not row["p_adjusted"] < alpha:
        return "no difference shown"
    if row["interaction"] > 0:
        return "the words matter more on the changed image: the right ones rescue part of its loss"
    spent = row["image_mean"] < FLOOR
    return "the words matter less on the changed image" + (", which leaves next to nothing to lose" if spent else "")


def _parts(contrast: Contrast, alpha: float) -> dict[str, float]:
    """Return the means behind a contrast: what the words are worth on the clean and on the changed image."""

    def over_subjects(values: Values) -> Values:
        return subject_means(values, contrast.subject)[1]

    clean = t_interval(over_subjects(contrast.by_prompt), level=1 - alpha)
    changed = t_interval(over_subjects(contrast.together - contrast.by_image), level=1 - alpha)
    apart, together, score = (
        t_interval(over_subjects(v), level=1 - alpha).estimate
        for v in (contrast.by_image + contrast.by_prompt, contrast.together, contrast.image_score)
    )
    return {
        "joint_effect": together,
        "sum_of_effects": apart,
        "image_mean": score,
        "prompt_effect": clean.estimate,
        "prompt_low": clean.low,
        "prompt_high": clean.high,
        "prompt_effect_changed": changed.estimate,
        "prompt_changed_low": changed.low,
        "prompt_changed_high": changed.high,
    }


def _contrast(rows: Rows, pairs: Pairs, cells: pd.DataFrame, cell: int) -> Contrast:
    """Return the parts of a joint condition on each case that has all of its conditions."""
    names = {str(name): int(c) for c, name in zip(cells.index, cells["condition"], strict=True)}
    parts = parse_condition(str(cells.at[cell, "condition"])).parts
    missing = [part for part in parts if part not in names]
    if missing:
        return _no_contrast(f"no rows of {', '.join(missing)} alone")
    effect = np.full((len(parts) + 1, rows.subject_of_case.size), np.nan)
    score = np.full(rows.subject_of_case.size, np.nan)
    for index, single in enumerate([cell, *(names[part] for part in parts)]):
        where = pairs.of(single)
        effect[index, pairs.case[where]] = pairs.effect[where]
        if index == 1:
            score[pairs.case[where]] = pairs.perturbed[where]
    complete = np.flatnonzero(np.isfinite(effect).all(axis=0))
    if complete.size == 0:
        return _no_contrast("no case has all conditions")
    together, by_image, by_prompt = effect[0, complete], effect[1, complete], effect[2:, complete].sum(axis=0)
    return Contrast(rows.subject_of_case[complete], together, by_image, by_prompt, score[complete])


def _no_contrast(note: str) -> Contrast:
    nothing = np.empty(0)
    return Contrast(np.empty(0, np.int64), nothing, nothing, nothing, nothing, note)
