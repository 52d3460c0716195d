"""Family: many conditions or gate cells at once; does any false alarm stay rare, and what does that cost in power?"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

from benchmarks.calibration._study import Check, Study, Values, in_parallel, rate_limit, run_script
from robustness.gates.decisions import ErrorRates, no_proven_inferiority
from robustness.metrics.inference.intervals import t_interval
from robustness.metrics.inference.multiplicity import benjamini_hochberg, holm
from robustness.metrics.inference.signflip import guarded, sign_flip
from robustness.seeds import generator

# Conditions, of which with an effect, ICC.
FAMILIES = ((28, 0, 0.3), (28, 0, 0.5), (28, 0, 0.7), (28, 8, 0.5), (100, 0, 0.5), (100, 30, 0.5))
SUBJECTS, IMAGES, EFFECT, FLIPS = 30, 6, 0.06, 4999
# Cells of a gate, or conditions, that are independent of each other, with a long tail of subjects who gain.
CELLS, PATIENTS, SCALE = 16, (12, 20, 30, 60), 0.05
TAILS = {
    "lognormal, sigma 1.5": lambda rng, shape: np.exp(1.125) - rng.lognormal(0, 1.5, shape),
    "lognormal": lambda rng, shape: np.exp(0.5) - rng.lognormal(0, 1, shape),
    "squared exponential": lambda rng, shape: 2 - rng.standard_exponential(shape) ** 2,
    "exponential": lambda rng, shape: 1 - rng.standard_exponential(shape),
    "zero-inflated": lambda rng, shape: 0.3 - np.where(rng.random(shape) < 0.3, rng.standard_exponential(shape), 0),
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "power: one loses": lambda rng, shape: rng.standard_normal(shape) + (np.arange(shape[1]) == 0) * _found(shape[0]),
}


def one(conditions: int, true: int, icc: float, start: int, runs: int, seed: int) -> np.ndarray:
    """Return per run any false alarm and the share found: naive Holm, unadjusted, Holm, max-T; then BH's."""
    from scipy.stats import ttest_1samp

    found = []
    for run in range(start, start + runs):
        rng = generator(seed, "family", conditions, true, icc, run)
        subject = _correlated(rng, (SUBJECTS, 1, conditions)) * np.sqrt(icc)
        image = _correlated(rng, (SUBJECTS, IMAGES, conditions)) * np.sqrt(1 - icc)
        d = 0.1 * (subject + image)
        d[..., :true] += EFFECT
        test = sign_flip(d.mean(axis=1), resamples=FLIPS, seed=seed + run)
        naive = holm(ttest_1samp(d.reshape(-1, conditions), 0).pvalue)
        row = []
        for p in (naive, test.p_value, holm(test.p_value), test.p_adjusted):
            row += [float((p[true:] < 0.05).any()), float((p[:true] < 0.05).mean()) if true else np.nan]
        bh = benjamini_hochberg(test.p_value) < 0.05
        row += [float(bh[true:].sum() / max(1, bh.sum())), float(bh[:true].mean()) if true else np.nan]
        found.append(row)
    return np.array(found)


