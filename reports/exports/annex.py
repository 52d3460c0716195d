"""Annex of the regulatory edition: hashes, versions and plans in one file, so that the report need not print them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from robustness.files import sha256_file, write_text
from robustness.reports.data.run_tables import RunTables, read_runs

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
