"""Certificates: how many patients ROBUST takes with and without one, and the least that any valid test can need."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

from benchmarks.calibration._study import Check, Study, Values, run_script
from robustness.metrics.inference.collapse_counts import forgiven_collapses
from robustness.metrics.inference.evalues import closed_means, log_evalue_below
from robustness.metrics.inference.intervals import t_interval
from robustness.seeds import generator

MARGIN, ALPHA, POWER = 0.10, 0.05, 0.80
CLAIMS = (1, 5, 16)
Draw = Callable[[np.random.Generator, int, int], Values]


def normal(mean: float, sd: float) -> Draw:
    """Return a draw of losses (patients, claims), all claims alike and independent."""
    return lambda rng, n, m: np.minimum(rng.normal(mean, sd, (n, m)), 1.0)


def collapses(share: float) -> Draw:
    """Return a draw in which a share of the patients loses everything and nobody else anything."""
    return lambda rng, n, m: (rng.random((n, m)) < share).astype(float)


DESIGNS: dict[str, Draw] = {
    "loss .02, sd .10": normal(0.02, 0.10),
    "loss .02, sd .05": normal(0.02, 0.05),
    "nobody loses": collapses(0.0),
    "2% collapse": collapses(0.02),
}


def certified(values: Values) -> bool:
    """Tell whether the first claim of a family is certified below the margin."""
    logs = np.array([log_evalue_below(column, MARGIN, alpha=ALPHA) for column in values.T])
    return bool(closed_means(logs)[0] >= -math.log(ALPHA))


def by_interval(values: Values) -> bool:
    """Tell whether the t bound of the first claim, with Bonferroni's share of the error rate, lies below the margin."""
    return t_interval(values[:, 0], level=1 - 2 * ALPHA / values.shape[1]).high < MARGIN


def patients(draw: Draw, claims: int, rule: Callable[[Values], bool], runs: int, seed: int) -> tuple[int, float]:
    """Return the smallest number of patients with the wanted power, and its simulated power."""

    def power(k: int) -> float:
        rng = generator(seed, "certificates", k, claims)
        return sum(rule(draw(rng, k, claims)) for _ in range(runs)) / runs

    low, high = 5, 400
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if power(middle) >= POWER else (middle + 1, high)
    return high, power(high)


def least_of_any_test(loss: float) -> int:
    """Return the patients below which no valid test certifies a mean loss with the wanted power.

    Mix into the population a share e of patients who lose everything, so that its mean is the margin: that truth must
    not be certified in more than alpha of samples. With (1 - e)^K a sample shows none of them and is one of the true
    population, certified with the wanted power; so power x (1 - e)^K <= alpha.
    """
    share = (MARGIN - loss) / (1 - loss)
    return math.ceil(math.log(ALPHA / POWER) / math.log1p(-share))


def simulate(*, runs: int = 2000, seed: int = 0, processes: int = 1) -> Study:
    """Patients for 80% power at margin .10: with a certificate and by the t interval alone."""
    del processes
    rows = []
    for name, draw in DESIGNS.items():
        for claims in CLAIMS if name.startswith("loss .02, sd .10") else CLAIMS[:1]:
            with_certificate, reached = patients(draw, claims, certified, runs, seed)
            interval, _ = patients(draw, claims, by_interval, runs, seed)
            rows.append((name, claims, with_certificate, reached, interval, with_certificate / interval))
    forgiven = [next(k for k in range(20, 400) if forgiven_collapses(k, MARGIN, alpha=ALPHA) == c) for c in range(3)]
    error = 1.96 * math.sqrt(POWER * (1 - POWER) / runs)
    about = (
        f"95% Monte Carlo error of the power: {error:.3f}. No valid test of a single claim at a loss of .02 can do with"
        f" fewer than {least_of_any_test(0.02)} patients. Patients that forgive 0, 1, 2 collapses: {forgiven}."
    )
    single, five = rows[0], rows[1]
    checks = [
        Check("patients with a certificate by those of any valid test, one claim", single[2] / 33, 1.0, 1.45),
        Check("patients with a certificate by those of the t interval, five claims", five[5], 1.0, 2.5),
    ]
    columns = ("design", "claims", "certified", "power", "t interval", "ratio")
    return Study("certificates", "Certificates: patients needed", about, columns, rows, checks, runs)


if __name__ == "__main__":
    run_script("calibration: certificates", simulate, runs=2000)
