"""Annex files of a page: hashes, versions and plans of the regulatory edition, and every prompt text that was asked."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from robustness.files import sha256_file, write_text
from robustness.reports.data.datatable import inert
from robustness.reports.data.run_tables import RunTables, read_runs
from robustness.results import CLEAN

_KEYS = (
    "suite_version",
    "created",
    "seed",
    "device",
    "precision",
    "threads",
    "python",
    "platform",
    "packages",
    "plan_sha256",
    "tables",
)

PROMPT_COLUMNS = (
    "dataset",
    "condition",
    "attribute",
    "expectation",
    "prompt",
    "n_models",
    "n_cases",
    "n_subjects",
    "n_rows",
    "first_case",
)


def annex(runs: Sequence[RunTables]) -> dict[str, Any]:
    """Return per run what identifies plan, tables, weights and data files, and what computed them."""
    return {run.name: {**_recorded(run), "models": _models(run), "datasets": _datasets(run)} for run in runs}


def write_annex(run_dirs: str | Path | Sequence[str | Path], page: str | Path) -> Path:
    """Write ``PAGE-annex.json`` beside a page that exists; its own sha256 is in the file, to sign both together.

    Raises:
        InputError: a run cannot be read.
    """
    page = Path(page)
    content = {"page": page.name, "page_sha256": sha256_file(page), "runs": annex(read_runs(run_dirs))}
    out = page.with_name(f"{page.stem}-annex.json")
    write_text(out, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    return out


def prompt_table(results: pd.DataFrame) -> pd.DataFrame:
    """Return every text that was asked under every condition, with counts; clean texts first, then by condition.

    Args:
        results: rows of one or several runs, as `robustness.reports.data.frames.merge` puts them together.

    Returns:
        Columns `PROMPT_COLUMNS`: models, cases, subjects and rows that a text was asked of, and the first of the cases.
    """
    asked = results[results["applicable"].fillna(True).astype(bool)]
    asked = asked.assign(prompt=asked["prompt"].fillna("").astype(str), attribute=asked["attribute"].fillna(""))
    # A clean row is repeated for each word whose second target it is scored against: one text, whatever the word.
    clean = asked["condition"].eq(CLEAN)
    asked = asked.assign(attribute=asked["attribute"].mask(clean, ""), late=~clean)
    keys = ["dataset", "late", "condition", "attribute", "expectation", "prompt"]
    grouped = asked.assign(expectation=asked["expectation"].fillna("")).groupby(keys, sort=True)
    table = grouped.agg(
        n_models=("model", "nunique"),
        n_cases=("case_id", "nunique"),
        n_subjects=("subject_id", "nunique"),
        n_rows=("case_id", "size"),
        first_case=("case_id", "min"),
    ).reset_index()
    return table[list(PROMPT_COLUMNS)]


def write_prompts(results: pd.DataFrame, page: str | Path) -> Path:
    """Write ``PAGE-prompts.csv`` (UTF-8, quoted) beside a page; no spreadsheet runs a text of it as a formula."""
    page = Path(page)
    out = page.with_name(f"{page.stem}-prompts.csv")
    write_text(out, inert(prompt_table(results)).to_csv(index=False, quoting=csv.QUOTE_NONNUMERIC), mode=0o644)
    return out


def _recorded(run: RunTables) -> dict[str, Any]:
    return {**{key: run.manifest.get(key) for key in _KEYS}, "plan": run.plan}


def _models(run: RunTables) -> list[Any]:
    models = run.manifest.get("models") or [run.manifest.get("model") or {}]
    keys = ("name", "label", "model", "weights", "sha256", "source", "preprocess", "device_name")
    return [{key: model[key] for key in keys if key in model} for model in models if isinstance(model, dict)]


def _datasets(run: RunTables) -> list[Any]:
    datasets = run.manifest.get("datasets") or [run.manifest.get("dataset") or {}]
    keys = ("name", "split", "prompt", "n_cases", "n_images", "n_subjects", "files")
    return [{key: data[key] for key in keys if key in data} for data in datasets if isinstance(data, dict)]
