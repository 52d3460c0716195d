"""Rank plots: which model is best, and how sure that order is when the units are drawn anew."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import plotly.graph_objects as go

from robustness.reports import theme
from robustness.reports.grid import Cell, grid
from robustness.reports.subgroups import image_losses
from robustness.reports.unit_means import unit_means
from robustness.seeds import generator

Values = npt.NDArray[np.float64]
SCENES = {"clean": "Clean score", "images": "Score under image changes"}
_RESAMPLES = 2000


def rank_table(results: pd.DataFrame, scene: str, *, metric: str = "dice", seed: int = 0) -> pd.DataFrame:
    """Return how often each series takes each rank over bootstrap samples of the units that all series share.

    Args:
        results: rows with the column `series`; series on other data sets than the first are left out.
        scene: "clean", or "images" for the mean over all single image changes, equal weight per unit.
        metric: larger must be better.
        seed: of the bootstrap.

    Returns:
        One row per series, best first: `series`, `n_subjects`, `mean`, `rank` (in the sample), `first` (share of
        samples in which it is the best), `rank_low` and `rank_high` (2.5% and 97.5% of its ranks) and `shares` (tuple:
        the share of samples at rank 1, 2, ...). Equal means share the better rank. Empty where fewer than two series
        share at least two units.
    """
    matrix, names = _matrix(results, scene, metric)
    if len(names) < 2 or len(matrix) < 2:
        return pd.DataFrame(
            columns=["series", "n_subjects", "mean", "rank", "first", "rank_low", "rank_high", "shares"]
        )
    units = len(matrix)
    draws = generator(seed, "ranks", scene).multinomial(units, np.full(units, 1 / units), size=_RESAMPLES)
    ranks = _ranks(draws @ matrix / units)
    now = _ranks(matrix.mean(axis=0, keepdims=True))[0]
    made: list[dict[str, Any]] = []
    for i, name in enumerate(names):
        shares = tuple(float((ranks[:, i] == r).mean()) for r in range(1, len(names) + 1))
        low, high = np.quantile(ranks[:, i], [0.025, 0.975])
        made.append({
            "series": name, "n_subjects": units, "mean": float(matrix[:, i].mean()), "rank": int(now[i]),
            "first": shares[0], "rank_low": float(low), "rank_high": float(high), "shares": shares,
        })  # fmt: skip
    return pd.DataFrame(sorted(made, key=lambda row: row["rank"]))


def rank_plot(results: pd.DataFrame, scene: str, *, metric: str = "dice") -> go.Figure:
    """Draw series x rank: the share of bootstrap samples in which the series takes the rank."""
    table = rank_table(results, scene, metric=metric)
    names = [str(s) for s in table["series"]]
    cells = [[_cell(name, place, share) for place, share in enumerate(shares)]
             for name, shares in zip(names, table["shares"], strict=True)]  # fmt: skip
    return grid(
        cells, columns=[f"rank {i + 1}" for i in range(len(names))], rows=[theme.label(n) for n in names], reach=1.0
    )


def _cell(name: str, place: int, share: float) -> Cell:
    return Cell(share, f"{100 * share:.0f}%", f"{theme.label(name)}: rank {place + 1} in {100 * share:.1f}% of samples")


def _matrix(results: pd.DataFrame, scene: str, metric: str) -> tuple[Values, list[str]]:
    """Return (units, series) of unit means over the units that every series has."""
    columns: dict[str, pd.Series] = {}
    dataset = results["dataset"].iloc[0] if len(results) else None
    for name, rows in results[results["dataset"] == dataset].groupby("series", sort=False):
        used = image_losses(rows, metric) if scene == "images" else rows[rows["condition"] == "clean"]
        means = unit_means(used, metric)
        if len(means):
            columns[str(name)] = means
    shared = pd.DataFrame(columns).dropna()
    return shared.to_numpy(dtype=np.float64), list(columns)


def _ranks(scores: Values) -> npt.NDArray[np.int64]:
    """Return ranks along the last axis, 1 = largest; equal scores share the better rank."""
    # Means of equal columns differ in the last bits only when summed in another order; those count as equal.
    rounded = np.round(scores, 12)
    return 1 + (rounded[:, None, :] > rounded[:, :, None]).sum(axis=2)
