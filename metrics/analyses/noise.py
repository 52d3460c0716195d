"""Rerun noise: what the same input predicted twice changes; no claim may rest on less."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from robustness.metrics.inference.shares import share_interval
from robustness.metrics.pairing.direction import CHANGE
from robustness.metrics.pairing.pairs import Pairs, pair
from robustness.metrics.pairing.rows import read_rows
from robustness.results import RERUN

COLUMNS = (
    "model",
    "dataset",
    "n_images",
    "moved_share",
    "moved_low",
    "moved_high",
    "mean_change",
    "largest_change",
    "mean_dice_difference",
    "largest_dice_difference",
)


def noise_floor(table: pd.DataFrame, *, alpha: float = 0.05, resamples: int = 9999, seed: int = 0) -> pd.DataFrame:
    """Return how far two clean runs differ, per model and dataset.

    `moved_share`: share of images whose mask differs at all, with a distribution-free interval, images counted one by
    one because repeating an image draws new noise. `mean_change`, `largest_change`: mask change. Dice differences are
    absolute; NaN where the table has none.

    Returns:
        One row per (model, dataset) with a `rerun`, columns `COLUMNS`.
    """
    rows = read_rows(table)
    changes = pair(rows, CHANGE, "itself") if CHANGE in table.columns else None
    dice = pair(rows, "dice", "clean - perturbed") if "dice" in table.columns else None
    records: list[dict[str, Any]] = []
    for cell in rows.cells.index[rows.cells["condition"] == RERUN]:
        moved, apart = _values(changes, int(cell)), np.abs(_values(dice, int(cell)))
        share = share_interval((moved > 0).astype(float), level=1 - alpha, resamples=resamples, seed=seed)
        records.append(
            {name: rows.cells.at[cell, name] for name in COLUMNS[:2]}
            | {
                "n_images": max(moved.size, apart.size),
                "moved_share": share.estimate,
                "moved_low": share.low,
                "moved_high": share.high,
                "mean_change": _mean(moved),
                "largest_change": _largest(moved),
                "mean_dice_difference": _mean(apart),
                "largest_dice_difference": _largest(apart),
            }
        )
    return pd.DataFrame(records, columns=list(COLUMNS))


def _values(pairs: Pairs | None, cell: int) -> np.ndarray:
    return np.empty(0) if pairs is None else pairs.effect[pairs.of(cell)]


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else float("nan")


def _largest(values: np.ndarray) -> float:
    return float(values.max()) if values.size else float("nan")
