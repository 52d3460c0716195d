"""Null: how often does each test see a difference where there is none, and do intervals hold the truth?"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

from benchmarks.calibration._study import Check, Study, images_of, in_parallel, rate_limit, run_script
from robustness.metrics.inference.signflip import sign_flip
from robustness.seeds import generator

KINDS = ("gauss", "ties", "ceiling", "skewed")
ICCS = (0.0, 0.3, 0.5, 0.7)
NAIVE_AT_LEAST = {0.3: 0.20, 0.5: 0.28, 0.7: 0.33}
IMAGES = 6
BLOCK = 500
FLIPS = 1999


def rates(kind: str, icc: float, subjects: int, runs: int, seed: int) -> tuple[float, ...]:
    """Return reject rates of the naive t test, the sign-flip test and the coverage of the t interval (level 0.95)."""
    from scipy.special import stdtrit

    naive = flips = covered = 0
    for start in range(0, runs, BLOCK):
        n = min(BLOCK, runs - start)
        d = images_of(generator(seed, "null", kind, icc, subjects, start), kind, icc, n, subjects, IMAGES)
        means = d.mean(axis=2)
        for values, count in ((d.reshape(n, -1), "naive"), (means, "subject")):
            size = values.shape[1]
            error = values.std(axis=1, ddof=1) / np.sqrt(size)
            inside = np.abs(values.mean(axis=1)) <= float(stdtrit(size - 1, 0.975)) * error
            if count == "naive":
                naive += int((~inside).sum())
            else:
                covered += int(inside.sum())
        # Columns are independent data sets; the flips of a block are drawn again.
        alone = np.zeros(n, dtype=bool)
        p = sign_flip(means.T, resamples=FLIPS, seed=seed + start, family=alone).p_value
        flips += int((p <= 0.05).sum())
    return naive / runs, flips / runs, covered / runs


def simulate(*, runs: int = 10_000, seed: int = 0, processes: int = 2) -> Study:
    """Null simulation: 30 patients x 6 images; also 10, 20, 50 and 100 patients at ICC 0.5."""
    tasks = [(kind, icc, 30, runs, seed) for kind in KINDS for icc in ICCS]
    tasks += [(kind, 0.5, k, runs, seed) for kind in KINDS for k in (10, 20, 50, 100)]
    found = dict(zip(tasks, in_parallel(rates, tasks, processes), strict=True))
    rows = [(t[0], t[1], t[2], *found[t], 1 - found[t][2]) for t in tasks]
    symmetric = [t for t in tasks if t[0] != "skewed"]
    main = [t for t in symmetric if t[2] == 30]
    extra = rate_limit(0.05, runs, 4.0) - 0.05 if runs < 10_000 else 0.0
    checks = [
        Check(
            "largest type I error of the default test, symmetric, K = 30",
            max(found[t][1] for t in main),
            0.0,
            0.060 + extra,
        ),
        Check(
            "smallest type I error of the default test, symmetric, K = 30",
            min(found[t][1] for t in main),
            0.040 - extra,
            1.0,
        ),
        Check(
            "largest type I error of the default test, skewed, K = 30",
            max(found[t][1] for t in tasks if t[0] == "skewed" and t[2] == 30),
            0.0,
            0.075 + extra,
        ),
        Check(
            "smallest coverage of the 95% interval, symmetric, K >= 20",
            min(found[t][2] for t in symmetric if t[2] >= 20),
            0.94 - extra,
            1.0,
        ),
        Check(
            "smallest coverage of the 95% interval, skewed, K >= 20",
            min(found[t][2] for t in tasks if t[0] == "skewed" and t[2] >= 20),
            0.925 - extra,
            1.0,
        ),
    ]
    for icc, least in NAIVE_AT_LEAST.items():
        naive = found["gauss", icc, 30, runs, seed][0]
        checks.append(Check(f"type I error of the image-level t test, gauss, ICC {icc}", naive, least - extra, 1.0))
    columns = ("differences", "ICC", "patients", "naive t", "sign-flip", "coverage of t", "error of t")
    about = (
        f"No effect at all, {IMAGES} images per patient, nominal error 0.05; naive = every image counted as a patient."
    )
    return Study("null", "Null: false alarms and coverage", about, columns, rows, checks, runs)


if __name__ == "__main__":
    run_script("calibration: null", simulate, runs=10_000)
