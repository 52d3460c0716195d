"""Subgroups: clean score and mean loss under image changes per group, with the number of units behind each."""

from __future__ import annotations

from types import MappingProxyType

import pandas as pd

from robustness.metrics.analyses.subgroups import subgroups
from robustness.reports.data.frames import ALPHA, Alphas
from robustness.results import CLEAN, is_searched
from robustness.results import COLUMNS as RESULT_COLUMNS

FEW = 10
KNOWN = ("target", "site", "scanner", "manufacturer", "sex", "age_group", "skin_tone", "modality", "view")
PREFIX = "group_"
COLUMNS = (
    "series",
    "dataset",
    "grouping",
    "group",
    "n_images",
    "n_subjects",
    "mean",
    "ci_low",
    "ci_high",
    "level",
    "loss",
    "loss_low",
    "loss_high",
    "loss_level",
    "note",
)
_MOST_GROUPS = 40
# Text columns that audits and pages write besides those of the contract.
_WRITTEN = frozenset({"params", "truth", "series", "run", "label", "protocol", "trained_on"})
_OF_LOSS = {"effect": "loss", "ci_low": "loss_low", "ci_high": "loss_high", "level": "loss_level"}
_KEYS = ["model", "dataset", "group"]


def grouping_columns(results: pd.DataFrame) -> tuple[str, ...]:
    """Return the columns that divide the cases into at least two groups: the known ones, and those of the data.

    Columns of the data (a plan's ``[data] groups``) are the text columns that no audit writes of its own.
    """
    columns = [c for c in results.columns if c in KNOWN or str(c).startswith(PREFIX) or _of_data(results, str(c))]
    clean = results[results["condition"] == CLEAN]
    return tuple(str(c) for c in columns if 2 <= clean[c].replace("", None).nunique() <= _MOST_GROUPS)


def _of_data(results: pd.DataFrame, column: str) -> bool:
    if column in RESULT_COLUMNS or column in _WRITTEN:
        return False
    stated = results[column].dropna()
    return bool(len(stated)) and all(isinstance(value, str) for value in stated.unique())


def subgroup_table(
    results: pd.DataFrame, *, metric: str = "dice", alphas: Alphas = MappingProxyType({})
) -> pd.DataFrame:
    """Return one row per series, data set, grouping and group (columns `COLUMNS`), lowest clean mean first.

    `mean` is the clean score over units; `loss` the mean paired loss over all single image changes, averaged within
    the case first. Intervals are simultaneous over the groups of a grouping that are large enough (`level` and
    `loss_level`, 1 - alpha / groups). A group with fewer than `FEW` units is named with its size and gets no number:
    the lowest of many small groups is low by chance. Numbers are those of `metrics.subgroups.subgroups`; `alphas` are
    those of the plans by series.
    """
    table = with_pooled_images(results, metric=metric)
    of_series = [(str(series), rows) for series, rows in table.groupby("series", sort=True)]
    tables = [
        _of(rows, grouping, metric, alphas.get(series, ALPHA))
        for grouping in grouping_columns(results)
        for series, rows in of_series
    ]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(COLUMNS))


def _of(table: pd.DataFrame, grouping: str, metric: str, alpha: float) -> pd.DataFrame:
    stated = table[table[grouping].notna() & table[grouping].astype(str).ne("")]
    groups = subgroups(stated, grouping, metric=metric, alpha=alpha, at_least=FEW, higher_is_better={metric: True})
    clean = groups[groups["condition"] == CLEAN].drop(columns=["effect", "ci_low", "ci_high"])
    clean = clean.rename(columns={"mean_low": "ci_low", "mean_high": "ci_high"})
    changed = groups[groups["condition"] == IMAGES][[*_KEYS, *_OF_LOSS]].rename(columns=_OF_LOSS)
    rows = clean.merge(changed, on=_KEYS, how="left")
    # Readers of data write "unknown" where a case states nothing.
    named = rows["group"].replace("unknown", "not stated")
    rows = rows.assign(series=rows["model"], grouping=grouping.removeprefix(PREFIX), group=named)
    rows["note"] = rows["note"].where(rows["note"] == "", f"too few units (< {FEW})")
    return rows.sort_values(["series", "dataset", "mean"], kind="stable", na_position="last")[list(COLUMNS)]


IMAGES = "image changes"


def with_pooled_images(results: pd.DataFrame, *, metric: str = "dice") -> pd.DataFrame:
    """Return the clean rows and, as condition `IMAGES`, each case's mean `metric` over the single image changes.

    Attacks are not among them: a mean over what happens and what is aimed means nothing.

    Args:
        results: rows with the column `series`, which takes the place of `model`: two runs of one model stay apart.
        metric: the score; rows without it are left out before the mean, so a case counts with the changes it has.

    Returns:
        A table that `metrics.subgroups` and `metrics.models` read; one row per case and text and condition.
    """
    rows = results.reset_index(drop=True)
    rows = rows.assign(model=rows["series"], **{metric: pd.to_numeric(rows[metric], errors="coerce")})
    rows = rows if rows[metric].notna().all() else rows[rows[metric].notna()]
    keys = ["model", *(k for k in ("dataset", "split") if k in rows), "case_id", "prompt_index"]
    clean = rows[rows["condition"] == CLEAN].drop_duplicates(keys)
    single = rows["family"] == "image" if "family" in rows else pd.Series(False, index=rows.index)
    changed = rows.loc[single, [*keys, "condition", metric]]
    searched = [condition for condition in changed["condition"].unique() if is_searched(condition)]
    changed = changed[~changed["condition"].isin(searched)]
    means = changed.groupby(keys, sort=False, dropna=False)[metric].mean().rename("pooled").reset_index()
    pooled = clean.merge(means, on=keys, how="inner").assign(condition=IMAGES)
    pooled[metric] = pooled.pop("pooled")
    return pd.concat([clean, pooled], ignore_index=True)
