"""Powers against textbook values, simulation and each other."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binom

from robustness.metrics.inference.clustering import minimal_detectable_effect
from robustness.metrics.inference.collapse_counts import forgiven_collapses, log_count_evalues, stakes
from robustness.metrics.inference.evalues import log_evalue_below
from robustness.metrics.inference.intervals import t_interval
from robustness.metrics.inference.planning import subjects_to_certify
from robustness.metrics.inference.power import bound_power, gap_found, inside_power, sd_of_subject_means, smallest_p
from robustness.metrics.inference.signflip import sign_flip


def _intervals(mean, sd, n, alpha, runs=4000):
    values = np.random.default_rng(1).normal(mean, sd, (runs, n))
    return [t_interval(row, level=1 - 2 * alpha) for row in values]


@pytest.mark.slow
@pytest.mark.parametrize(("n", "alpha"), [(2, 0.05), (10, 0.05), (30, 0.05 / 16), (200, 0.01)])
def test_power_is_what_a_simulation_finds(n, alpha):
    gap = gap_found(0.1, n, alpha=alpha)
    assert bound_power(gap, 0.1, n, alpha=alpha) == pytest.approx(0.8, abs=1e-6)
    found = np.mean([interval.low > 0 for interval in _intervals(gap, 0.1, n, alpha)])
    assert found == pytest.approx(0.8, abs=0.025)


def test_without_a_gap_the_power_is_the_error_rate():
    assert bound_power(0.0, 0.1, 12, alpha=0.05) == pytest.approx(0.05)
    assert bound_power(-0.1, 0.1, 12, alpha=0.05) < 0.001


@pytest.mark.parametrize("n", [5, 30, 100])
def test_a_one_sided_bound_at_half_alpha_finds_what_the_two_sided_test_finds(n):
    values = np.random.default_rng(0).normal(0, 1, n)
    values = (values - values.mean()) / values.std(ddof=1) * 0.1
    assert gap_found(0.1, n, alpha=0.025) == pytest.approx(minimal_detectable_effect(values), rel=2e-3)


def test_the_merge_gate_of_the_specification_finds_a_drop_of_two_points_in_nine_of_ten_runs():
    sd = sd_of_subject_means(0.05, 0.4, 6)
    assert [bound_power(0.02, sd, k, alpha=0.05) for k in (10, 30)] == pytest.approx([0.51, 0.92], abs=0.015)


@pytest.mark.parametrize(("margin", "n"), [(0.05, 20), (0.05, 30), (0.02, 10)])
def test_power_inside_a_margin_is_what_a_simulation_finds(margin, n):
    sd = sd_of_subject_means(0.1, 0.5, 6)
    found = np.mean([-margin < i.low and i.high < margin for i in _intervals(0.0, sd, n, 0.05)])
    assert inside_power(margin, sd, n, alpha=0.05) == pytest.approx(found, abs=0.025)


def test_equivalence_power_of_the_specification():
    sd = sd_of_subject_means(0.1, 0.5, 6)
    assert inside_power(0.05, sd, 20, alpha=0.05) == pytest.approx(0.76, abs=0.02)
    assert inside_power(0.05, sd, 30, alpha=0.05) == pytest.approx(0.94, abs=0.015)


@pytest.mark.parametrize("n", [2, 3, 5, 8])
def test_the_smallest_p_is_that_of_subjects_who_all_agree(n):
    agreeing = np.full((n, 1), 0.3)
    assert sign_flip(agreeing, resamples=9999).p_value[0] == pytest.approx(smallest_p(n, resamples=9999))


def test_resamples_bound_the_smallest_p():
    assert smallest_p(60, resamples=999) == 0.001


@pytest.mark.parametrize("call", [bound_power, inside_power])
def test_nothing_is_told_without_spread_or_without_two_subjects(call):
    assert np.isnan(call(0.1, 0.0, 20, alpha=0.05))
    assert np.isnan(call(0.1, 0.1, 1, alpha=0.05))
    assert np.isnan(gap_found(float("nan"), 20, alpha=0.05))


def count_chances(probabilities):
    """P(S = s), s = 0 .. n, of a sum of independent Bernoulli variables."""
    chances = np.array([1.0])
    for p in probabilities:
        chances = np.convolve(chances, [1 - p, p])
    return chances


@pytest.mark.parametrize("n", [12, 60, 130, 400])
@pytest.mark.parametrize("margin", [0.02, 0.05, 0.1, 0.5])
def test_the_capital_is_divided_without_rest(n, margin):
    stake = stakes(n, margin, alpha=0.05)
    assert stake.whole + stake.counts.sum() + stake.hedged == pytest.approx(1.0)
    assert stake.log_chances == pytest.approx(binom.logcdf(np.arange(1, stake.counts.size + 1), n, margin))


@pytest.mark.parametrize("n", [60, 130, 200])
@pytest.mark.parametrize("spread", ["equal", "two groups", "linear", "few certain"])
def test_subjects_that_differ_give_an_expectation_of_at_most_one(n, spread):
    margin = 0.05
    probabilities = {
        "equal": np.full(n, margin),
        "two groups": np.where(np.arange(n) < n // 2, 0.0, 2 * margin),
        "linear": np.linspace(0, 2 * margin, n),
        "few certain": np.where(np.arange(n) < math.ceil(n * margin), 1.0, 0.0),
    }[spread]
    chances = count_chances(probabilities)
    logs = np.array([log_evalue_below(np.r_[np.ones(s), np.zeros(n - s)], margin, alpha=0.05) for s in range(n + 1)])
    assert float((chances * np.exp(logs)).sum()) <= 1 + 1e-9


def test_values_between_0_and_1_count_as_their_chance_of_a_collapse():
    n, values = 130, np.r_[0.3, 0.6, np.zeros(128)]
    stake = stakes(n, 0.05, alpha=0.05)
    chances = np.cumsum(count_chances(values[:2]))
    expected = np.log(stake.counts[0] * chances[1]) - stake.log_chances[0]
    assert log_count_evalues(values, stake)[0] == pytest.approx(expected)


@pytest.mark.slow
def test_random_two_and_three_point_distributions_never_certify_more_often_than_alpha():
    # Every distribution drawn here has its mean on the margin; the false certificates are counted exactly over draws.
    rng, runs, worst = np.random.default_rng(0), 400, 0.0
    for _ in range(12):
        n, margin = int(rng.integers(50, 200)), float(rng.choice([0.05, 0.1]))
        low, high = float(rng.uniform(-0.5, margin)), float(rng.uniform(margin, 1.0))
        share = (margin - low) / (high - low)
        wrong = sum(
            log_evalue_below(np.where(rng.random(n) < share, high, low), margin, alpha=0.05) >= math.log(20)
            for _ in range(runs)
        )
        worst = max(worst, wrong / runs)
    assert worst <= 0.05 + 4 * math.sqrt(0.05 * 0.95 / runs)


def test_many_subjects_rest_on_smaller_bets():
    stake = stakes(20_000, 0.05, alpha=0.05)
    assert (stake.counts.size, stake.hedged) == (0, 0.75)
    values = np.where(np.arange(20_000) % 50 == 0, 1.0, 0.0)
    assert log_evalue_below(values, 0.05, alpha=0.05) > math.log(20)


def test_more_subjects_lose_no_power_where_every_patient_loses_a_little():
    def power(n):
        rng = np.random.default_rng(n)
        certified = [log_evalue_below(rng.normal(0.03, 0.1, n), 0.1, alpha=0.05) >= math.log(20) for _ in range(150)]
        return np.mean(certified)

    before = power(59)
    assert power(60) >= before - 0.12
    assert power(76) >= power(75) - 0.12


def test_planning_uses_what_is_forgiven():
    values = np.r_[1.0, np.zeros(59)]
    planned = subjects_to_certify(values, 0.1, alpha=0.05)
    assert planned is not None
    assert binom.cdf(forgiven_collapses(planned, 0.1, alpha=0.05), planned, 1 / 60) >= 0.8
    assert subjects_to_certify(np.r_[np.ones(6), np.zeros(54)], 0.1, alpha=0.05) is None
