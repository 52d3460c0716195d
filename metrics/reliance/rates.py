"""Rates and an index of prompt reliance, beside the verdicts: follow rate, flips, abstention, PRI."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from robustness.errors import InputError
from robustness.metrics.inference.bootstrap import cluster_bootstrap
from robustness.metrics.inference.intervals import Values, t_interval
from robustness.metrics.inference.shares import share_interval
from robustness.metrics.inference.signflip import check_alpha
from robustness.metrics.pairing.direction import CHANGE
from robustness.metrics.pairing.pairs import pair, subject_means, subject_values, with_clean
from robustness.metrics.pairing.rows import Codes, Rows, read_rows
from robustness.metrics.verdicts.evidence import ABSENT, base_name, prompt_cells
from robustness.metrics.verdicts.selectivity import TARGET_OVERLAP, apart, second_target_pairs
from robustness.results import PARAPHRASE

KEY = ("model", "dataset", "condition")
FOLLOW_COLUMNS = (
    *KEY,
    "follow_rate",
    "ci_low",
    "ci_high",
    "follows",
    "follows_when_clean",
    "neither",
    "n_images",
    "n_subjects",
)
FLIP_COLUMNS = (
    *KEY,
    "flip_rate",
    "flip_low",
    "flip_high",
    "exceeds_wording",
    "exceeds_low",
    "exceeds_high",
    "n_images",
    "n_paired",
    "n_subjects",
)
ABSTAIN_COLUMNS = (
    *KEY,
    "abstains",
    "abstains_low",
    "abstains_high",
    "hallucinates",
    "area_ratio",
    "ratio_low",
    "ratio_high",
    "n_images",
    "n_subjects",
)
PRI_COLUMNS = (
    *KEY,
    "floor",
    "pri",
    "ci_low",
    "ci_high",
    "floor_loss",
    "floor_loss_low",
    "n_images",
    "n_subjects",
    "note",
)
_NO_TARGET = frozenset({"empty", *ABSENT})


def follow_rates(
    table: pd.DataFrame, *, alpha: float = 0.05, least_dice: float = 0.1, target_overlap: float = TARGET_OVERLAP
) -> pd.DataFrame:
    """Return FR = P(mask nearer B | prompt B) - P(mask nearer B | prompt A), for conditions with a second target.

    Nearer B: Dice with B's reference above Dice with A's, and the larger of the two at least `least_dice`; else the
    mask is at neither (`neither`, under prompt B). The second term takes off what a prompt-blind model gets by chance,
    so FR is 0 for it. t interval on subject means; NaN bounds with fewer than two subjects. Cases whose two targets
    overlap by more than `target_overlap` of the smaller one are left out: a part and its whole are no two places.

    Args:
        table: rows with `dice`, `dice_other`, `other_case_id` and, where it is known, `other_overlap`, as an audit with
            `other` writes them.

    Returns:
        One row per condition with a second target, columns `FOLLOW_COLUMNS`.
    """
    check_alpha(alpha, 1)
    rows = read_rows(table)
    records: list[dict[str, Any]] = []
    for cell in rows.cells.index[rows.cells["family"] == "prompt"]:
        pairs = second_target_pairs(rows, int(cell))
        match = None if pairs is None else apart(rows, pairs, target_overlap)
        if match is None or match.other.size == 0:
            continue
        own, second = rows.values("dice"), rows.values("dice_other")
        nearer = (second > own) & (np.fmax(own, second) >= least_dice)
        neither = np.fmax(own, second) < least_dice

        def mean(values: Values, where: Codes = match.other) -> Values:
            return subject_values(rows, where, values)[1]

        gain = mean(nearer[match.other].astype(float) - nearer[match.clean])
        interval = t_interval(gain, level=1 - alpha)
        records.append(
            _key(rows, int(cell))
            | {
                "follow_rate": interval.estimate,
                "ci_low": interval.low,
                "ci_high": interval.high,
                "follows": mean(nearer[match.other].astype(float)).mean(),
                "follows_when_clean": mean(nearer[match.clean].astype(float)).mean(),
                "neither": mean(neither[match.other].astype(float)).mean(),
                "n_images": np.unique(rows.case[match.other]).size,
                "n_subjects": gain.size,
            }
        )
    return pd.DataFrame(records, columns=list(FOLLOW_COLUMNS))


def flip_rates(
    table: pd.DataFrame, *, alpha: float = 0.05, flip_above: float = 0.1, resamples: int = 9999, seed: int = 0
) -> pd.DataFrame:
    """Return how often a prompt change flips the mask, and how often beyond the image's own paraphrase noise.

    `flip_rate`: P(C > `flip_above`), C the mask change. `exceeds_wording`: P(C > largest C of the image's paraphrases),
    over the images that have paraphrases. Shares within subject first, with distribution-free intervals; NaN where no
    image qualifies.

    Raises:
        InputError: the table has no column `mask_change`.
    """
    check_alpha(alpha, resamples)
    rows = read_rows(table)
    changes = pair(rows, CHANGE, "itself")
    records: list[dict[str, Any]] = []
    for _, cells in rows.cells.groupby("group", sort=True):
        most = _largest_paraphrase_change(rows, cells)
        for cell in prompt_cells(rows, cells):
            where = changes.of(cell)
            change, case, subject = changes.effect[where], changes.case[where], changes.subject[where]
            defined = np.isfinite(most[case])
            flips = subject_means((change > flip_above).astype(float), subject)[1]
            beyond = subject_means((change[defined] > most[case[defined]]).astype(float), subject[defined])[1]
            first, second = (
                share_interval(v, level=1 - alpha, resamples=resamples, seed=seed) for v in (flips, beyond)
            )
            values = (*first, *second, case.size, int(defined.sum()), flips.size)
            records.append(_key(rows, cell) | dict(zip(FLIP_COLUMNS[3:], values, strict=True)))
    return pd.DataFrame(records, columns=list(FLIP_COLUMNS))


def abstention(table: pd.DataFrame, *, alpha: float = 0.05, resamples: int = 9999, seed: int = 0) -> pd.DataFrame:
    """Return what a model does when asked for nothing or for what is not there (`empty`, `wrong_class`, `absent`).

    `abstains`: share of empty masks, distribution-free interval. `hallucinates`: share of masks that are not, 1 - that.
    `area_ratio`: predicted area over the area of the same images' clean predictions, a ratio of means with a cluster
    bootstrap interval; NaN where no clean prediction has any area.

    Raises:
        InputError: the table has no column `area_fraction`.
    """
    check_alpha(alpha, resamples)
    rows = read_rows(table)
    area = rows.values("area_fraction")
    records: list[dict[str, Any]] = []
    for cell in rows.cells.index[[base_name(str(c)) in _NO_TARGET for c in rows.cells["condition"]]]:
        other, clean = with_clean(rows, int(cell))
        defined = np.isfinite(area[other]) & np.isfinite(area[clean])
        other, clean = other[defined], clean[defined]
        _, empty, n_images = subject_values(rows, other, (area[other] == 0).astype(float))
        share = share_interval(empty, level=1 - alpha, resamples=resamples, seed=seed)
        sums = np.column_stack([subject_values(rows, other, area[where])[1] for where in (other, clean)])
        ratio = cluster_bootstrap(sums, _ratio, level=1 - alpha, resamples=resamples, seed=seed)
        values = (*share, 1 - share.estimate, *ratio, n_images, empty.size)
        records.append(_key(rows, int(cell)) | dict(zip(ABSTAIN_COLUMNS[3:], values, strict=True)))
    return pd.DataFrame(records, columns=list(ABSTAIN_COLUMNS))


def prompt_reliance_index(
    table: pd.DataFrame,
    *,
    floor: str = "wrong_class",
    alpha: float = 0.05,
    least_loss: float = 0.05,
    resamples: int = 9999,
    seed: int = 0,
) -> pd.DataFrame:
    """Return PRI = sum(D_clean - D_condition) / sum(D_clean - D_floor) over subject means of Dice.

    0: the change costs nothing; 1: it costs as much as a wrong class. A ratio of means, never a mean of ratios, with a
    cluster bootstrap interval. Undefined (NaN, with a note) where the interval of the denominator is not above
    `least_loss`: the floor prompt does not hurt either, and any ratio to it would be noise.

    Args:
        table: rows with `dice`; images that lack one of the two conditions are left out.
        floor: the condition of the denominator; report also "empty".

    Raises:
        InputError: the table has no rows of `floor`.
    """
    check_alpha(alpha, resamples)
    rows = read_rows(table)
    if not (rows.cells["condition"] == floor).any():
        raise InputError(f"floor: the table has no rows of {floor!r}; run that prompt change, or name another floor")
    losses = pair(rows, "dice", "clean - perturbed")
    records: list[dict[str, Any]] = []
    for _, cells in rows.cells.groupby("group", sort=True):
        base = np.full(rows.subject_of_case.size, np.nan)
        for cell in cells.index[cells["condition"] == floor]:
            base[losses.case[losses.of(int(cell))]] = losses.effect[losses.of(int(cell))]
        for cell in [c for c in prompt_cells(rows, cells) if cells.at[c, "condition"] != floor]:
            where = losses.of(cell)
            defined = np.isfinite(base[losses.case[where]])
            subject, case = losses.subject[where][defined], losses.case[where][defined]
            sums = np.column_stack([subject_means(v, subject)[1] for v in (losses.effect[where][defined], base[case])])
            values = _index(sums, floor, alpha, least_loss, resamples, seed)
            records.append(_key(rows, cell) | values | {"n_images": case.size, "n_subjects": len(sums)})
    return pd.DataFrame(records, columns=list(PRI_COLUMNS))


def _index(sums: Values, floor: str, alpha: float, least_loss: float, resamples: int, seed: int) -> dict[str, Any]:
    nan = float("nan")
    loss = t_interval(sums[:, 1], level=1 - alpha)
    shared = {"floor": floor, "floor_loss": loss.estimate, "floor_loss_low": loss.low}
    if not loss.low > least_loss:
        reason = f"undefined: the {floor} prompt does not hurt either"
        if len(sums) < 2:
            reason = "undefined: fewer than 2 subjects"
        return shared | {"pri": nan, "ci_low": nan, "ci_high": nan, "note": reason}
    index = cluster_bootstrap(sums, _ratio, level=1 - alpha, resamples=resamples, seed=seed)
    return shared | {"pri": index.estimate, "ci_low": index.low, "ci_high": index.high, "note": ""}


def _largest_paraphrase_change(rows: Rows, cells: pd.DataFrame) -> Values:
    """Return the largest mask change among the paraphrases of each case; NaN where it has none."""
    change = rows.values(CHANGE)
    paraphrases = [int(c) for c in cells.index[[base_name(str(n)) == PARAPHRASE for n in cells["condition"]]]]
    where = np.flatnonzero(np.isin(rows.cell, paraphrases) & np.isfinite(change))
    most = np.full(rows.subject_of_case.size, np.nan)
    np.fmax.at(most, rows.case[where], change[where])
    return most


def _key(rows: Rows, cell: int) -> dict[str, Any]:
    return {name: rows.cells.at[cell, name] for name in KEY}


def _ratio(totals: Values) -> Values:
    return np.asarray(totals[:, 0] / totals[:, 1], dtype=np.float64)
