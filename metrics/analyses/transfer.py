"""Finetuned on one data set, tested on others: different patients, so nothing here is paired."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from robustness.errors import InputError
from robustness.metrics.analyses.unpaired import compare_unpaired
from robustness.metrics.inference.bootstrap import bootstrap_weights, expanded_percentile
from robustness.metrics.inference.intervals import Interval, Values, t_interval
from robustness.metrics.inference.multiplicity import holm
from robustness.metrics.inference.signflip import check_alpha
from robustness.metrics.pairing.direction import require_higher_is_better
from robustness.metrics.pairing.pairs import subject_values
from robustness.metrics.pairing.rows import Codes, Rows, read_rows
from robustness.results import CLEAN

COLUMNS = (
    "model",
    "finetuned_on",
    "dataset",
    "own",
    "metric",
    "n_images",
    "n_subjects",
    "mean",
    "ci_low",
    "ci_high",
    "own_mean",
    "loss",
    "loss_low",
    "loss_high",
    "p_value",
    "p_adjusted",
    "retention",
    "retention_low",
    "retention_high",
    "note",
)


def transfer(
    table: pd.DataFrame,
    finetuned_on: Mapping[str, Sequence[str]],
    *,
    metric: str = "dice",
    condition: str = CLEAN,
    alpha: float = 0.05,
    resamples: int = 9999,
    seed: int = 0,
) -> pd.DataFrame:
    """Return the score of every model on every data set, and what it loses there against its own data.

    Args:
        table: as for `effects`, with several data sets.
        finetuned_on: the names of the data sets that each model was finetuned on, as far as they are known.
        metric: a metric of which more is better.
        condition: which rows are compared.
        alpha: intervals have level 1 - alpha.
        resamples, seed: of permutations and bootstrap.

    Returns:
        One row per model and data set, columns `COLUMNS`: the mean over subjects with its t interval; `loss`, the mean
        on the model's own data minus the mean here, with Welch's interval; its p value by permuting whole subjects,
        adjusted over a model's other data sets by Holm; `retention`, the mean here by the mean at home, with a
        bootstrap of both groups (expanded percentile). NaN, with a note, where the own data set is unknown or was not
        tested, and where a subject is in both.

    Raises:
        InputError: less of the metric is better, or a column is missing.

    Source: Welch 1947, doi:10.1093/biomet/34.1-2.28; Hesterberg 2015, doi:10.1080/00031305.2015.1089789.
    """
    check_alpha(alpha, resamples)
    require_higher_is_better(metric)
    rows = read_rows(table)
    records: list[dict[str, Any]] = []
    for model, cells in _in_order(rows, condition).groupby("model", sort=False):
        tested = {str(cells.at[c, "dataset"]): _means(rows, int(c), metric) for c in cells.index}
        training = tuple(finetuned_on.get(str(model), ()))
        own = next((name for name in training if name in tested), None)
        of_model = [
            {"model": str(model), "finetuned_on": ", ".join(training), "dataset": name, "own": name in training}
            | {"metric": metric, "n_images": images, "n_subjects": values.size}
            | _named(t_interval(values, level=1 - alpha), "mean", "ci")
            | _against_own(table, str(model), name, own, training, tested, metric, condition, alpha, resamples, seed)
            for name, (values, images) in tested.items()
        ]
        _adjust(of_model)
        records += of_model
    return pd.DataFrame(records, columns=list(COLUMNS))


def _in_order(rows: Rows, condition: str) -> pd.DataFrame:
    """Return the cells of one condition in the order in which the table names them."""
    first = np.unique(rows.cell, return_index=True)[1]
    cells = rows.cells.assign(first=first)
    return cells[cells["condition"] == condition].sort_values("first")


def _means(rows: Rows, cell: int, metric: str) -> tuple[Values, int]:
    values = rows.values(metric)
    where: Codes = np.flatnonzero((rows.cell == cell) & np.isfinite(values))
    _, means, images = subject_values(rows, where, values[where])
    return means, images


def _against_own(
    table: pd.DataFrame,
    model: str,
    name: str,
    own: str | None,
    training: Sequence[str],
    tested: Mapping[str, tuple[Values, int]],
    metric: str,
    condition: str,
    alpha: float,
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    if own is None:
        return {"note": "own data not tested" if training else "finetuned on unknown data"}
    mean = float(tested[own][0].mean()) if tested[own][0].size else math.nan
    if name in training:
        return {"own_mean": mean, "note": "own data"}
    mine = table[table["model"].astype(str) == model]
    at_home, here = (mine[mine["dataset"].astype(str) == one] for one in (own, name))
    try:
        compared = compare_unpaired(
            at_home, here, metric=metric, condition=condition, alpha=alpha, resamples=resamples, seed=seed
        )
    except InputError as error:
        return {"own_mean": mean, "note": str(error)}
    retention = unpaired_retention(tested[name][0], tested[own][0], alpha=alpha, resamples=resamples, seed=seed)
    return {
        "own_mean": mean,
        "loss": compared.difference,
        "loss_low": compared.ci_low,
        "loss_high": compared.ci_high,
        "p_value": compared.p_value,
        "note": "",
        **_named(retention, "retention", "retention"),
    }


def unpaired_retention(here: Values, own: Values, *, alpha: float, resamples: int, seed: int) -> Interval:
    """Return mean(here) / mean(own); the subjects of each group are drawn on their own."""
    if not here.size or not own.size or own.mean() == 0:
        return Interval(math.nan, math.nan, math.nan)
    estimate, fewest = float(here.mean() / own.mean()), min(here.size, own.size)
    if fewest < 2:
        return Interval(estimate, math.nan, math.nan)
    drawn = [
        bootstrap_weights(values.size, resamples, seed + index) @ values / values.size
        for index, values in enumerate((here, own))
    ]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = drawn[0] / drawn[1]
    return expanded_percentile(estimate, ratios, fewest, level=1 - alpha)


def _named(interval: Interval, name: str, bounds: str) -> dict[str, float]:
    return {name: interval.estimate, f"{bounds}_low": interval.low, f"{bounds}_high": interval.high}


def _adjust(records: list[dict[str, Any]]) -> None:
    tested = [row for row in records if math.isfinite(row.get("p_value", math.nan))]
    if tested:
        for row, p in zip(tested, holm(np.array([row["p_value"] for row in tested])), strict=True):
            row["p_adjusted"] = float(p)