def _correlated(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Normal effects of which conditions share half the variance."""
    return np.sqrt(0.5) * (rng.standard_normal((*shape[:-1], 1)) + rng.standard_normal(shape))


def simulate(*, runs: int = 1000, seed: int = 0, processes: int = 2) -> Study:
    """Family simulation: 28 and 100 conditions on 30 patients x 6 images, conditions share half of the variance."""
    block = -(-runs // 4)
    tasks = [(*family, start, min(block, runs - start), seed) for family in FAMILIES for start in range(0, runs, block)]
    parts = in_parallel(one, tasks, processes)
    found = {
        family: np.concatenate([p for t, p in zip(tasks, parts, strict=True) if t[:3] == family]).mean(axis=0)
        for family in FAMILIES
    }
    rows = [(c, true, icc, *map(float, found[c, true, icc])) for c, true, icc in FAMILIES]
    extra = rate_limit(0.05, runs, 4.0) - 0.07 if runs < 1000 else 0.0
    checks = [
        Check(
            f"family-wise error of max-T, {c} conditions, {true} true, ICC {icc}",
            float(found[c, true, icc][6]),
            0.0,
            0.07 + extra,
        )
        for c, true, icc in FAMILIES
    ]
    for family in ((28, 8, 0.5), (100, 30, 0.5)):
        gain = float(found[family][7] - found[family][5])
        checks.append(Check(f"power of max-T - power of Holm, {family[0]} conditions", gain, 0.0, 1.0))
    columns = (
        "conditions",
        "true",
        "ICC",
        "naive Holm: any false",
        "found",
        "unadjusted: any false",
        "found",
        "Holm: any false",
        "found",
        "max-T: any false",
        "found",
        "BH: false share",
        "found",
    )
    about = f"Chance of any false alarm among the conditions without effect, and share of effects of {EFFECT} found."
    return Study("family", "Family: many conditions at once", about, columns, rows, checks, runs)


def _found(subjects: int) -> float:
    """Return the mean loss, in standard deviations, that a t test at alpha / CELLS finds in about 80%."""
    from scipy.special import nctdtr, stdtrit

    critical, root = stdtrit(subjects - 1, 1 - 0.05 / CELLS), np.sqrt(subjects)
    effects = np.linspace(0, 5, 5001)
    return float(effects[np.argmax(1 - nctdtr(subjects - 1, effects * root, critical) >= 0.8)])


def any_cell(truth: str, subjects: int, runs: int, seed: int) -> tuple[float, ...]:
    """Return how often any adjusted p is below .05, by flips and guarded, and any cell fails, by t and as gates do.

    Of the truth whose first cell loses something: how often that one is found.
    """
    counts, errors = np.zeros(4), ErrorRates(0.05, CELLS, -1.0, 1.0)
    for run in range(runs):
        rng = generator(seed, "cells", truth, subjects, run)
        losses: Values = SCALE * TAILS[truth](rng, (subjects, CELLS))
        judged = losses[:, :1] if truth.startswith("power") else losses
        n = judged.shape[1]
        test = sign_flip(losses, resamples=999, seed=seed + run)
        fails = [no_proven_inferiority(column, 0.0, errors).outcome == "fail" for column in judged.T]
        by_t = [t_interval(column, level=1 - 2 * 0.05 / CELLS).low > 0 for column in judged.T]
        low = (test.p_adjusted[:n] < 0.05, guarded(test, losses, low=-1.0, high=1.0).p_adjusted[:n] < 0.05)
        counts += (low[0].any(), low[1].any(), any(by_t), any(fails))
    return tuple((counts / runs).tolist())


def simulate_cells(*, runs: int = 1000, seed: int = 0, processes: int = 2) -> Study:
    """Any false alarm of 16 independent cells with long tails, by adjusted p values and by gates over all of them."""
    tasks = [(truth, k, runs, seed) for truth in TAILS for k in PATIENTS]
    found = in_parallel(any_cell, tasks, processes)
    rows = [(truth, k, *shares) for (truth, k, _, _), shares in zip(tasks, found, strict=True)]
    errors = 2.0 if runs >= 1000 else 4.0
    false = [row for row in rows if row[0] not in ("zero-inflated", "power: one loses")]
    powers = [row for row in rows if row[0].startswith("power") and row[1] >= 20]
    checks = [
        Check(f"any p below .05, {k} patients", max(r[3] for r in false if r[1] == k), 0.0, rate_limit(p, runs, errors))
        for k, p in ((20, 0.09), (30, 0.075), (60, 0.075))
    ]
    checks += [
        Check(f"any cell fails, {k} patients", max(r[5] for r in false if r[1] == k), 0.0, rate_limit(p, runs, errors))
        for k, p in ((20, 0.12), (30, 0.075), (60, 0.075))
    ]
    slack = 0.0 if runs >= 1000 else 0.1
    checks.append(Check("p values, power by that of flips", min(r[3] / r[2] for r in powers), 0.9 - slack, 1.0))
    checks.append(Check("gates, power by that of t", min(r[5] / r[4] for r in powers), 0.9 - slack, 1.0))
    columns = ("truth", "patients", "flips alone", "any p < .05", "any below 0 by t", "any cell fails")
    about = (
        f"{CELLS} independent cells, mean loss 0, those who gain in a long tail; power: the one that loses is found."
    )
    return Study("cells", "Cells: gates and p values over many cells", about, columns, rows, checks, runs)


if __name__ == "__main__":
    run_script("calibration: family", simulate, runs=1000, more={"cells": simulate_cells})
