"""Step-down max-T for REACTS: how many patients it saves against Bonferroni, and how often anything false is shown."""

from __future__ import annotations

import math
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

from benchmarks.calibration._study import Check, Study, Values, in_parallel, rate_limit, run_script
from robustness.metrics.inference.intervals import t_interval
from robustness.metrics.inference.multiplicity import step_down
from robustness.seeds import generator

MARGIN, ALPHA, CLAIMS, POWER = 0.05, 0.05, 16, 0.80
EXCESS, SD = 0.12, 0.15
SHARES = (0.0, 0.5, 0.8)
NULLS = ("independent", "shared .5", "shared .8", "4 of 16 react", "unequal spread", "skewed")


def draw(rng: np.random.Generator, n: int, shared: float, means: Values, kind: str = "normal") -> Values:
    """Return excesses (n, claims) whose patients share a part of the variance."""
    size = (n, means.size)
    if kind == "skewed":
        noise = rng.standard_exponential((n, 1)) - 1, rng.standard_exponential(size) - 1
    else:
        noise = rng.standard_normal((n, 1)), rng.standard_normal(size)
    spread = SD * (np.geomspace(0.2, 3, means.size) if kind == "unequal spread" else np.ones(means.size))
    values: Values = means + spread * (math.sqrt(shared) * noise[0] + math.sqrt(1 - shared) * noise[1])
    return values


def shown(values: Values, seed: int, step: bool) -> Values:
    """Return which claims are shown to lie above the margin, by step-down max-T or by Bonferroni."""
    if step:
        return step_down(values, MARGIN, alpha=ALPHA, resamples=999, seed=seed).above
    level = 1 - 2 * ALPHA / values.shape[1]
    return np.array([t_interval(column, level=level).low > MARGIN for column in values.T])


def patients(shared: float, runs: int, seed: int, step: bool) -> int:
    """Return the patients with which a reacting claim is found with the wanted power, all claims alike."""

    def power(k: int) -> float:
        total = 0.0
        for run in range(runs):
            rng = generator(seed, "step-down", k, run)
            total += shown(draw(rng, k, shared, np.full(CLAIMS, EXCESS)), run, step).mean()
        return total / runs

    low, high = 10, 150
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if power(middle) >= POWER else (middle + 1, high)
    return high


def false_share(kind: str, n: int, runs: int, seed: int) -> float:
    """Return how often any claim on the margin is shown to lie above it."""
    shared = {"independent": 0.0, "shared .8": 0.8}.get(kind, 0.5)
    means = np.full(CLAIMS, MARGIN)
    means[: 4 if kind == "4 of 16 react" else 0] = 0.4
    wrong = 0
    for run in range(runs):
        values = draw(generator(seed, "step-down null", kind, n, run), n, shared, means, kind)
        wrong += bool(shown(values, run, True)[means == MARGIN].any())
    return wrong / runs


def simulate(*, runs: int = 1000, seed: int = 0, processes: int = 2) -> Study:
    """Savings at 80% power, and family-wise error on the margin with 12, 30 and 60 patients."""
    sizes = (12, 30, 60)
    tasks = [(kind, n, runs, seed) for kind in NULLS for n in sizes]
    errors = in_parallel(false_share, tasks, processes)
    rows = [
        (f"any false REACTS, {kind}, {n} patients", value) for (kind, n, _, _), value in zip(tasks, errors, strict=True)
    ]
    few = max(60, runs // 10)
    found = in_parallel(patients, [(s, few, seed, step) for s in SHARES for step in (True, False)], processes)
    ratios = []
    for place, s in enumerate(SHARES):
        down, bonferroni = found[2 * place], found[2 * place + 1]
        ratios.append(bonferroni / down)
        rows.append(
            (f"patients, {s:g} of the variance shared: {bonferroni} by Bonferroni, {down} by step-down", ratios[-1])
        )
    symmetric = max(value for (kind, *_), value in zip(tasks, errors, strict=True) if kind != "skewed")
    checks = [
        Check("any false REACTS, symmetric excesses", symmetric, 0.0, rate_limit(ALPHA, runs, 3.0)),
        Check("patients saved (all claims react)", min(ratios), 1.15, 3.0),
    ]
    about = (
        f"{CLAIMS} claims, margin {MARGIN:g}. Savings: every claim reacts by {EXCESS:g} (sd {SD:g}). Skewed:"
        " exponential, where REACTS carries its star unless the certificate agrees."
    )
    return Study("step-down", "Step-down max-T", about, ("what", "value"), rows, checks, runs)


if __name__ == "__main__":
    run_script("calibration: step-down", simulate, runs=1000)
