"""Margin: the truth lies exactly on the margin; how often does a verdict claim one side of it?"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

from benchmarks.calibration._study import Check, Study, in_parallel, rate_limit, run_script
from robustness.metrics.inference.intervals import t_interval
from robustness.metrics.verdicts.evidence import Evidence
from robustness.metrics.verdicts.families import family_tests
from robustness.metrics.verdicts.rules import decide
from robustness.metrics.verdicts.selectivity import Selectivity
from robustness.metrics.verdicts.settings import Settings
from robustness.seeds import generator

MARGIN = 0.05
SUBJECTS = (20, 30, 60, 100)
KINDS = ("gauss", "skewed", "25% move .2", "10% move .5", "6.25% move .8", "beta-binomial")
_JUMPS = {"25% move .2": 0.2, "10% move .5": 0.5, "6.25% move .8": 0.8}
IMAGES = 6


def subject_changes(rng: np.random.Generator, kind: str, subjects: int) -> np.ndarray:
    """Draw the mean change of each subject; its expectation is the margin."""
    if kind == "gauss":
        spread = np.sqrt(0.5) * rng.standard_normal((subjects, 1)) + np.sqrt(0.5) * rng.standard_normal(
            (subjects, IMAGES)
        )
        return MARGIN + 0.1 * spread.mean(axis=1)
    if kind == "skewed":
        own = rng.standard_exponential((subjects, 1)) / 2 + rng.standard_exponential((subjects, IMAGES)) / 2
        return MARGIN * own.mean(axis=1)
    if kind == "beta-binomial":
        share = rng.beta(0.5 * MARGIN, 0.5 * (1 - MARGIN), subjects)
        return rng.binomial(IMAGES, share) / IMAGES
    jump = _JUMPS[kind]
    return jump * (rng.random(subjects) < MARGIN / jump)


def shares(kind: str, subjects: int, runs: int, seed: int) -> tuple[float, ...]:
    """Return how often the rules say FOLLOWS, REACTS, IGNORES, IGNORES*, and how often t alone certifies."""
    settings = Settings(0.05, 2 * MARGIN, MARGIN, 1999, seed, "patient")
    nobody = np.empty(0, dtype=np.int64)
    said: dict[str, int] = {}
    alone = follows = 0
    for run in range(runs):
        change = subject_changes(generator(seed, "margin", kind, subjects, run), kind, subjects)
        everyone, nothing = np.arange(subjects), np.empty(0)
        evidence = Evidence(
            0, "size", everyone, change, change, np.zeros(subjects), subjects, subjects, None, np.nan, ""
        )
        verdict = decide(evidence, settings, family_tests([evidence], settings)[0]).verdict
        said[verdict] = said.get(verdict, 0) + 1
        # FOLLOWS asks for twice the margin; both targets equal is its worst case.
        selective = Selectivity(2 * change, 2 * change, subjects)
        evidence = Evidence(0, "size", nobody, nothing, nothing, nothing, 0, 0, selective, np.nan, "")
        follows += decide(evidence, settings, family_tests([evidence], settings)[0]).verdict == "FOLLOWS"
        alone += t_interval(change, level=0.9).high < MARGIN
    counts = (follows, *(said.get(name, 0) for name in ("REACTS", "IGNORES", "IGNORES*", "INCONCLUSIVE")), alone)
    return tuple(count / runs for count in counts)


def simulate(*, runs: int = 2000, seed: int = 0, processes: int = 2) -> Study:
    """Margin simulation: every verdict about one side of the margin is false in at most 5% of runs."""
    tasks = [(kind, k, runs, seed) for kind in KINDS for k in SUBJECTS]
    found = in_parallel(shares, tasks, processes)
    rows = [(kind, k, *values) for (kind, k, _, _), values in zip(tasks, found, strict=True)]
    limit = rate_limit(0.05, runs, 2.0 if runs >= 2000 else 4.0)
    checks = [
        Check(f"largest share of false {name} at the margin", max(values[i] for values in found), 0.0, limit)
        for i, name in ((0, "FOLLOWS"), (1, "REACTS"), (2, "certified IGNORES"))
    ]
    naive = max(values[5] for values in found)
    checks.append(Check("a t interval alone would certify falsely in (worst case)", naive, 0.10, 1.0))
    columns = ("changes", "patients", "FOLLOWS", "REACTS", "IGNORES", "IGNORES*", "INCONCLUSIVE", "t alone below")
    about = f"True mean change exactly {MARGIN}; S_A = S_B at exactly {2 * MARGIN} for FOLLOWS. One claim, alpha 0.05."
    return Study("margin", "Margin: false verdicts", about, columns, rows, checks, runs)


if __name__ == "__main__":
    run_script("calibration: margin", simulate, runs=2000)
