"""Rank plots: which model is best, and how sure that order is when the units are drawn anew."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from robustness.metrics.analyses.models import rank_stability
from robustness.reports.data.pooled import IMAGES, with_pooled_images
from robustness.reports.figures import theme
from robustness.reports.figures.grid import Cell, grid
from robustness.results import CLEAN

SCENES = {"clean": "Clean score", "images": "Score under image changes"}
_CONDITIONS = {"clean": CLEAN, "images": IMAGES}
_RESAMPLES = 2000
_COLUMNS = ("series", "n_subjects", "mean", "rank", "first", "rank_low", "rank_high", "shares")


def rank_table(results: pd.DataFrame, scene: str, *, metric: str = "dice", seed: int = 0) -> pd.DataFrame:
    """Return how often each series takes each rank over bootstrap samples of the units that all series share.

    Args:
        results: rows with the column `series`; series on other data sets than the first are left out.
        scene: "clean", or "images" for the mean over all single image changes, equal weight per unit.
        metric: larger must be better.
        seed: of the bootstrap.

    Returns:
        One row per series, best first: `series`, `n_subjects`, `mean`, `rank` (in the sample, ties share the mean
        rank), `first` (share of samples in which it is the best), `rank_low` and `rank_high` (95% of its ranks) and
        `shares` (tuple: the share of samples at rank 1, 2, ...; tied series share the places). Empty where fewer than
        two series share at least two units. Numbers are those of `metrics.models.rank_stability`.
    """
    nothing = pd.DataFrame(columns=list(_COLUMNS))
    table = with_pooled_images(results, metric=metric)
    table = table[(table["condition"] == _CONDITIONS[scene]) & table["dataset"].eq(_first(results))]
    if table["model"].nunique() < 2:
        return nothing
    found = rank_stability(
        table,
        metric=metric,
        condition=_CONDITIONS[scene],
        resamples=_RESAMPLES,
        seed=seed,
        higher_is_better={metric: True},
    )
    if found.empty or found["n_subjects"].iloc[0] < 2:
        return nothing
    return found.rename(columns={"model": "series", "p_top": "first"})[list(_COLUMNS)].reset_index(drop=True)


def rank_plot(results: pd.DataFrame, scene: str, *, metric: str = "dice") -> go.Figure:
    """Draw series x rank: the share of bootstrap samples in which the series takes the rank."""
    table = rank_table(results, scene, metric=metric)
    names = [str(s) for s in table["series"]]
    cells = [
        [_cell(name, place, share) for place, share in enumerate(shares)]
        for name, shares in zip(names, table["shares"], strict=True)
    ]
    return grid(
        cells, columns=[f"rank {i + 1}" for i in range(len(names))], rows=[theme.label(n) for n in names], reach=1.0
    )


def _first(results: pd.DataFrame) -> object:
    return results["dataset"].iloc[0] if len(results) else None


def _cell(name: str, place: int, share: float) -> Cell:
    return Cell(share, f"{100 * share:.0f}%", f"{theme.label(name)}: rank {place + 1} in {100 * share:.1f}% of samples")
