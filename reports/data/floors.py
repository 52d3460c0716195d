"""Floors of the clean score: of prompts that say nothing or something else, and of every pixel painted."""

from __future__ import annotations

import pandas as pd

from robustness.reports.data.unit_means import unit_interval
from robustness.results import REFERENCE_FRACTION as REFERENCE

FLOORS = ("empty", "wrong_class", "nonsense", "absent", "all_ones")


def floor_scores(effects: pd.DataFrame, results: pd.DataFrame | None = None, *, metric: str = "dice") -> pd.DataFrame:
    """Return the floors: what is scored when the prompt says nothing or something else, and by painting every pixel.

    Columns `series`, `condition`, `perturbed_mean`, `n_images`. The last floor, `all_ones`, needs `results` with the
    column `reference_fraction` (share of the image that the reference covers): its Dice is 2 f / (1 + f).
    """
    rows = effects[(effects["metric"] == metric) & effects["condition"].isin(FLOORS)]
    floors = rows[rows["perturbed_mean"].notna()][["series", "condition", "perturbed_mean", "n_images"]]
    painted = None if results is None or metric != "dice" else _all_ones(results)
    return floors if painted is None else pd.concat([floors, painted], ignore_index=True)


def _all_ones(results: pd.DataFrame) -> pd.DataFrame | None:
    if REFERENCE not in results:
        return None
    clean = results[(results["condition"] == "clean") & pd.to_numeric(results[REFERENCE], errors="coerce").notna()]
    share = pd.to_numeric(clean[REFERENCE])
    clean = clean.assign(painted=2 * share / (1 + share))
    records = [
        {"series": series, "condition": "all_ones"}
        | {"perturbed_mean": (summary := unit_interval(rows, "painted"))["mean"], "n_images": summary["n_images"]}
        for series, rows in clean.groupby("series", sort=False)
    ]
    return pd.DataFrame(records) if records else None
