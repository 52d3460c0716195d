"""Rank plots: which model is best, and how sure that order is when the units are drawn again."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from robustness.metrics.analyses.models import rank_stability
from robustness.reports.data.datatable import table_of
from robustness.reports.data.frames import ALPHA, Frames
from robustness.reports.data.subgroups import IMAGES, with_pooled_images
from robustness.reports.figures import theme
from robustness.reports.figures.figure import FigureText, columns
from robustness.reports.figures.grid import Cell, grid
from robustness.reports.figures.registry import FIGURES, FigureEntry, FigureInput
from robustness.reports.words import number
from robustness.results import CLEAN

_TABLE_COLUMNS = columns(
    ("series", "model"),
    ("rank", "rank"),
    ("mean", "mean Dice"),
    ("first", "share of samples first"),
    ("rank_low", "rank, low"),
    ("rank_high", "rank, high"),
    ("n_subjects", "units"),
)


@FIGURES.add("rank")
class Rank(FigureEntry):
    """One figure per scene: clean, and under image changes."""

    name = "rank"
    position = 140
    section = "comparison"
    regulatory = 13
    heading = "How sure is the order?"
    note = (
        "The units are drawn again 2,000 times; each cell says how often the model takes the rank. Near 100% the order"
        " does not hang on who was in the sample."
    )

    def captions(self, source: FigureInput) -> list[FigureText]:
        """Return one caption per scene where several series share at least two units."""
        if len(source.frames.series) < 2:
            return []
        results, alpha = source.frames.results, source.frames.alpha
        tables = [(scene, rank_table(results, scene, alpha=alpha)) for scene in SCENES]
        return [_caption(scene, rows) for scene, rows in tables if len(rows)]

    def draw(self, caption: FigureText, frames: Frames) -> go.Figure:
        """Return the ranks of one scene."""
        return rank_plot(frames.results, caption.key)


def _caption(scene: str, rows: pd.DataFrame) -> FigureText:
    title = SCENES[scene]
    sentences = [
        f"{r['series']} mean {number(r['mean'])}, first in {100 * r['first']:.0f}%" for r in rows.to_dict("records")
    ]
    alt = f"Ranks by {title.lower()} over bootstrap samples of the units: {'; '.join(sentences)}."
    return FigureText(
        f"rank-{scene}", "rank", scene, title, alt, table_of(rows, f"t-rank-{scene}", title, _TABLE_COLUMNS)
    )


SCENES = {"clean": "Clean score", "images": "Score under image changes"}
_CONDITIONS = {"clean": CLEAN, "images": IMAGES}
_RESAMPLES = 2000
_COLUMNS = ("series", "n_subjects", "mean", "rank", "first", "rank_low", "rank_high", "level", "shares")


def rank_table(
    results: pd.DataFrame, scene: str, *, metric: str = "dice", alpha: float = ALPHA, seed: int = 0
) -> pd.DataFrame:
    """Return how often each series takes each rank over bootstrap samples of the units that all series share.

    Args:
        results: rows with the column `series`; series on other data sets than the first are left out.
        scene: "clean", or "images" for the mean over all single image changes, equal weight per unit.
        metric: larger must be better.
        seed: of the bootstrap.

    Returns:
        One row per series, best first: `series`, `n_subjects`, `mean`, `rank` (in the sample, ties share the mean
        rank), `first` (share of samples in which it is the best), `rank_low` and `rank_high` (of `level` 1 - alpha) and
        `shares` (tuple: the share of samples at rank 1, 2, ...; tied series share the places). Empty where fewer than
        two series share at least two units. Numbers are those of `metrics.models.rank_stability`.
    """
    nothing = pd.DataFrame(columns=list(_COLUMNS))
    table = with_pooled_images(results, metric=metric)
    table = table[(table["condition"] == _CONDITIONS[scene]) & table["dataset"].eq(_first(results))]
    if table["model"].nunique() < 2:
        return nothing
    ranking = rank_stability(
        table,
        metric=metric,
        condition=_CONDITIONS[scene],
        alpha=alpha,
        resamples=_RESAMPLES,
        seed=seed,
        higher_is_better={metric: True},
    )
    if ranking.empty or ranking["n_subjects"].iloc[0] < 2:
        return nothing
    ranking = ranking.rename(columns={"model": "series", "p_top": "first"}).assign(level=1 - alpha)
    return ranking[list(_COLUMNS)].reset_index(drop=True)


def rank_plot(results: pd.DataFrame, scene: str, *, metric: str = "dice") -> go.Figure:
    """Draw series x rank: the share of bootstrap samples in which the series takes the rank."""
    table = rank_table(results, scene, metric=metric)
    names = [str(s) for s in table["series"]]
    cells = [
        [_cell(name, position, share) for position, share in enumerate(shares)]
        for name, shares in zip(names, table["shares"], strict=True)
    ]
    return grid(
        cells, columns=[f"rank {i + 1}" for i in range(len(names))], rows=[theme.label(n) for n in names], reach=1.0
    )


def _first(results: pd.DataFrame) -> object:
    return results["dataset"].iloc[0] if len(results) else None


def _cell(name: str, position: int, share: float) -> Cell:
    return Cell(
        share, f"{100 * share:.0f}%", f"{theme.label(name)}: rank {position + 1} in {100 * share:.1f}% of samples"
    )
