"""Retention: the share of the clean score that a condition keeps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from robustness.errors import InputError
from robustness.metrics.inference.bootstrap import cluster_bootstrap
from robustness.metrics.pairing.direction import orientation_of
from robustness.metrics.pairing.pairs import pair, subject_means
from robustness.metrics.pairing.rows import read_rows
from robustness.results import CLEAN

COLUMNS = ("model", "dataset", "condition", "metric", "retention", "ci_low", "ci_high", "n_images", "n_subjects")


def retention(
    table: pd.DataFrame, *, metric: str = "dice", alpha: float = 0.05, resamples: int = 9999, seed: int = 0
) -> pd.DataFrame:
    """Return sum(perturbed) / sum(clean) over subject means, per model, dataset and condition.

    A ratio of means, never a mean of ratios: one subject with a clean score near zero would decide the latter.

    Args:
        table: as for `effects`.
        metric: a metric of which more is better and that is never negative.
        alpha: the interval (cluster bootstrap, expanded percentile) has level 1 - alpha.

    Returns:
        Columns `model dataset condition metric retention ci_low ci_high n_images n_subjects`. NaN where the clean
        score is 0 or no case applies; no interval with fewer than two subjects.

    Raises:
        InputError: less of the metric is better, so that a share of it says nothing.
    """
    orientation = orientation_of(metric, None)
    if orientation != "clean - perturbed":
        raise InputError(f"metric: retention needs one of which more is better, got {metric!r}; use dice or iou")
    rows = read_rows(table)
    pairs = pair(rows, metric, orientation)
    records: list[dict[str, Any]] = []
    for cell, row in rows.cells[rows.cells["condition"] != CLEAN].iterrows():
        where = pairs.of(int(cell))
        subject = pairs.subject[where]
        sums = np.column_stack([subject_means(values[where], subject)[1] for values in (pairs.perturbed, pairs.clean)])
        interval = cluster_bootstrap(sums, _ratio, level=1 - alpha, resamples=resamples, seed=seed)
        records.append(
            {"model": row["model"], "dataset": row["dataset"], "condition": row["condition"], "metric": metric}
            | {"retention": interval.estimate, "ci_low": interval.low, "ci_high": interval.high}
            | {"n_images": subject.size, "n_subjects": len(sums)}
        )
    return pd.DataFrame(records, columns=list(COLUMNS))


def _ratio(totals: np.ndarray) -> np.ndarray:
    return totals[:, 0] / totals[:, 1]
