"""Tables of a study: one row per cell and data set, and means over seeds and folds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robustness.plans.study import Cell
from robustness.results import CLEAN

if TYPE_CHECKING:
    import pandas as pd

_AXES = ("model", "trained_on", "prompt", "stage", "tested_on")


def cell_rows(cell: Cell, folder: Path, *, error: str = "") -> list[dict[str, Any]]:
    """Return one row per data set that a cell was audited on.

    Columns: cell, model, trained_on, prompt, fold, seed, stage ("finetuned" or "zero-shot"), tested_on, n_subjects,
    dice (clean mean over subjects), dice_low, dice_high (t interval of level dice_level, 1 - alpha of the plan),
    val_dice (best of training), verdict columns ``prompt_FOLLOWS`` ... with the number of prompt claims of each kind,
    and error.
    """
    facts = cell.facts
    head = {
        "cell": cell.name,
        "model": facts["model"],
        "trained_on": facts["data"],
        "prompt": facts["prompt"],
        "fold": facts["fold"],
        "seed": facts["seed"],
        "stage": "zero-shot" if cell.train is None else "finetuned",
    }
    if error:
        return [head | {"tested_on": "", "error": error}]
    return [head | row | {"val_dice": _val_dice(folder), "error": ""} for row in _audited(folder / "audit")]


def group_rows(cells: pd.DataFrame) -> pd.DataFrame:
    """Return mean, standard deviation and range of the clean Dice over the seeds and folds of each group of cells.

    The spread is that of whole trainings; it says nothing about patients, of which every cell has its own interval.
    """
    import pandas as pd

    done = cells[cells["error"] == ""]
    if done.empty:
        return pd.DataFrame(columns=[*_AXES, "cells", "dice_mean", "dice_sd", "dice_min", "dice_max"])
    grouped = done.groupby(list(_AXES), sort=False, dropna=False)["dice"]
    return grouped.agg(cells="size", dice_mean="mean", dice_sd="std", dice_min="min", dice_max="max").reset_index()


def _audited(run: Path) -> list[dict[str, Any]]:
    from robustness.reports.data.unit_means import unit_interval
    from robustness.workflows.run import open_run

    opened = open_run(run)
    level = 1 - float(opened.manifest["statistics"]["alpha"])
    verdicts, results = opened.verdicts(), opened.results()
    rows = []
    for dataset, clean in results[results["condition"] == CLEAN].groupby("dataset", sort=False):
        score = unit_interval(clean, "dice", level=level)
        claims = verdicts[(verdicts["claim"] == "prompt") & (verdicts["dataset"] == dataset)]
        counted = {f"prompt_{name}": int(n) for name, n in claims["verdict"].value_counts().sort_index().items()}
        rows.append(
            {
                "tested_on": dataset,
                "n_subjects": score["n_subjects"],
                "dice": score["mean"],
                "dice_low": score["ci_low"],
                "dice_high": score["ci_high"],
                "dice_level": score["level"],
                **counted,
            }
        )
    return rows


def _val_dice(folder: Path) -> float | None:
    path = folder / "checkpoint" / "training.json"
    if not path.is_file():
        return None
    value = json.loads(path.read_text(encoding="utf-8")).get("val_dice")
    return None if value is None else float(value)
