"""Floors of the clean score (prompts that say nothing or something else, every pixel painted) and its lowest cases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

from robustness.reports.data.datatable import Column, DataTable, table_of
from robustness.reports.data.unit_means import unit_means
from robustness.reports.words import interval, number
from robustness.results import REFERENCE_FRACTION as REFERENCE

_LOWEST = 20
_COLUMNS = (
    Column("series", "model"),
    Column("dataset", "dataset", hidden=True),
    Column("split", "split", hidden=True),
    Column("case_id", "case"),
    Column("subject_id", "unit"),
    Column("prompt", "prompt"),
    Column("condition", "condition", "condition", hidden=True),
    Column("dice", "Dice", "number", link="rows"),
)
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


class Unheeded(NamedTuple):
    """That a model does not heed the class, by Dice: the fact, and the warning of the page that starts with it."""

    fact: str
    warning: str


def unheeded_class(
    effects: pd.DataFrame, verdicts: pd.DataFrame, margin: float | None, notes: Sequence[str]
) -> dict[str, Unheeded]:
    """Return, by series, what is said of a model whose Dice is shown to stay when the prompt asks for another class.

    Args:
        effects: rows with `series`, `model`, `condition`, `metric`, `clean_mean`, `perturbed_mean`, `effect` and the
            ends and `level` of its interval.
        verdicts: rows with `series`, `claim`, `condition`, `verdict`: what was decided by the mask change is said too.
        margin: the plan's margin of Dice; without one nothing is said.
        notes: warnings of the run; a model of which they say that its score does not come from what was asked for needs
            no second one.
    """
    if margin is None:
        return {}
    rows = effects[(effects["condition"] == "wrong_class") & (effects["metric"] == "dice")]
    shown = rows[pd.to_numeric(rows["ci_high"], errors="coerce") < float(margin)]
    judged = verdicts[(verdicts["condition"] == "wrong_class") & (verdicts["claim"] == "prompt")]
    decided = dict(zip(judged["series"], judged["verdict"], strict=True))
    found: dict[str, Unheeded] = {}
    for row in shown.to_dict("records"):
        if any(note.startswith(f"No robustness of {row['model']} ") for note in notes):
            continue
        fact = (
            f"{row['series']} does not heed the class that is asked for: under prompts for another class it still"
            f" scores {number(row['perturbed_mean'])} against the first target, of {number(row['clean_mean'])} when"
            f" asked for that (loss {number(row['effect'])}"
            f" {interval(row['ci_low'], row['ci_high'], level=row.get('level'))}, within the margin of {margin:g})."
        )
        found[str(row["series"])] = Unheeded(
            fact,
            f"{fact} It cannot be trusted to find a structure by its name. This is about the class alone, not about"
            f" other words; by mask change the verdict on target words is {decided.get(row['series'], 'not given')}.",
        )
    return found


def _all_ones(results: pd.DataFrame) -> pd.DataFrame | None:
    if REFERENCE not in results:
        return None
    clean = results[(results["condition"] == "clean") & pd.to_numeric(results[REFERENCE], errors="coerce").notna()]
    share = pd.to_numeric(clean[REFERENCE])
    clean = clean.assign(painted=2 * share / (1 + share))
    records = [
        {"series": series, "condition": "all_ones"}
        | {"perturbed_mean": unit_means(rows, "painted").mean(), "n_images": rows["case_id"].nunique()}
        for series, rows in clean.groupby("series", sort=False)
    ]
    return pd.DataFrame(records) if records else None


def lowest(clean: pd.DataFrame) -> pd.DataFrame:
    """Return the clean rows with the lowest Dice, lowest first: `_LOWEST` of them at the most."""
    scored = clean.assign(dice=pd.to_numeric(clean["dice"], errors="coerce")).dropna(subset=["dice"])
    return scored.nsmallest(_LOWEST, "dice")


def lowest_table(results: pd.DataFrame) -> DataTable:
    """Return the clean predictions with the lowest Dice of each series; a case of several words stands once."""
    clean = results[results["condition"] == "clean"]
    clean = clean.drop_duplicates(["series", "dataset", "split", "case_id", "prompt_index"])
    rows = [lowest(own) for _, own in clean.groupby("series", sort=False)]
    return table_of(pd.concat(rows) if rows else clean, "lowest", "Lowest clean Dice", _COLUMNS)
