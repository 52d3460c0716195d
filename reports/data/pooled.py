"""All image changes as one condition, so that the statistics of the metrics room can be asked about them."""

from __future__ import annotations

import pandas as pd

from robustness.results import CLEAN, is_searched

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
    rows = rows[rows[metric].notna()]
    keys = ["model", *(k for k in ("dataset", "split") if k in rows), "case_id", "prompt_index"]
    clean = rows[rows["condition"] == CLEAN].drop_duplicates(keys)
    changed = rows[rows["family"] == "image"] if "family" in rows else rows.iloc[:0]
    searched = [condition for condition in changed["condition"].unique() if is_searched(condition)]
    changed = changed[~changed["condition"].isin(searched)]
    means = changed.groupby(keys, sort=False, dropna=False)[metric].mean().rename("pooled").reset_index()
    pooled = clean.merge(means, on=keys, how="inner").assign(condition=IMAGES)
    pooled[metric] = pooled.pop("pooled")
    return pd.concat([clean, pooled], ignore_index=True)
