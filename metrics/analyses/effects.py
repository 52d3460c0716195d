"""Paired effects: what each condition does to a metric, with uncertainty, inferred over subjects."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from robustness.errors import InputError
from robustness.metrics.inference.clustering import clustering, minimal_detectable_effect
from robustness.metrics.inference.effect_size import hedges_dz, rank_biserial
from robustness.metrics.inference.intervals import Values
from robustness.metrics.inference.mean_interval import mean_interval
from robustness.metrics.inference.multiplicity import benjamini_hochberg, holm
from robustness.metrics.inference.signflip import check_alpha, guarded, sign_flip
from robustness.metrics.inference.weighted_mean import WEIGHTED_METHOD, weighted_interval
from robustness.metrics.pairing.direction import effect_range, orientation_of
from robustness.metrics.pairing.pairs import Pairs, pair, subject_matrix, subject_means
from robustness.metrics.pairing.rows import Codes, Rows, read_rows, warn_of_repeats
from robustness.results import CLEAN, EFFECT_COLUMNS

Correction = Literal["max-t", "holm", "bh", "none"]
Weighting = Literal["subject", "image"]
_CORRECTIONS = ("max-t", "holm", "bh", "none")
_WEIGHTINGS = ("subject", "image")
_COUNTS = ("n_images", "n_subjects", "family_size", "n_flagged")


def effects(
    table: pd.DataFrame,
    *,
    metric: str | Sequence[str] = "dice",
    alpha: float = 0.05,
    correction: Correction = "max-t",
    resamples: int = 9999,
    seed: int = 0,
    weighting: Weighting = "subject",
    higher_is_better: Mapping[str, bool | None] | None = None,
) -> pd.DataFrame:
    """Compare every condition with `clean`, per model, dataset and metric.

    Rows pair by (model, dataset, split, case_id, prompt_index); texts are averaged within case, cases within subject,
    and inference is over subjects. `effect` is oriented so that positive means worse; for metrics without a
    direction it is perturbed - clean, for `mask_change` the mean change itself.

    Args:
        table: columns `case_id`, `condition` and the metric; the other results columns are used where present. Without
            `subject_id` each case is its own subject, with a warning.
        metric: one column or several.
        alpha: the interval has level 1 - alpha.
        correction: of p values over the conditions of one (model, dataset, metric): "max-t" and "holm" bound the
            family-wise error, "bh" the false discovery rate (exploration only).
        resamples: sign flips.
        seed: of the flips; the result does not depend on the order of the rows.
        weighting: "subject" gives every subject the same weight, "image" every image.
        higher_is_better: directions of metrics that are not in `METRICS`.

    Returns:
        One row per (model, dataset, condition, metric), columns `EFFECT_COLUMNS`. With fewer than two subjects the
        interval, p values, d_z, ICC and MDE are NaN. `family_size` counts the tested conditions (the rerun is none of
        them: it is the rerun noise). `n_flagged` counts the condition's rows that are not applicable, failed,
        undefined or without a paired clean row.

    Raises:
        InputError: a column is missing, or an option is out of range.

    Source: sign flips with max-T, Westfall & Young 1993; Holm 1979; Benjamini & Hochberg 1995,
    doi:10.1111/j.2517-6161.1995.tb02031.x; intervals and their widening, docs/statistics.md.
    """
    _check(alpha, correction, resamples, weighting)
    metrics = [metric] if isinstance(metric, str) else list(metric)
    if not metrics:
        raise InputError("metric: expected at least one column, got an empty list; leave it out for dice")
    rows = read_rows(table)
    warn_of_repeats(rows)
    records: list[dict[str, Any]] = []
    for name in metrics:
        pairs = pair(rows, name, orientation_of(name, higher_is_better))
        for cells in _groups(rows):
            records += _family(rows, pairs, cells, name, alpha, correction, resamples, seed, weighting)
    return _frame(records)


def _groups(rows: Rows) -> Iterator[pd.DataFrame]:
    changed = rows.cells[rows.cells["condition"] != CLEAN]
    for _, cells in changed.groupby("group", sort=True):
        yield cells


def _family(
    rows: Rows,
    pairs: Pairs,
    cells: pd.DataFrame,
    metric: str,
    alpha: float,
    correction: str,
    resamples: int,
    seed: int,
    weighting: str,
) -> list[dict[str, Any]]:
    subject_values = [_per_subject(pairs, int(cell), weighting) for cell in cells.index]
    matrix = subject_matrix(subject_values)
    family = (cells["family"] != CLEAN).to_numpy()
    ends = effect_range(metric, pairs.clean, pairs.perturbed)
    low, high = ends if weighting == "subject" else (-math.inf, math.inf)
    test = sign_flip(matrix, resamples=resamples, seed=seed, family=family)
    test = guarded(test, matrix, low=low, high=high, family=family)
    adjusted = {
        "max-t": test.p_adjusted,
        "holm": _within(family, test.p_value, holm),
        "bh": _within(family, test.p_value, benjamini_hochberg),
        "none": test.p_value,
    }[correction]
    records = []
    for i, (cell, row) in enumerate(cells.iterrows()):
        records.append(
            {"model": row["model"], "dataset": row["dataset"], "condition": row["condition"], "metric": metric}
            | _summary(pairs, int(cell), subject_values[i][1], ends, alpha, weighting)
            | {
                "p_value": test.p_value[i],
                "p_adjusted": adjusted[i],
                "family_size": test.family_size if family[i] else 1,
                "n_flagged": int(pairs.flagged[int(cell)]),
            }
        )
    return records


def _within(family: np.ndarray, p_values: Values, adjust: Any) -> Values:
    adjusted = p_values.copy()
    adjusted[family] = adjust(p_values[family])
    return adjusted


def _per_subject(pairs: Pairs, cell: int, weighting: str) -> tuple[Codes, Values]:
    """Return the subjects and one value each, whose plain mean is the estimate."""
    where = pairs.of(cell)
    subjects, means = subject_means(pairs.effect[where], pairs.subject[where])
    if weighting == "image" and subjects.size:
        _, count = np.unique(pairs.subject[where], return_counts=True)
        means = means * count * (subjects.size / count.sum())
    return subjects, means


def _summary(
    pairs: Pairs, cell: int, values: Values, ends: tuple[float, float], alpha: float, weighting: str
) -> dict[str, Any]:
    where = pairs.of(cell)
    subject = pairs.subject[where]
    clean, perturbed = pairs.clean[where], pairs.perturbed[where]
    if weighting == "subject":
        clean, perturbed = subject_means(clean, subject)[1], subject_means(perturbed, subject)[1]
        interval, method = mean_interval(values, level=1 - alpha, low=ends[0], high=ends[1])
    else:
        n_images = np.unique(subject, return_counts=True)[1]
        means = subject_means(pairs.effect[where], subject)[1]
        interval, method = weighted_interval(means, n_images, level=1 - alpha), WEIGHTED_METHOD
    alike = clustering(pairs.effect[where], subject)
    return {
        "n_images": pairs.effect[where].size,
        "n_subjects": values.size,
        "clean_mean": clean.mean() if clean.size else math.nan,
        "perturbed_mean": perturbed.mean() if perturbed.size else math.nan,
        "effect": interval.estimate,
        "ci_low": interval.low,
        "ci_high": interval.high,
        "ci_method": method if values.size >= 2 else "none: fewer than 2 subjects",
        "dz": hedges_dz(values),
        "rank_biserial": rank_biserial(values),
        "icc": alike.icc,
        "design_effect": alike.design_effect if values.size >= 2 else math.nan,
        "mde": minimal_detectable_effect(values, alpha=alpha),
    }


def _frame(records: list[dict[str, Any]]) -> pd.DataFrame:
    frame = pd.DataFrame(records, columns=list(EFFECT_COLUMNS))
    for name in ("model", "dataset", "condition", "metric", "ci_method"):
        frame[name] = frame[name].astype("str")
    for name in EFFECT_COLUMNS[4:]:
        if name != "ci_method":
            frame[name] = frame[name].astype("int64" if name in _COUNTS else "float64")
    return frame


def _check(alpha: float, correction: str, resamples: int, weighting: str) -> None:
    check_alpha(alpha, resamples)
    if correction not in _CORRECTIONS:
        raise InputError(f"correction: expected one of {', '.join(_CORRECTIONS)}, got {correction!r}")
    if weighting not in _WEIGHTINGS:
        raise InputError(f"weighting: expected one of {', '.join(_WEIGHTINGS)}, got {weighting!r}")
