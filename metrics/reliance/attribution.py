"""Attribution of the score to the text, and to each of its attributes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from robustness.errors import InputError
from robustness.metrics.analyses.effects import effects
from robustness.metrics.inference.bootstrap import cluster_bootstrap
from robustness.metrics.inference.intervals import Values, sample_sd, t_interval
from robustness.metrics.inference.signflip import check_alpha
from robustness.metrics.pairing.pairs import pair, subject_means, subject_values
from robustness.metrics.pairing.rows import read_rows
from robustness.seeds import generator

FLOORS = ("empty", "nonsense", "shuffled", "wrong_class")
FLOOR_COLUMNS = (
    "model",
    "dataset",
    "floor",
    "metric",
    "clean_mean",
    "floor_mean",
    "due_to_text",
    "ci_low",
    "ci_high",
    "share",
    "share_low",
    "share_high",
    "n_images",
    "n_subjects",
)
SHAPLEY_COLUMNS = ("attribute", "value", "ci_low", "ci_high", "sampling_error", "n_subjects", "evaluations")
Coalition = frozenset[str]
ValueFunction = Callable[[Coalition], Values]


def text_floors(
    table: pd.DataFrame, *, metric: str = "dice", alpha: float = 0.05, resamples: int = 9999, seed: int = 0
) -> pd.DataFrame:
    """Return how much of the clean score is lost without meaningful text: empty, nonsense, shuffled, wrong class.

    `due_to_text`: clean - floor, a paired t interval on subject means. `share`: the same divided by the clean score, a
    ratio of means with a cluster bootstrap interval; near 0 the image alone does the work. NaN where no case applies.
    """
    check_alpha(alpha, resamples)
    rows = read_rows(table)
    pairs = pair(rows, metric, "clean - perturbed")
    records: list[dict[str, Any]] = []
    for cell in rows.cells.index[rows.cells["condition"].isin(FLOORS)]:
        where = pairs.of(int(cell))
        subject = pairs.subject[where]
        loss, clean, floor = (subject_means(v[where], subject)[1] for v in (pairs.effect, pairs.clean, pairs.perturbed))
        due = t_interval(loss, level=1 - alpha)
        share = cluster_bootstrap(
            np.column_stack([loss, clean]), lambda t: t[:, 0] / t[:, 1], level=1 - alpha, resamples=resamples, seed=seed
        )
        key = [rows.cells.at[cell, name] for name in ("model", "dataset", "condition")]
        means = [float(v.mean()) if v.size else math.nan for v in (clean, floor)]
        values = (*key, metric, *means, *due, *share, subject.size, loss.size)
        records.append(dict(zip(FLOOR_COLUMNS, values, strict=True)))
    return pd.DataFrame(records, columns=list(FLOOR_COLUMNS))


def leave_one_out(
    table: pd.DataFrame, *, metric: str = "dice", alpha: float = 0.05, resamples: int = 9999, seed: int = 0
) -> pd.DataFrame:
    """Return what leaving out each attribute alone costs: the effects of `drop:KIND`, max-T over the attributes.

    Columns of `effects`, and `attribute` first. An attribute that others imply costs nothing here; see `shapley`.
    """
    conditions = table["condition"].astype("str")
    chosen = table[(conditions == "clean") | conditions.str.match(r"drop:[^+@]+$")]
    losses = effects(chosen, metric=metric, alpha=alpha, resamples=resamples, seed=seed)
    losses.insert(0, "attribute", losses["condition"].str.removeprefix("drop:"))
    return losses


class Shapley(NamedTuple):
    """One attribute's Shapley value: its mean gain in score over all orders in which attributes can be added.

    Attributes:
        attribute: its kind.
        value: mean over subjects.
        ci_low, ci_high: t interval over subjects.
        sampling_error: standard error of `value` that is due to sampling permutations; 0 where all were used.
        n_subjects: subjects.
        evaluations: distinct coalitions that were evaluated, for all attributes together.
    """

    attribute: str
    value: float
    ci_low: float
    ci_high: float
    sampling_error: float
    n_subjects: int
    evaluations: int


def shapley(
    value: ValueFunction, attributes: Sequence[str], *, permutations: int = 32, alpha: float = 0.05, seed: int = 0
) -> list[Shapley]:
    """Return Shapley values over attributes at bounded cost: at most `permutations` * (n - 1) + 2 evaluations.

    phi_a = mean over permutations of v(before + a) - v(before). Permutations are drawn in pairs with their reverse,
    which cancels much of the sampling error; where n! is not above `permutations`, all are used. Each coalition is
    evaluated once. The values of a subject add up to v(all) - v(none) exactly, so intervals over subjects are due.

    Args:
        value: maps the attributes that are kept to a score per subject (K,), subjects in a fixed order; image codes can
            be cached, since only texts differ.
        attributes: kinds, at least one, all different.
        permutations: how many orders to walk at most.
        alpha: intervals have level 1 - alpha.
        seed: of the permutations.

    Raises:
        InputError: no or repeated attributes, or a value function that changes its length.

    Source: Shapley 1953; Castro 2009, doi:10.1016/j.cor.2008.04.004; Mitchell 2022,
    https://jmlr.org/papers/v23/21-0439.html.
    """
    names = list(attributes)
    if not names or len(set(names)) < len(names):
        raise InputError(f"attributes: expected different names, at least one, got {names!r}")
    check_alpha(alpha, permutations)
    cache: dict[Coalition, Values] = {}

    def score(members: Iterable[str]) -> Values:
        coalition = frozenset(members)
        if coalition not in cache:
            cache[coalition] = np.asarray(value(coalition), dtype=np.float64)
            if cache[coalition].shape != next(iter(cache.values())).shape or cache[coalition].ndim != 1:
                raise InputError("value: expected one score per subject, as many for every coalition")
        return cache[coalition]

    orders, complete = _orders(len(names), permutations, seed)
    gains = [_walk(order, names, score) for order in orders]
    per_subject = np.mean(gains, axis=0)
    error = np.zeros(len(names)) if complete else _sampling_error(np.array(gains))
    values = []
    for i, name in enumerate(names):
        interval = t_interval(per_subject[i], level=1 - alpha)
        values.append(Shapley(name, *interval, float(error[i]), per_subject.shape[1], len(cache)))
    return values


def shapley_of_table(
    table: pd.DataFrame,
    *,
    kept: str = "kept",
    metric: str = "dice",
    permutations: int = 32,
    alpha: float = 0.05,
    seed: int = 0,
) -> pd.DataFrame:
    """Return Shapley values from a table of predictions with a column that names the attributes each prompt kept.

    Args:
        table: rows of one model and dataset; `kept` holds attributes joined by "+", "" for none. Every coalition that
        the
            permutations walk must be there; a full factorial always is enough.
        metric: score of which more is better.

    Returns:
        Columns `SHAPLEY_COLUMNS`, largest value first; only subjects that every coalition has.

    Raises:
        InputError: a column is missing, or a coalition that is needed has no rows.
    """
    if kept not in table.columns:
        raise InputError(f"kept: the table has no column {kept!r}")
    rows = read_rows(table)
    stated = [frozenset(str(text).split("+")) - {"", "nan", "None"} for text in rows.frame[kept]]
    scores, by_coalition = rows.values(metric), {}
    for coalition in set(stated):
        where = np.flatnonzero(np.array([s == coalition for s in stated]) & np.isfinite(scores))
        subjects, means, _ = subject_values(rows, where, scores[where])
        by_coalition[coalition] = dict(zip(subjects.tolist(), means.tolist(), strict=True))
    common = sorted(set.intersection(*(set(values) for values in by_coalition.values())))

    def value(coalition: Coalition) -> Values:
        if coalition not in by_coalition:
            raise InputError(
                f"kept: no rows keep exactly {'+'.join(sorted(coalition)) or 'nothing'}; run that prompt too"
            )
        return np.array([by_coalition[coalition][subject] for subject in common])

    values = shapley(value, sorted(frozenset().union(*stated)), permutations=permutations, alpha=alpha, seed=seed)
    frame = pd.DataFrame([tuple(row) for row in values], columns=list(SHAPLEY_COLUMNS))
    return frame.sort_values("value", ascending=False, kind="stable", ignore_index=True)


def _walk(order: Sequence[int], names: Sequence[str], score: Callable[[Iterable[str]], Values]) -> Values:
    """Return the gain of each attribute (n, K) when they are added in `order`."""
    before = score(())
    gains = np.empty((len(names), before.size))
    for index, attribute in enumerate(order):
        after = score(names[i] for i in order[: index + 1])
        gains[attribute], before = after - before, after
    return gains


def _orders(n: int, permutations: int, seed: int) -> tuple[list[tuple[int, ...]], bool]:
    """Return the orders to walk, and whether they are all that there are."""
    from itertools import permutations as every

    if math.factorial(n) <= permutations:
        return list(every(range(n))), True
    rng = generator(seed, "shapley", n)
    drawn = [tuple(int(i) for i in rng.permutation(n)) for _ in range(-(-permutations // 2))]
    return [order for one in drawn for order in (one, one[::-1])][:permutations], False


def _sampling_error(gains: Values) -> Values:
    """Return the standard error over pairs of permutations (a pair is one draw) of the mean over subjects."""
    means = gains.mean(axis=2)
    pairs = (means[0 : len(means) // 2 * 2 : 2] + means[1 : len(means) // 2 * 2 : 2]) / 2
    if len(pairs) < 2:
        return np.full(means.shape[1], math.nan)
    return np.array([sample_sd(column) / math.sqrt(len(pairs)) for column in pairs.T])
