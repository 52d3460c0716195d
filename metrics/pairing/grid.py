"""Image conditions laid out as corruption x severity, one value per subject: the start of all robustness summaries."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from robustness.metrics.inference.intervals import Values
from robustness.metrics.pairing.direction import require_higher_is_better
from robustness.metrics.pairing.pairs import Pairs, pair, subject_matrix, subject_means
from robustness.metrics.pairing.rows import Rows, read_rows
from robustness.results import is_searched

_DEGREE = re.compile(r"@\d+$")


@dataclass(frozen=True)
class Grid:
    """The image conditions of one (model, dataset).

    Attributes:
        model, dataset: names.
        corruption: name of each column's corruption, "image:gaussian_noise".
        severity: severity of each column.
        loss: (subjects, columns), clean - perturbed of a metric of which more is better; NaN where a subject has none.
        clean: the clean score of the same cases.
        perturbed: the score under the condition.
        failed, failed_clean: share of the subject's images below the failure limit.
        n_images: (columns,) cases that paired.
        code: code of each subject.
    """

    model: str
    dataset: str
    corruption: tuple[str, ...]
    severity: tuple[int, ...]
    loss: Values
    clean: Values
    perturbed: Values
    failed: Values
    failed_clean: Values
    n_images: Values
    code: Values

    @property
    def corruptions(self) -> tuple[str, ...]:
        """The corruptions in order of appearance."""
        return tuple(dict.fromkeys(self.corruption))

    def columns(self, corruption: str) -> list[int]:
        """Return the columns of a corruption, mildest first."""
        indices = [i for i, name in enumerate(self.corruption) if name == corruption]
        return sorted(indices, key=lambda i: self.severity[i])

    def per_corruption(self, values: Values, *, decay: float = 1.0) -> Values:
        """Return (subjects, corruptions): the mean over severities, severity s weighted decay^s."""
        return np.column_stack([self._over_severities(values, name, decay) for name in self.corruptions])

    def _over_severities(self, values: Values, corruption: str, decay: float) -> Values:
        columns = self.columns(corruption)
        weight = np.array([decay ** self.severity[i] for i in columns])
        # A subject without every severity has no mean: averaging what is left would mix other severities.
        return np.asarray(values[:, columns] @ (weight / weight.sum()), dtype=np.float64)


def grids(
    table: pd.DataFrame, *, metric: str = "dice", failure_below: float = 0.5, family: str = "image"
) -> Iterator[Grid]:
    """Yield the grid of every (model, dataset) that has image conditions.

    Raises:
        InputError: less of the metric is better, or a column is missing.
    """
    require_higher_is_better(metric)
    rows = read_rows(table)
    pairs = pair(rows, metric, "clean - perturbed")
    for _, cells in rows.cells.groupby("group", sort=True):
        # An attack is no corruption that happens: a mean over both would mean nothing.
        chosen = cells[(cells["family"] == family) & ~cells["condition"].map(is_searched).astype(bool)]
        if not chosen.empty:
            yield _grid(rows, pairs, chosen, failure_below)


def _grid(rows: Rows, pairs: Pairs, cells: pd.DataFrame, limit: float) -> Grid:
    order = sorted(cells.index, key=lambda c: split_condition(str(cells.at[c, "condition"])))
    named = [split_condition(str(cells.at[cell, "condition"])) for cell in order]
    where = [pairs.of(int(cell)) for cell in order]

    def matrix(values: Values) -> Values:
        return subject_matrix([subject_means(values[w], pairs.subject[w]) for w in where])

    subjects = [np.unique(pairs.subject[w]) for w in where]
    below, clean_below = (pairs.perturbed < limit).astype(float), (pairs.clean < limit).astype(float)
    first = cells.iloc[0]
    return Grid(
        str(first["model"]),
        str(first["dataset"]),
        tuple(n for n, _ in named),
        tuple(s for _, s in named),
        matrix(pairs.effect),
        matrix(pairs.clean),
        matrix(pairs.perturbed),
        matrix(below),
        matrix(clean_below),
        np.array([w.stop - w.start for w in where]),
        np.unique(np.concatenate(subjects)),
    )


def split_condition(condition: str) -> tuple[str, int]:
    """Return a condition without its severity, and the severity (0 where it states none).

    Example:
        >>> split_condition("image:gaussian_noise@3")
        ('image:gaussian_noise', 3)
    """
    name = _DEGREE.sub("", condition)
    return name, int(condition[len(name) + 1 :] or 0)
