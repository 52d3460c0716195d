"""Builds the page of a run of 500 cases x 130 conditions; seconds against the limit of 20, and its size."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import pandas as pd

from robustness.metrics.analyses.effects import effects
from robustness.metrics.verdicts.verdicts import verdicts
from robustness.reports.html.page import write_report
from robustness.results import parse_condition
from robustness.run_folder import MANIFEST, PLAN, RunFolder
from robustness.runs.conclude import table_hashes

CASES = 500
WORDS = [f"{name}:{kind}" for name in ("antonym", "rare", "drop") for kind in ("size", "side", "number", "colour")]
KINDS = [f"image:change_{k:02d}@{s}" for k in range(23) for s in range(1, 6)]
CONDITIONS = ["clean", "rerun", "paraphrase", "empty", "wrong_class", *WORDS, *KINDS][:131]
LIMIT_S, LIMIT_MB = 20.0, 15.0


def rows_of(condition: str, clean: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    """Return one row per case: a loss that grows with the severity of an image change."""
    parsed = parse_condition(condition)
    loss = 0.0 if condition in ("clean", "rerun") else rng.normal(0.01 * parsed.severity, 0.03, CASES)
    dice = np.clip(clean - loss, 0, 1)
    place = np.arange(CASES)
    return pd.DataFrame(
        {
            "model": "net",
            "dataset": "made-up",
            "split": "test",
            "case_id": [f"image_{k:05d}" for k in place],
            "subject_id": [f"patient_{k // 3:05d}" for k in place],
            "target": np.array(["polyp", "tool"])[place % 2],
            "condition": condition,
            "family": parsed.family,
            "attribute": parsed.attribute,
            "severity": parsed.severity,
            "expectation": "invariant" if parsed.family == "image" else "none",
            "prompt": [f"one small polyp of image {k % 40}, {condition}" for k in place],
            "prompt_index": 0,
            "applicable": True,
            "note": "",
            "dice": dice,
            "iou": dice / (2 - dice),
            "mask_change": np.clip(np.abs(clean - dice) * 1.5, 0, 1),
            "error": "",
        }
    )


def make_run(folder: Path) -> int:
    """Write a run's folder; return its number of rows."""
    rng = np.random.default_rng(0)
    clean = rng.uniform(0.5, 0.95, CASES)
    table = pd.concat([rows_of(c, clean, rng) for c in CONDITIONS], ignore_index=True)
    (folder / "results").mkdir(parents=True)
    table.to_parquet(folder / "results" / "part-00000.parquet", index=False)
    effects(table, metric=["dice", "iou", "mask_change"], resamples=999).to_parquet(folder / "effects.parquet")
    verdicts(table, resamples=999).to_parquet(folder / "verdicts.parquet")
    # Readers take the tables of a finished run alone: its manifest names their hashes.
    (folder / PLAN).write_text('[model]\nname = "net"\n[data]\npath = "made-up"\n', encoding="utf-8")
    facts: dict[str, object] = {"plan_sha256": "", "models": [], "datasets": [], "counts": {}}
    manifest = {**facts, "tables": table_hashes(RunFolder(folder))}
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    return len(table)


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name:
        rows = make_run(Path(name) / "run")
        started = time.perf_counter()
        page = write_report(Path(name) / "run", Path(name) / "report.html")
        seconds, size = time.perf_counter() - started, page.stat().st_size / 1e6
    print(f"{CASES} cases x {len(CONDITIONS) - 1} conditions, {rows:,} rows, no images")
    print(f"built in {seconds:.2f} s (limit {LIMIT_S:g} s), {size:.1f} MB (limit {LIMIT_MB:g} MB)")
    detail = {"seconds": round(seconds, 3), "megabytes": round(size, 2), "rows": rows, "limit_megabytes": LIMIT_MB}
    ratio = seconds / LIMIT_S
    print(json.dumps({"name": "report_page", "ratio": round(ratio, 4), "limit": 1.0, "target": 0.5, "detail": detail}))


if __name__ == "__main__":
    main()
