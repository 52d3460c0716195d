"""Does a changed image make a changed prompt worse than both alone: the interaction in an image x prompt grid."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from robustness.metrics.direction import orientation_of
from robustness.metrics.effects import check_alpha, subject_matrix
from robustness.metrics.intervals import t_interval
from robustness.metrics.pairing import Pairs, pair, subject_means
from robustness.metrics.rows import Codes, Rows, read_rows
from robustness.metrics.signflip import sign_flip
from robustness.results import parse_condition

COLUMNS = (
    "model", "dataset", "condition", "metric", "joint_effect", "sum_of_effects", "interaction", "ci_low", "ci_high",
    "p_value", "p_adjusted", "n_images", "n_subjects", "note",
)  # fmt: skip


def interactions(
    table: pd.DataFrame, *, metric: str = "dice", alpha: float = 0.05, resamples: int = 9999, seed: int = 0,
    higher_is_better: Mapping[str, bool | None] | None = None,
) -> pd.DataFrame:  # fmt: skip
    """Return, per joint condition A+B, the contrast effect(A+B) - effect(A) - effect(B), paired within case.

    Positive: together they do more harm than the sum of both alone; near -min(effect(A), effect(B)): the smaller one
    adds nothing once the other has done its damage. t interval on subject means, sign-flip p, max-T over the grid.

    Returns:
        One row per joint condition, columns `COLUMNS`; NaN and a note where a single condition is missing.

    Source: additive contrast of a 2 x 2 factorial; Cox 1984, doi:10.2307/1403235.
    """
    check_alpha(alpha, resamples)
    rows = read_rows(table)
    pairs = pair(rows, metric, orientation_of(metric, higher_is_better))
    found: list[dict[str, Any]] = []
    for _, cells in rows.cells.groupby("group", sort=True):
        joint = [int(cell) for cell in cells.index[cells["family"] == "joint"]]
        contrasts = [_contrast(rows, pairs, cells, cell) for cell in joint]
        values = [subject_means(c, s) for c, s, _, _, _ in contrasts]
        test = sign_flip(subject_matrix(values), resamples=resamples, seed=seed)
        for i, cell in enumerate(joint):
            contrast, _, together, apart, note = contrasts[i]
            interval = t_interval(values[i][1], level=1 - alpha)
            found.append(
                {name: cells.at[cell, name] for name in COLUMNS[:3]}
                | {
                    "metric": metric, "joint_effect": together, "sum_of_effects": apart,
                    "interaction": interval.estimate, "ci_low": interval.low, "ci_high": interval.high,
                    "p_value": test.p_value[i], "p_adjusted": test.p_adjusted[i], "n_images": contrast.size,
                    "n_subjects": values[i][1].size, "note": note,
                }
            )  # fmt: skip
    return pd.DataFrame(found, columns=list(COLUMNS))


def _contrast(
    rows: Rows, pairs: Pairs, cells: pd.DataFrame, cell: int
) -> tuple[np.ndarray, Codes, float, float, str]:  # fmt: skip
    """Return the contrast of each case that has all conditions, its subject, joint and summed mean effect, a note."""
    names = {str(name): int(c) for c, name in zip(cells.index, cells["condition"], strict=True)}
    parts = parse_condition(str(cells.at[cell, "condition"])).parts
    missing = [part for part in parts if part not in names]
    nothing = np.empty(0), np.empty(0, np.int64), math.nan, math.nan
    if missing:
        return *nothing, f"no rows of {', '.join(missing)} alone"
    effect = np.full((len(parts) + 1, rows.subject_of_case.size), np.nan)
    for place, single in enumerate([cell, *(names[part] for part in parts)]):
        where = pairs.of(single)
        effect[place, pairs.case[where]] = pairs.effect[where]
    known = np.flatnonzero(np.isfinite(effect).all(axis=0))
    if known.size == 0:
        return *nothing, "no case has all conditions"
    subject, together, apart = rows.subject_of_case[known], effect[0, known], effect[1:, known].sum(axis=0)
    means = [float(subject_means(v, subject)[1].mean()) for v in (together, apart)]
    return together - apart, subject, *means, ""
