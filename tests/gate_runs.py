"""Finished runs whose tables are made here, so that the right outcome of a gate is known."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from robustness.plans.audit import parse_plan
from robustness.run_folder import EFFECTS, MANIFEST, PLAN, VERDICTS, RunFolder
from robustness.runs.conclude import derive, table_hashes
from robustness.workflows.run import Run, open_run

SUBJECTS = 40


class SealedFolder(RunFolder):
    """A run's folder whose tables a test may replace: what is written counts as the audit's."""

    def write_table(self, path: Path, table: pd.DataFrame) -> None:
        super().write_table(path, table)
        seal(self.path)


def rows(condition: str, dice: np.ndarray, change: np.ndarray | float, **more: Any) -> pd.DataFrame:
    """Return one row per case of a condition; case i belongs to subject i."""
    family = "image" if condition.startswith("image:") else "clean" if condition in ("clean", "rerun") else "prompt"
    return pd.DataFrame(
        {
            "model": "m",
            "dataset": "d",
            "split": "test",
            "case_id": [f"c{i:02d}" for i in range(len(dice))],
            "subject_id": [f"s{i:02d}" for i in range(len(dice))],
            "target": "polyp",
            "condition": condition,
            "family": family,
            "attribute": condition.partition(":")[2] if family == "prompt" else "",
            "severity": 0,
            "expectation": "invariant",
            "prompt": "p",
            "prompt_index": 0,
            "applicable": True,
            "note": "",
            "error": "",
            "dice": dice,
            "mask_change": change,
            **more,
        }
    )


def table(*, seed: int = 0, clean_shift: float = 0.0, swap_drop: float = 0.0) -> pd.DataFrame:
    """Return the rows of a model: side words matter (0.6), size words cost `swap_drop`, blur keeps 95%."""
    rng = np.random.default_rng(seed)
    # No two patients lose quite the same: a loss without any spread proves little.
    shift = clean_shift * np.linspace(0.8, 1.2, SUBJECTS)
    clean = np.clip(0.8 + np.random.default_rng(99).normal(0, 0.05, SUBJECTS) - shift, 0, 1)
    noise = lambda scale: rng.normal(0, scale, SUBJECTS)  # noqa: E731
    return pd.concat(
        [
            rows("clean", clean, 0.0),
            rows("paraphrase", clean + noise(0.002), np.abs(noise(0.004))),
            rows("antonym:size", clean - swap_drop + noise(0.01), np.abs(noise(0.01)) + swap_drop),
            rows("antonym:side", clean - 0.6 + noise(0.02), 0.9 + noise(0.01)),
            rows("image:blur@3", clean * 0.95 + noise(0.002), 0.1 + np.abs(noise(0.01))),
        ],
        ignore_index=True,
    )


def write_run(
    path: Path,
    results: pd.DataFrame | None = None,
    *,
    plan: dict[str, Any] | None = None,
    files: dict[str, str] | None = None,
    weights: str = "w1",
    **options: Any,
) -> Run:
    """Write a run with a manifest; `files` are the hashes of its data, `options` those of `table`."""
    tree = {"model": {"name": "clipseg"}, "data": {"path": "d"}, "statistics": {"resamples": 999}, **(plan or {})}
    parsed = parse_plan(tree)
    folder = RunFolder.create(path)
    (path / PLAN).write_text(parsed.to_toml())
    if results is None:
        results, effects, verdicts = _concluded(parsed.to_toml(), **options)
    else:
        effects, verdicts = derive(results, parsed, unit="patient")
    folder.write_table(folder.part(0), results)
    folder.write_table(path / EFFECTS, effects)
    folder.write_table(path / VERDICTS, verdicts)
    facts = {
        "name": "d",
        "split": "test",
        "n_cases": SUBJECTS,
        "n_images": SUBJECTS,
        "n_subjects": SUBJECTS,
        "subject_is_image": False,
        "files": files or {"images/a.png": "1"},
    }
    model = {"name": "m", "model": "clipseg", "weights": {"sha256": {"model.safetensors": weights}}}
    manifest = {
        "created": "2026-11-22T00:00:00+00:00",
        "datasets": [facts],
        "models": [model],
    }
    seal(path, manifest)
    run = open_run(path)
    run.folder = SealedFolder(path)
    return run


@cache
def _concluded(plan: str, **options: Any) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return rows, effects and verdicts of `table`; many tests write the same run, and none changes these tables."""
    results = table(**options)
    return results, *derive(results, parse_plan(tomllib.loads(plan)), unit="patient")


def replace_rows(run: Run, results: pd.DataFrame) -> Run:
    """Give a run other rows; its verdicts stay."""
    run.folder.write_table(run.folder.part(0), results)
    return run


_LEAST: Mapping[str, Any] = {"plan_sha256": "", "models": [], "datasets": [], "counts": {}}


def seal(folder: Path, facts: Mapping[str, Any] | None = None) -> Path:
    """Write (or, without `facts`, write again) the manifest of a run whose files are to count as the audit's."""
    path = folder / MANIFEST
    known = json.loads(path.read_text("utf-8")) if facts is None else facts
    path.write_text(json.dumps({**_LEAST, **known, "tables": table_hashes(RunFolder(folder))}), encoding="utf-8")
    return folder


GOOD = """
def test_it(robustness_run):
    robustness_run.{assertion}
"""


def text(result: pytest.RunResult) -> str:
    """Return what a session printed."""
    return "\n".join(result.outlines)
