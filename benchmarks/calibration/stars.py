"""Stars: false verdicts at the margin and power, certified, with a star, and by the interval alone; the merge gate."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

from benchmarks.calibration._study import Check, Study, Values, in_parallel, rate_limit, run_script
from robustness.gates.decisions import ErrorRates, no_proven_inferiority
from robustness.metrics.inference.evalues import log_evalue_above, log_evalue_below
from robustness.metrics.inference.intervals import t_interval
from robustness.metrics.inference.mean_interval import claim_interval
from robustness.metrics.verdicts.settings import Settings
from robustness.seeds import generator

ALPHA = 0.05
SUBJECTS = (12, 20, 30, 60, 200)
Draw = Callable[[np.random.Generator, int], Values]
# Stars of verdicts that reassure take an e-value, as under a plan with this `star_alpha`; others keep the interval.
STAR_ALPHA = 0.2
# Those who gain hide in the noise of those who lose: no rule that keeps its power for normal losses sees them.
HIDDEN = "9% cured, noise of sd .03"
MERGE_GATE = "no_proven_drop"
ENDS = (-1.0, 1.0)
RATES = Settings(ALPHA, 0.10, 0.05, 99, 0, "patient", star_alpha=STAR_ALPHA)


def mixture(share: float, size: float, body: float) -> Draw:
    """Return a draw in which a share of the subjects has one value and all others another."""
    return lambda rng, n: np.where(rng.random(n) < share, size, body)


def normal(mean: float, sd: float) -> Draw:
    """Return a draw of normal values within -1 to 1."""
    return lambda rng, n: np.clip(rng.normal(mean, sd, n), -1, 1)


def lognormal(rng: np.random.Generator, n: int) -> Values:
    """Draw losses that end at 1, with a mean of .10."""
    return np.minimum(0.061306 * rng.lognormal(0, 1, n), 1.0)


def in_noise(share: float, size: float, sd: float) -> Draw:
    """Return a draw of mean 0 in which a share of the subjects gains `size` and the rest loses a little, with noise."""
    rest = share * size / (1 - share)
    return lambda rng, n: np.where(rng.random(n) < share, -size, rest) + rng.normal(0, sd, n)


def tail(kind: str, sign: float) -> Draw:
    """Return a draw of mean 0 with a long tail on one side (-1: of subjects who gain)."""
    means = {"squared exponential": 2.0, "lognormal": math.exp(0.5), "zero-inflated": 0.3}

    def draw(rng: np.random.Generator, n: int) -> Values:
        values = rng.standard_exponential(n)
        if kind == "squared exponential":
            values = values**2
        elif kind == "lognormal":
            values = rng.lognormal(0, 1, n)
        else:
            values = np.where(rng.random(n) < 0.3, values, 0.0)
        centred: Values = sign * 0.05 * (values - means[kind])
        return centred

    return draw


# Verdict, margin, draw; the mean of the first ones is the margin, so that the verdict is false.
DESIGNS: dict[str, tuple[str, float, Draw]] = {
    "10% lose all": ("ROBUST", 0.10, mixture(0.1, 1.0, 0.0)),
    ".05 and 5% lose all": ("ROBUST", 0.10, mixture(0.0526, 1.0, 0.05)),
    "16% lose .625": ("ROBUST", 0.10, mixture(0.16, 0.625, 0.0)),
    "lognormal losses": ("ROBUST", 0.10, lognormal),
    "5% react": ("IGNORES", 0.05, mixture(0.05, 1.0, 0.0)),
    "5% go the other way": ("FOLLOWS", 0.10, mixture(0.05, -0.95, 0.15526)),
    "rewording moves 10%": ("REACTS", 0.05, mixture(0.1, -0.85, 0.15)),
    "9% cured": ("FRAGILE", 0.10, mixture(0.09, -0.3, 0.13956)),
    "power: loss .02, sd .10": ("ROBUST", 0.10, normal(0.02, 0.10)),
    "power: loss .02, sd .05": ("ROBUST", 0.10, normal(0.02, 0.05)),
    "power: nobody loses": ("ROBUST", 0.10, mixture(0.0, 1.0, 0.0)),
    "power: nobody reacts": ("IGNORES", 0.05, mixture(0.0, 1.0, 0.0)),
    "power: follows by .40, sd .20": ("FOLLOWS", 0.10, normal(0.4, 0.2)),
    "power: 30% follow by .90": ("FOLLOWS", 0.10, mixture(0.3, 0.9, 0.0)),
    "power: excess .20, sd .15": ("REACTS", 0.05, normal(0.2, 0.15)),
    "power: loss .20, sd .10": ("FRAGILE", 0.10, normal(0.2, 0.1)),
    "9% cured (mean 0)": (MERGE_GATE, 0.0, in_noise(0.09, 0.3, 0.0)),
    "5% cured (mean 0)": (MERGE_GATE, 0.0, in_noise(0.05, 0.5, 0.0)),
    "9% cured, noise of sd .10": (MERGE_GATE, 0.0, in_noise(0.09, 0.3, 0.10)),
    HIDDEN: (MERGE_GATE, 0.0, in_noise(0.09, 0.3, 0.03)),
    **{
        f"{kind}, {side} tail": (MERGE_GATE, 0.0, tail(kind, sign))
        for kind in ("squared exponential", "lognormal", "zero-inflated")
        for side, sign in (("left", -1.0), ("right", 1.0))
    },
    "normal": (MERGE_GATE, 0.0, normal(0.0, 0.0354)),
    "power: drop .02, sd .0354": (MERGE_GATE, 0.0, normal(0.02, 0.0354)),
    "power: drop .0354, sd .0354": (MERGE_GATE, 0.0, normal(0.0354, 0.0354)),
}


def rates(name: str, subjects: int, runs: int, seed: int) -> tuple[float, float, float]:
    """Return how often the verdict is given certified, with a star, and by the interval alone.

    Of the merge gate: how often it fails certified, else fails, and would fail by Student's t interval.
    """
    verdict, margin, draw = DESIGNS[name]
    rng, counts = generator(seed, "stars", name, subjects), np.zeros(3)
    for _ in range(runs):
        values = draw(rng, subjects)
        counts += _gate(values) if verdict == MERGE_GATE else _verdict(values, verdict, margin)
    found = counts / runs
    return float(found[0]), float(found[1]), float(found[2])


def _gate(values: Values) -> tuple[bool, bool, bool]:
    found = no_proven_inferiority(values, 0.0, ErrorRates(ALPHA, 1, *ENDS))
    failed = found.outcome == "fail"
    return failed and found.certified, failed and not found.certified, t_interval(values, level=1 - 2 * ALPHA).low > 0


def _verdict(values: Values, verdict: str, margin: float) -> tuple[bool, bool, bool]:
    below, warns = verdict in ("ROBUST", "IGNORES"), ENDS if verdict in ("REACTS", "FRAGILE") else None
    log_e = log_evalue_below(values, margin, alpha=ALPHA) if below else log_evalue_above(values, margin)
    certified = log_e >= -math.log(ALPHA)
    interval = claim_interval(values, level=1 - 2 * ALPHA, certified=certified, warns=warns)
    if not (interval.high < margin if below else interval.low > margin):
        return False, False, False
    starred = log_e >= -math.log(RATES.star_rate(verdict)) or RATES.star_rate(verdict) == 1
    return certified, starred and not certified, True


def simulate(*, runs: int = 1000, seed: int = 0, processes: int = 2) -> Study:
    """Single claims at the margin, and power: unstarred, starred under `STAR_ALPHA`, by the interval; merge gate."""
    tasks = [(name, k, runs, seed) for name in DESIGNS for k in SUBJECTS]
    found = in_parallel(rates, tasks, processes)
    rows = [(DESIGNS[name][0], name, k, *shares) for (name, k, _, _), shares in zip(tasks, found, strict=True)]
    false = [row for row in rows if not row[1].startswith("power")]
    gate = [row for row in false if row[0] == MERGE_GATE and row[1] != HIDDEN and row[2] >= 20]
    tails = [row for row in false if row[0] in ("FOLLOWS", "REACTS", "FRAGILE") and row[2] >= 20]
    normals = [row for row in rows if row[0] == MERGE_GATE and row[1].startswith("power") and row[2] >= 20]
    starless = max(row[3] for row in false if row[1] != HIDDEN)
    checks = [
        Check("false without a star", starless, 0.0, rate_limit(ALPHA, runs)),
        Check(
            "false ROBUST, IGNORES, FOLLOWS, star or not",
            max(row[3] + row[4] for row in false if RATES.star_rate(row[0]) < 1),
            0.0,
            rate_limit(STAR_ALPHA, runs),
        ),
        Check("left tails, star or not, from 20 on", max(row[3] + row[4] for row in tails), 0.0, 0.075),
        Check("merge gate, from 20 on", max(row[3] + row[4] for row in gate), 0.0, rate_limit(0.075, runs)),
        Check("merge gate, power by that of t", min((row[3] + row[4]) / row[5] for row in normals), 0.9, 1.0),
    ]
    columns = ("verdict", "truth", "patients", "certified", "star", "interval alone")
    about = "Shares of samples with the verdict: false where the truth lies on the margin, else power. One claim."
    return Study("stars", "Stars: error and power", about, columns, rows, checks, runs)


if __name__ == "__main__":
    run_script("calibration: stars", simulate, runs=1000)
