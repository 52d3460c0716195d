"""Certificates: how many patients ROBUST takes with and without one, and the least that any valid test can need.

Three bounds from below, for a single claim: that of any valid test by an argument of three lines
(`least_of_any_test`), that of any valid test by the Neyman-Pearson lemma (`least_by_neyman_pearson`), and that of any
mixture of bets (`least_of_any_bet`).
"""

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


def least_by_neyman_pearson(loss: float, sd: float, *, runs: int = 50_000, seed: int = 0) -> int:
    """Return the patients below which no valid test certifies normal losses with the wanted power.

    The truth that is hardest to tell from P: density (1 - m) / (1 - x) times that of P, and the rest of the mass on a
    loss of 1. Its mean is the margin m, whatever P: E[x (1 - m) / (1 - x)] + 1 - E[(1 - m) / (1 - x)] = m. By the
    Neyman-Pearson lemma no test that errs on K of its patients in at most alpha has more power on K of P than the one
    that asks whether prod (1 - x) / (1 - m) is large. Its error rate is measured by weighting the draws from P.
    """
    rng = generator(seed, "neyman-pearson")
    ratios = np.log((1 - rng.normal(loss, sd, (runs, 200))) / (1 - MARGIN)).cumsum(axis=1)

    def power(k: int) -> float:
        largest_first = np.sort(ratios[:, k - 1])[::-1]
        error = np.exp(-largest_first).cumsum() / runs
        return float(np.searchsorted(error, ALPHA)) / runs

    return next(k for k in range(2, 201) if power(k) >= POWER)


def least_of_any_bet(draw: Draw, *, runs: int = 20_000, seed: int = 0) -> int:
    """Return the patients below which no mixture of bets certifies with the wanted power.

    A mixture's capital is at most that of its best bet, chosen after the data: that choice is no valid test, and even
    it needs so many.
    """
    losses = draw(generator(seed, "bets"), runs, 200)
    fractions = np.linspace(0.05, 1.0, 20)

    def power(k: int) -> float:
        gain = (MARGIN - losses[:, :k]) / (1 - MARGIN)
        best = np.max([np.log1p(f * gain).sum(axis=1) for f in fractions * (1 - 1e-12)], axis=0)
        return float((best >= -math.log(ALPHA)).mean())

    low, high = 5, 200
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if power(middle) >= POWER else (middle + 1, high)
    return high


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
    least = least_by_neyman_pearson(0.02, 0.10)
    error = 1.96 * math.sqrt(POWER * (1 - POWER) / runs)
    about = (
        f"95% Monte Carlo error of the power: {error:.3f}. A single claim at a loss of .02, sd .10: no valid test can"
        f" do with fewer than {least_of_any_test(0.02)} patients (three lines), nor with fewer than {least}"
        f" (Neyman-Pearson), no mixture of bets with fewer than {least_of_any_bet(DESIGNS['loss .02, sd .10'])}."
        f" Patients that forgive 0, 1, 2 collapses: {forgiven}."
    )
    single, five = rows[0], rows[1]
    checks = [
        Check("patients with a certificate by those of any valid test, one claim", single[2] / least, 1.0, 1.4),
        Check("patients with a certificate by those of the t interval, five claims", five[5], 1.0, 2.5),
    ]
    columns = ("design", "claims", "certified", "power", "t interval", "ratio")
    return Study("certificates", "Certificates: patients needed", about, columns, rows, checks, runs)


if __name__ == "__main__":
    run_script("calibration: certificates", simulate, runs=2000)
