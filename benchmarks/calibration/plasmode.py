"""Plasmode: real differences of a real audit with random signs; is the error still what it should be?

Real differences have ties, ceilings and heavy tails that no formula draws. With the sign of every image flipped at
random their mean is 0 by construction and everything else stays as measured.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import pandas as pd

from benchmarks.calibration._study import Check, Study, in_parallel, rate_limit, run_script
from robustness.metrics.inference.signflip import sign_flip
from robustness.metrics.pairing.pairs import pair, subject_means
from robustness.metrics.pairing.rows import read_rows
from robustness.seeds import generator

FLIPS = 1999
METRICS = ("dice", "mask_change")
LEAST_MOVED = 8
PERTURBATIONS = ["rare", "drop", "gaussian_noise", "gaussian_blur"]


def real_differences(table: pd.DataFrame) -> dict[str, np.ndarray]:
    """Return the subject means of every condition and metric in which at least a few subjects moved."""
    rows = read_rows(table)
    found = {}
    for metric in METRICS:
        pairs = pair(rows, metric, "itself" if metric == "mask_change" else "clean - perturbed")
        for cell in rows.cells.index[rows.cells["family"].isin(["prompt", "image", "joint"])]:
            where = pairs.of(int(cell))
            values = subject_means(pairs.effect[where], pairs.subject[where])[1]
            if np.count_nonzero(np.abs(values) > 1e-9) >= LEAST_MOVED:
                found[f"{metric} {rows.cells.at[cell, 'condition']}"] = values
    return found


def error_rates(name: str, values: np.ndarray, runs: int, seed: int) -> tuple[float, float]:
    """Return how often the sign-flip test rejects and the t interval misses 0."""
    from scipy.special import stdtrit

    k = values.size
    signs = generator(seed, "plasmode", name).choice([-1.0, 1.0], (runs, k))
    d = signs * values
    half = float(stdtrit(k - 1, 0.975)) * d.std(axis=1, ddof=1) / np.sqrt(k)
    p = np.concatenate(
        [
            sign_flip(
                d[i : i + 500].T, resamples=FLIPS, seed=seed + i, family=np.zeros(len(d[i : i + 500]), bool)
            ).p_value
            for i in range(0, runs, 500)
        ]
    )
    return float((p <= 0.05).mean()), float((np.abs(d.mean(axis=1)) > half).mean())


def audit_table() -> tuple[pd.DataFrame, str]:
    """Return the rows of RUN (environment variable), else of an audit of the embedded demo network on its slices."""
    import robustness as rb
    from robustness.workflows.demo_files import demo_checkpoint, demo_data

    folder = os.environ.get("RUN")
    if folder:
        return rb.open_run(folder).results(), Path(folder).name
    model = rb.load_model("film-unet", checkpoint=demo_checkpoint("text-conditioned"), device="cpu")
    data = rb.load_dataset(demo_data("brain"), split="test", prompt="p5", subject="image")
    with tempfile.TemporaryDirectory() as scratch:
        run = rb.audit(
            model, data, perturbations=PERTURBATIONS, severities=[1, 3], out=Path(scratch) / "run", report=False
        )
        return run.results(), "the demo network on its embedded brain slices (subject = image)"


def simulate(
    *, runs: int = 4000, seed: int = 0, processes: int = 2, table: pd.DataFrame | None = None, source: str = "a table"
) -> Study:
    """Plasmode null: sign-flipped differences of every condition of an audit."""
    if table is None:
        table, source = audit_table()
    real = real_differences(table)
    rates = in_parallel(error_rates, [(name, values, runs, seed) for name, values in real.items()], processes)
    rows = [
        (name, values.size, int(np.count_nonzero(np.abs(values) > 1e-9)), *found)
        for (name, values), found in zip(real.items(), rates, strict=True)
    ]
    # Few subjects that moved make the test coarse, hence conservative: each condition alone has an upper limit only.
    enough = [row for row in rows if row[2] >= 20]
    most, limit = max(row[3] for row in rows), rate_limit(0.05, runs, 4.0)
    checks = [Check("largest error of the sign-flip test", most, 0.0, limit)]
    if enough:
        mean = float(np.mean([row[3] for row in enough]))
        checks.append(Check("mean error of the sign-flip test, at least 20 subjects that moved", mean, 0.040, 0.060))
    checks.append(Check("largest error of the t interval", max(row[4] for row in rows), 0.0, limit))
    columns = ("difference", "subjects", "of which moved", "error of sign-flip", "error of t")
    about = f"Real differences from {source}, every subject's sign drawn at random; nominal error 0.05."
    return Study("plasmode", "Plasmode: real differences without effect", about, columns, rows, checks, runs)


if __name__ == "__main__":
    run_script("calibration: plasmode", simulate, runs=4000)
