"""Subgroups: clean score and mean loss per group, with the number of units behind each."""

from __future__ import annotations

from typing import Any

import pandas as pd

from robustness.reports.unit_means import unit_interval

FEW = 10
KNOWN = ("target", "site", "scanner", "manufacturer", "sex", "age_group", "skin_tone", "modality", "view")
PREFIX = "group_"
COLUMNS = (
    "series", "grouping", "group", "n_images", "n_subjects", "mean", "ci_low", "ci_high", "loss", "loss_low",
    "loss_high", "note",
)  # fmt: skip
_MOST_GROUPS = 40


def grouping_columns(results: pd.DataFrame) -> tuple[str, ...]:
    """Return the columns that divide the cases into at least two groups: the known ones, and those named group_*."""
    wanted = [c for c in results.columns if c in KNOWN or str(c).startswith(PREFIX)]
    clean = results[results["condition"] == "clean"]
    return tuple(str(c) for c in wanted if 2 <= clean[c].replace("", None).nunique() <= _MOST_GROUPS)


def subgroup_table(results: pd.DataFrame, *, metric: str = "dice", alpha: float = 0.05) -> pd.DataFrame:
    """Return one row per series, grouping and group (columns `COLUMNS`), lowest clean mean first.

    `mean` is the clean score over units; `loss` the mean paired loss over all single image changes, averaged within
    the unit first. Intervals are simultaneous over the groups of a grouping (level 1 - alpha / groups). Groups with
    fewer than `FEW` units say so and are not to be read as the worst group: the lowest of many small groups is low by
    chance.
    """
    made: list[dict[str, Any]] = []
    for grouping in grouping_columns(results):
        for series, rows in results.groupby("series", sort=False):
            made += _groups(rows, str(series), grouping, metric, alpha)
    return pd.DataFrame(made, columns=list(COLUMNS))


def _groups(rows: pd.DataFrame, series: str, grouping: str, metric: str, alpha: float) -> list[dict[str, Any]]:
    clean = rows[(rows["condition"] == "clean") & rows[metric].notna()]
    names = sorted({str(g) for g in clean[grouping].dropna() if str(g)})
    if len(names) < 2:
        return []
    level = 1 - alpha / len(names)
    losses = image_losses(rows, metric)
    made = []
    for name in names:
        score = unit_interval(clean[clean[grouping] == name], metric, level=level)
        loss = unit_interval(losses[losses[grouping] == name], "loss", level=level)
        few = "" if score["n_subjects"] >= FEW else f"too few units (< {FEW})"
        made.append({
            "series": series, "grouping": grouping.removeprefix(PREFIX), "group": name, **score,
            "loss": loss["mean"], "loss_low": loss["ci_low"], "loss_high": loss["ci_high"], "note": few,
        })  # fmt: skip
    return sorted(made, key=lambda row: row["mean"])


def image_losses(rows: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return the rows of single image changes with `loss`: clean score of the same case and text minus theirs."""
    keys = ["case_id", "prompt_index"]
    clean = rows[(rows["condition"] == "clean") & rows[metric].notna()].drop_duplicates(keys)
    changed = rows[(rows["family"] == "image") & rows[metric].notna()]
    joined = changed.merge(clean[[*keys, metric]], on=keys, suffixes=("", "_clean"))
    return joined.assign(loss=pd.to_numeric(joined[f"{metric}_clean"]) - pd.to_numeric(joined[metric]))
