"""A run as a `model-index` block for the front matter of a Hugging Face model card."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from robustness.files import write_text
from robustness.reports.data.frames import ALPHA, merge
from robustness.reports.data.run_tables import RunTables, read_runs
from robustness.reports.data.unit_means import unit_interval
from robustness.reports.words import condition_words, metric_words

NAME = "model-index.yaml"
_CLEAN_METRICS = ("dice", "iou", "nsd", "hd95")


def model_index(folder: str | Path) -> dict[str, Any]:
    """Return ``{"model-index": [...]}``: clean scores with intervals, and Dice under every image change.

    One entry per model, one result per data set; `value` is a mean over units of inference. In `args`, `ci_low` and
    `ci_high` always bound `value` (t interval over units, of level `ci_level`: 1 - the plan's alpha), `loss_ci_low` and
    `loss_ci_high` the paired loss (`loss_ci_level`). Prompt verdicts are no scores and stay in the report.

    Raises:
        InputError: no run lies there.
    """
    run = read_runs(folder)[0]
    entries = []
    for model, rows in run.results.groupby("model", sort=False):
        results = [_result(run, str(model), str(d), r) for d, r in rows.groupby("dataset", sort=False)]
        entries.append({"name": str(model), "results": results})
    return {"model-index": entries}


def write_model_index(folder: str | Path) -> Path:
    """Write the block as YAML into the run's folder, ready to be pasted into a model card; return its path."""
    out = Path(folder) / NAME
    write_text(out, to_yaml(model_index(folder)))
    return out


def to_yaml(value: Any) -> str:
    r"""Write nested dictionaries and lists as YAML; every text is quoted, so that none can be read as markup.

    Example:
        >>> to_yaml({"a": [{"b": 1}]})
        'a:\n- b: 1\n'
    """
    return "\n".join(_lines(value, "")) + "\n"


def _lines(value: Any, indent: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if isinstance(inner, dict | list) and inner:
                yield f"{indent}{key}:"
                yield from _lines(inner, indent if isinstance(inner, list) else indent + "  ")
            else:
                yield f"{indent}{key}: {json.dumps(inner, ensure_ascii=False)}"
    else:
        for inner in value:
            if not isinstance(inner, dict | list):
                yield f"{indent}- {json.dumps(inner, ensure_ascii=False)}"
                continue
            first, *rest = _lines(inner, indent + "  ")
            yield f"{indent}- {first.removeprefix(indent + '  ')}"
            yield from rest


def _result(run: RunTables, model: str, dataset: str, rows: pd.DataFrame) -> dict[str, Any]:
    clean = rows[rows["condition"] == "clean"]
    split = next((str(s) for s in clean["split"] if s), "")
    return {
        "task": {"type": "image-segmentation", "name": "Text-prompted medical image segmentation"},
        "dataset": {"name": dataset, "type": dataset, **({"split": split} if split else {})},
        "metrics": [*_clean_metrics(clean, 1 - (run.alpha or ALPHA)), *_changed_metrics(run, model, dataset)],
        "source": {"name": f"robustness {run.manifest.get('suite_version') or ''}".strip()},
    }


def _clean_metrics(clean: pd.DataFrame, level: float) -> Iterator[dict[str, Any]]:
    for metric in _CLEAN_METRICS:
        if metric in clean and pd.to_numeric(clean[metric], errors="coerce").notna().any():
            interval = unit_interval(clean, metric, level=level)
            yield {
                "type": metric,
                "name": f"{metric_words(metric)}, unchanged input",
                "value": round(interval["mean"], 6),
                "args": _args(interval, interval["n_subjects"]),
            }


def _changed_metrics(run: RunTables, model: str, dataset: str) -> Iterator[dict[str, Any]]:
    table = merge([run]).effects
    mine = table[(table["model"] == model) & (table["dataset"] == dataset) & (table["metric"] == "dice")]
    own = run.results[(run.results["model"] == model) & (run.results["dataset"] == dataset)]
    for row in mine[mine["condition"].astype(str).str.startswith("image:")].to_dict("records"):
        if pd.notna(row["perturbed_mean"]):
            level = 1 - (run.alpha or ALPHA)
            interval = unit_interval(own[own["condition"] == row["condition"]], "dice", level=level)
            ends = {"loss_ci_low": row["ci_low"], "loss_ci_high": row["ci_high"], "loss_ci_level": row["level"]}
            loss = {"loss": row["effect"], **(ends if pd.notna(row["ci_low"]) else {})}
            yield {
                "type": "dice",
                "name": f"Dice, {condition_words(str(row['condition']))}",
                "value": round(float(row["perturbed_mean"]), 6),
                "args": _args(interval, row["n_subjects"])
                | {k: round(float(v), 6) for k, v in loss.items() if pd.notna(v)},
            }


def _args(interval: Mapping[str, Any], units: Any) -> dict[str, Any]:
    bounds = {"ci_low": interval["ci_low"], "ci_high": interval["ci_high"], "ci_level": interval["level"]}
    bounded = pd.notna(interval["ci_low"])
    return {**({k: round(float(v), 6) for k, v in bounds.items()} if bounded else {}), "n_units": int(units)}
