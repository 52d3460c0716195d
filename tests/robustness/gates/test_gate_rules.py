"""The gates' rules on tables drawn with a known truth."""

import numpy as np
import pytest

from robustness.gates.decisions import (
    ErrorRates,
    equivalence,
    no_proven_inferiority,
    noninferiority,
    retention,
    superiority,
)

ALONE = ErrorRates(0.05, 1)


def _drawn(runs, subjects, *, mean, seed, cells=1):
    """Subject means of 6 images each: sd 0.05 and intraclass correlation 0.4, as between two versions of a model."""
    rng = np.random.default_rng(seed)
    patient = rng.normal(0, 0.05 * np.sqrt(0.4), (runs, cells, subjects))
    image = rng.normal(0, 0.05 * np.sqrt(0.6 / 6), (runs, cells, subjects))
    return mean + patient + image


def _share(decisions, outcome):
    return np.mean([decision.outcome == outcome for decision in decisions])


def test_a_merge_gate_fails_an_equal_model_at_its_level_and_finds_a_drop():
    equal = [no_proven_inferiority(v[0], 0.0, ALONE) for v in _drawn(2000, 30, mean=0.0, seed=0)]
    worse = [no_proven_inferiority(v[0], 0.0, ALONE) for v in _drawn(2000, 30, mean=0.02, seed=1)]
    assert 0.04 <= _share(equal, "fail") <= 0.06
    assert _share(worse, "fail") >= 0.90


def test_a_release_gate_lets_a_drop_of_the_margin_through_at_its_level():
    at_margin = [noninferiority(v[0], 0.02, ALONE) for v in _drawn(2000, 30, mean=0.02, seed=2)]
    equal = [noninferiority(v[0], 0.02, ALONE) for v in _drawn(2000, 30, mean=0.0, seed=3)]
    assert 0.035 <= _share(at_margin, "pass") <= 0.065
    assert _share(equal, "pass") >= 0.90


def _glob(cells, margin):
    errors = ErrorRates(0.05, len(cells))
    outcomes = {noninferiority(values, margin, errors).outcome for values in cells}
    return "fail" if "fail" in outcomes else "inconclusive" if "inconclusive" in outcomes else "pass"


@pytest.mark.slow
def test_a_glob_of_conditions_at_the_margin_fails_falsely_at_most_at_the_level():
    outcomes = [_glob(cells, 0.02) for cells in _drawn(1000, 30, mean=0.02, seed=4, cells=8)]
    assert outcomes.count("fail") / 1000 <= 0.05 + 2.6 * np.sqrt(0.05 * 0.95 / 1000)
    assert outcomes.count("fail") / 1000 >= 0.03


@pytest.mark.slow
def test_a_glob_with_one_bad_condition_passes_falsely_at_most_at_the_level():
    drawn = _drawn(1000, 30, mean=0.0, seed=5, cells=8)
    drawn[:, 4] += 0.02
    outcomes = [_glob(cells, 0.02) for cells in drawn]
    assert outcomes.count("pass") / 1000 <= 0.05 + 2.6 * np.sqrt(0.05 * 0.95 / 1000)


@pytest.mark.slow
def test_an_invariance_at_the_margin_is_certified_at_most_at_the_level():
    for mean, seed in ((0.02, 6), (-0.02, 7)):
        found = [equivalence(v[0], 0.02, ALONE) for v in _drawn(2000, 30, mean=mean, seed=seed)]
        assert 0.03 <= _share(found, "pass") <= 0.065
        assert 0.03 <= _share(found, "fail") <= 0.065


def test_above_is_below_in_a_mirror():
    values = np.random.default_rng(0).normal(0.3, 0.1, 20)
    up, down = superiority(values, 0.25, ALONE), noninferiority(-values, -0.25, ALONE)
    assert up.outcome == down.outcome
    assert (up.estimate, up.low, up.high) == pytest.approx((-down.estimate, -down.high, -down.low))
    assert up.needed == down.needed


def test_bounds_are_those_of_the_t_distribution():
    values = np.array([0.1, 0.2, 0.4, 0.3, 0.0])
    found = no_proven_inferiority(values, 0.0, ErrorRates(0.05, 4))
    # R: mean(x) - qt(1 - 0.05/4, 4) * sd(x) / sqrt(5), x = c(.1, .2, .4, .3, 0)
    assert found.low == pytest.approx(0.2 - 3.495406 * 0.15811388 / np.sqrt(5), abs=1e-6)


def test_what_is_needed_would_decide():
    values = np.tile([0.01, -0.03], 6)
    found = noninferiority(values, 0.0, ALONE)
    assert found.outcome == "inconclusive"
    shares = []
    for seed in range(300):
        again = np.random.default_rng(seed).normal(values.mean(), values.std(ddof=1), found.needed)
        shares.append(noninferiority(again, 0.0, ALONE).outcome == "pass")
    assert 0.70 <= np.mean(shares) <= 0.90


@pytest.mark.parametrize("values", [np.array([]), np.array([0.3])])
def test_fewer_than_two_subjects_decide_nothing(values):
    for found in (
        noninferiority(values, 0.1, ALONE),
        superiority(values, 0.1, ALONE),
        equivalence(values, 0.1, ALONE),
        no_proven_inferiority(values, 0.1, ALONE),
        retention(values, values, 0.5, ALONE, resamples=99, seed=0),
    ):
        assert found.outcome == "inconclusive"
        assert np.isnan(found.low)
        assert found.needed == 2


def test_noise_delays_failing_but_never_passing():
    values = np.full(10, 0.05) + np.linspace(-0.001, 0.001, 10)
    assert noninferiority(values, 0.04, ALONE).outcome == "fail"
    assert noninferiority(values, 0.04, ALONE, noise_allowance=0.02).outcome == "inconclusive"
    assert no_proven_inferiority(values, 0.0, ALONE, noise_allowance=0.06).outcome == "pass"
    assert noninferiority(values, 0.06, ALONE, noise_allowance=0.02).outcome == "pass"


def test_a_share_counts_subjects_and_not_ratios():
    clean = np.array([1e-6, 0.8, 0.9, 0.7, 0.8])
    changed = np.array([0.1, 0.8, 0.9, 0.7, 0.8])
    found = retention(changed, clean, 0.9, ALONE, resamples=999, seed=0)
    assert found.estimate == pytest.approx(changed.sum() / clean.sum())
    assert found.outcome == "pass"
