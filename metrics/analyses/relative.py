"""Robustness relative to other models: only where the comparison is defined."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from robustness.errors import InputError
from robustness.metrics.inference.bootstrap import cluster_bootstrap
from robustness.metrics.inference.intervals import Interval, t_interval
from robustness.metrics.inference.signflip import check_alpha
from robustness.metrics.pairing.grid import Grid, grids

COLUMNS = (
    "model",
    "reference",
    "dataset",
    "corruption",
    "metric",
    "n_subjects",
    "ce",
    "ce_low",
    "ce_high",
    "relative_ce",
    "relative_low",
    "relative_high",
    "reference_loss",
    "reference_loss_low",
    "note",
)
FEWEST_MODELS = 10


def relative_to_reference(
    table: pd.DataFrame,
    reference: str,
    *,
    metric: str = "dice",
    least_loss: float = 0.02,
    alpha: float = 0.05,
    resamples: int = 9999,
    seed: int = 0,
) -> pd.DataFrame:
    """Return corruption errors relative to a reference model, per corruption, on the subjects both have.

    With E = 1 - score and sums over severities: CE = sum E / sum E_ref; relative CE = sum (E - E_clean) / sum (E_ref -
    E_ref,clean). The latter is undefined (NaN, with a note) where the interval of the reference's mean loss does not
    lie above `least_loss`: its sign would follow noise. Ratios of means with cluster bootstrap intervals.

    Args:
        table: rows of at least the reference and one other model, with the same image conditions.
        reference: the reference's `model`.
        metric: a metric of which more is better, at most 1.

    Raises:
        InputError: the table has no rows of the reference.

    Source: Hendrycks & Dietterich 2019, arXiv:1903.12261.
    """
    check_alpha(alpha, resamples)
    laid_out = list(grids(table, metric=metric))
    bases = {grid.dataset: grid for grid in laid_out if grid.model == reference}
    if not bases:
        models = ", ".join(sorted({grid.model for grid in laid_out})) or "none"
        raise InputError(f"reference: expected a model with image conditions ({models}), got {reference!r}")
    records: list[dict[str, Any]] = []
    for grid in laid_out:
        base = bases.get(grid.dataset)
        if base is None or grid is base:
            continue
        for name in [c for c in grid.corruptions if c in base.corruptions]:
            records.append(_relative(grid, base, name, metric, least_loss, alpha, resamples, seed))
    return pd.DataFrame(records, columns=list(COLUMNS))


def _relative(
    grid: Grid, base: Grid, corruption: str, metric: str, least_loss: float, alpha: float, resamples: int, seed: int
) -> dict[str, Any]:
    shared = {grid.severity[i] for i in grid.columns(corruption)} & {base.severity[i] for i in base.columns(corruption)}
    _, ours, theirs = np.intersect1d(grid.code, base.code, return_indices=True)
    parts = []
    for each, rows in ((grid, ours), (base, theirs)):
        columns = [i for i in each.columns(corruption) if each.severity[i] in shared]
        score, loss = (values[rows][:, columns].mean(axis=1) for values in (each.perturbed, each.loss))
        parts += [1 - score, loss]
    sums = np.column_stack(parts)
    sums = sums[np.isfinite(sums).all(axis=1)]
    options: dict[str, Any] = {"level": 1 - alpha, "resamples": resamples, "seed": seed}
    error = cluster_bootstrap(sums, lambda t: t[:, 0] / t[:, 2], **options)
    lost = t_interval(sums[:, 3], level=1 - alpha)
    relative, note = Interval(math.nan, math.nan, math.nan), "undefined: the reference loses nothing to speak of"
    if lost.low > least_loss:
        relative, note = cluster_bootstrap(sums, lambda t: t[:, 1] / t[:, 3], **options), ""
    values = (
        grid.model,
        base.model,
        grid.dataset,
        corruption,
        metric,
        len(sums),
        *error,
        *relative,
        lost.estimate,
        lost.low,
        note,
    )
    return dict(zip(COLUMNS, values, strict=True))


class EffectiveRobustness(NamedTuple):
    """How far a model lies above what its clean score predicts; `low` and `high` are the prediction interval's gap."""

    rho: float
    low: float
    high: float
    expected: float
    n_models: int


def effective_robustness(
    clean: npt.ArrayLike, shifted: npt.ArrayLike, *, model_clean: float, model_shifted: float, alpha: float = 0.05
) -> EffectiveRobustness:
    """Return shifted score - the score that baseline models of the same clean score have, beta(clean).

    beta is a straight line in logit space through the baselines; the interval is its prediction interval for one
    further model (level 1 - alpha), carried back to scores: only rho beyond it is unusual.

    Args:
        clean: clean scores of baseline models, each in (0, 1), at least ten of them.
        shifted: their scores under the shift.
        model_clean: clean score of the model in question, within the baselines' range.
        model_shifted: its score under the shift.

    Raises:
        InputError: fewer than ten baselines, scores outside (0, 1), no spread, or a clean score out of their range.

    Source: Taori 2020, arXiv:2007.00644.
    """
    from scipy.special import expit, logit, stdtrit

    x, y = (np.asarray(v, dtype=np.float64) for v in (clean, shifted))
    if x.ndim != 1 or x.shape != y.shape or x.size < FEWEST_MODELS:
        raise InputError(
            f"clean: effective robustness needs at least {FEWEST_MODELS} baseline models, got {x.size}; report the"
            " degradation instead"
        )
    scores = np.concatenate([x, y, [model_clean, model_shifted]])
    if not ((scores > 0) & (scores < 1)).all():
        raise InputError("clean: expected scores above 0 and below 1, which a logit needs")
    if not x.min() < x.max() or not x.min() <= model_clean <= x.max():
        raise InputError(f"model_clean: expected a score within the baselines' {x.min():g} to {x.max():g}")
    lx, ly, at = logit(x), logit(y), float(logit(model_clean))
    spread = float(((lx - lx.mean()) ** 2).sum())
    slope = float(((lx - lx.mean()) * ly).sum()) / spread
    expected = float(ly.mean()) + slope * (at - float(lx.mean()))
    residual = ly - ly.mean() - slope * (lx - lx.mean())
    sd = math.sqrt(float((residual**2).sum()) / (x.size - 2))
    half = float(stdtrit(x.size - 2, 1 - alpha / 2)) * sd * math.sqrt(1 + 1 / x.size + (at - lx.mean()) ** 2 / spread)
    low, middle, high = (float(expit(expected + step)) for step in (half, 0.0, -half))
    return EffectiveRobustness(model_shifted - middle, model_shifted - low, model_shifted - high, middle, x.size)
