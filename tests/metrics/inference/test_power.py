"""Powers against textbook values, simulation and each other."""

import numpy as np
import pytest

from robustness.metrics.inference.clustering import minimal_detectable_effect
from robustness.metrics.inference.intervals import t_interval
from robustness.metrics.inference.power import bound_power, gap_found, inside_power, sd_of_subject_means, smallest_p
from robustness.metrics.inference.signflip import sign_flip


def _intervals(mean, sd, n, alpha, runs=4000):
    values = np.random.default_rng(1).normal(mean, sd, (runs, n))
    return [t_interval(row, level=1 - 2 * alpha) for row in values]


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
