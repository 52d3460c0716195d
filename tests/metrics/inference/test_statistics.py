"""The small engines: intervals, bounds, bootstrap, clustering, effect sizes, sign flips, planning, powers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from scipy.stats import binom

from robustness.metrics.inference.bootstrap import cluster_bootstrap
from robustness.metrics.inference.clustering import clustering, groups, minimal_detectable_effect
from robustness.metrics.inference.collapse_counts import forgiven_collapses, log_count_evalues, stakes
from robustness.metrics.inference.effect_size import hedges_dz, rank_biserial
from robustness.metrics.inference.evalues import log_evalue_below
from robustness.metrics.inference.intervals import level_of, t_interval
from robustness.metrics.inference.multiplicity import benjamini_hochberg, holm
from robustness.metrics.inference.planning import subjects_to_certify, subjects_to_decide
from robustness.metrics.inference.power import bound_power, gap_found, inside_power, sd_of_subject_means, smallest_p
from robustness.metrics.inference.signflip import sign_flip
from robustness.metrics.inference.upper_bound import (
    gaffke_bound,
    share_bound,
    subjects_for_zero_reactions,
    zero_reaction_bound,
)


class TestBound:
    def test_all_zero_is_the_rule_of_three_exactly(self):
        assert gaffke_bound(np.zeros(30)) == pytest.approx(1 - 0.05 ** (1 / 30), abs=1e-15)

    def test_the_published_numbers_of_subjects(self):
        needed = [subjects_for_zero_reactions(m) for m in (0.02, 0.03, 0.05, 0.10, 0.15)]
        assert needed == [149, 99, 59, 29, 19]
        assert [subjects_for_zero_reactions(m, alpha=0.05 / 28) for m in (0.02, 0.05, 0.10)] == [314, 124, 61]

    @pytest.mark.parametrize("reaction", [1e-9, 1e-4, 0.01])
    def test_a_small_reaction_never_lowers_it(self, reaction):
        values = np.full(58, reaction)
        assert gaffke_bound(values) >= zero_reaction_bound(58) > 0.05

    def test_agrees_with_gaffkes_formula(self):
        z = np.sort(np.random.default_rng(0).beta(1, 20, 40))
        u = np.sort(np.random.default_rng(1).random((40_000, 40)), axis=1)
        formula = np.quantile(1 - (u * np.diff(np.append(z, 1.0))).sum(axis=1), 0.95)
        assert gaffke_bound(z, resamples=40_000) == pytest.approx(formula, abs=0.002)

    def test_covers_a_rare_reaction_that_the_t_interval_misses(self):
        rng = np.random.default_rng(3)
        samples = 0.8 * (rng.random((1000, 30)) < 1 / 16)
        bound = [gaffke_bound(s, resamples=999) for s in samples[:200]]
        t_upper = [t_interval(s, level=0.9).high for s in samples]
        assert np.mean(np.array(bound) < 0.05) == 0.0
        assert np.mean(np.array(t_upper) < 0.05) > 0.10

    def test_no_values_bound_nothing(self):
        assert gaffke_bound(np.empty(0)) == 1.0

    def test_share_of_reacting_subjects_is_clopper_pearsons(self):
        assert share_bound(0, 30) == pytest.approx(zero_reaction_bound(30))
        expected = stats.binomtest(2, 30).proportion_ci(0.9, method="exact").high
        assert share_bound(2, 30) == pytest.approx(expected)
        assert share_bound(30, 30) == 1.0


class TestPlanning:
    def test_without_reactions_the_rule_of_three_decides(self):
        assert subjects_to_certify(np.zeros(30), 0.05, alpha=0.05) == 59

    def test_with_small_reactions_more_are_needed_and_would_do(self):
        values = np.r_[np.zeros(56), 0.3, 0.2, 0.1, 0.1]
        needed = subjects_to_certify(values, 0.05, alpha=0.05)
        assert needed is not None
        assert needed > 60
        stretched = np.quantile(values, (np.arange(needed) + 0.5) / needed, method="inverted_cdf")
        assert log_evalue_below(stretched, 0.05, alpha=0.05) > math.log(1 / 0.05)

    def test_a_mean_at_the_margin_can_never_be_certified(self):
        assert subjects_to_certify(np.full(30, 0.06), 0.05, alpha=0.05) is None

    def test_power_to_decide(self):
        values = np.random.default_rng(0).normal(0, 1, 200)
        values = 0.02 + 0.1 * (values - values.mean()) / values.std(ddof=1)
        needed = subjects_to_decide(values[:200], 0.05, alpha=0.05)
        # About (0.1 (z + z) / 0.03)^2 = 69, so the sample has enough; noncentral t, not z, for small ones.
        assert needed == 201
        few = values[:12] - values[:12].mean() + 0.02
        gap, sd = 0.03, few.std(ddof=1)
        asked = subjects_to_decide(few, 0.05, alpha=0.05)
        assert bound_power(gap, sd, asked, alpha=0.05) >= 0.8 > bound_power(gap, sd, asked - 1, alpha=0.05)
        assert subjects_to_decide(np.full(5, 0.1), 0.05, alpha=0.05) is None


class TestClustering:
    @pytest.mark.parametrize(
        "codes", [[], [0], [3, 1, 3, 0], [0, 1, 2], [5, 5], [2**40, 7, 2**40], [-1, 4, -1]], ids=str
    )
    def test_groups_are_what_numpy_finds_by_sorting(self, codes):
        found = groups(np.array(codes, dtype=np.int64))
        expected = np.unique(np.array(codes, dtype=np.int64), return_inverse=True, return_counts=True)
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, other)

    def test_icc_is_the_anova_of_a_balanced_layout(self):
        rng = np.random.default_rng(8)
        d = rng.normal(size=(20, 1)) + rng.normal(size=(20, 6))
        owner = np.repeat(np.arange(20), 6)
        between = stats.f_oneway(*d)
        rho = (between.statistic - 1) / (between.statistic + 5)
        found = clustering(d.ravel(), owner)
        assert found.icc == pytest.approx(rho)
        assert found.design_effect == pytest.approx(1 + 5 * rho)

    def test_negative_estimates_are_clipped(self):
        assert clustering(np.array([1.0, -1.0] * 5), np.repeat(np.arange(5), 2)).icc == 0.0

    def test_one_image_per_subject_has_no_icc_and_no_design_effect(self):
        found = clustering(np.arange(5.0), np.arange(5))
        assert math.isnan(found.icc)
        assert found.design_effect == 1.0

    def test_mde_is_that_of_the_published_table(self):
        spread = np.random.default_rng(0).normal(size=30)
        sd = 0.1 * math.sqrt(0.5 + 0.5 / 6)
        values = sd * (spread - spread.mean()) / spread.std(ddof=1)
        assert minimal_detectable_effect(values) == pytest.approx(0.040, abs=0.0005)
        assert minimal_detectable_effect(values, alpha=0.05 / 28) == pytest.approx(0.060, abs=0.0005)

    def test_mde_agrees_with_statsmodels(self):
        from statsmodels.stats.power import TTestPower

        values = np.random.default_rng(1).normal(size=12)
        d = TTestPower().solve_power(nobs=12, alpha=0.05, power=0.8)
        assert minimal_detectable_effect(values) == pytest.approx(d * values.std(ddof=1), rel=1e-4)

    def test_the_power_at_the_mde_is_what_it_says(self):
        rng = np.random.default_rng(2)
        nominal = minimal_detectable_effect(np.array([-1.0, 1.0] * 10) * math.sqrt(19 / 20))
        p = stats.ttest_1samp(rng.normal(nominal, 1.0, (4000, 20)), 0, axis=1).pvalue
        assert (p < 0.05).mean() == pytest.approx(0.80, abs=0.03)


class TestEffectSize:
    def test_dz_is_hedges_corrected(self):
        d = np.array([0.1, 0.3, 0.2, 0.4])
        assert hedges_dz(d) == pytest.approx(d.mean() / d.std(ddof=1) * (1 - 3 / 11))

    def test_rank_biserial_is_the_signed_rank_statistic(self):
        d = np.round(np.random.default_rng(9).normal(0.1, 0.5, 25), 1)
        moved = d[d != 0]
        ranks = stats.rankdata(np.abs(moved))
        assert rank_biserial(d) == pytest.approx((ranks[moved > 0].sum() - ranks[moved < 0].sum()) / ranks.sum())

    def test_rounding_does_not_split_ties(self):
        d = np.array([0.9 - 0.8, 0.5 - 0.4, 0.2 - 0.3])
        assert rank_biserial(d) == pytest.approx(1 / 3)


class TestInterval:
    def test_is_scipys(self):
        values = np.random.default_rng(1).normal(size=9)
        expected = stats.t.interval(0.9, 8, loc=values.mean(), scale=stats.sem(values))
        assert t_interval(values, level=0.9)[1:] == pytest.approx(expected)

    def test_constant_values_have_no_width_despite_rounding(self):
        found = t_interval(np.full(3, 0.1) + np.array([0, 1e-17, -1e-17]))
        assert found.low == found.high == pytest.approx(0.1)

    def test_no_level_below_one_is_written_as_all(self):
        assert level_of(1 - 0.1 / 5000) == "99.998%"
        assert (level_of(1.0), level_of(math.nan)) == ("100%", "-")

    @pytest.mark.parametrize("n", [0, 1])
    def test_fewer_than_two_values_have_no_interval(self, n):
        assert math.isnan(t_interval(np.ones(n)).low)


class TestBootstrap:
    def test_a_ratio_of_means_is_covered(self):
        rng = np.random.default_rng(11)
        hits = 0
        for run in range(200):
            base = rng.uniform(0.4, 0.8, 20)
            sums = np.c_[base * 0.5 + rng.normal(0, 0.05, 20), base]
            found = cluster_bootstrap(sums, lambda t: t[:, 0] / t[:, 1], resamples=499, seed=run)
            hits += found.low <= 0.5 <= found.high
        assert hits / 200 == pytest.approx(0.95, abs=0.05)

    def test_is_wider_than_the_plain_percentile_interval(self):
        values = np.random.default_rng(12).normal(size=(10, 1))
        found = cluster_bootstrap(values, lambda t: t[:, 0] / 10, seed=1)
        drawn = np.random.default_rng(1).choice(values[:, 0], (9999, 10)).mean(axis=1)
        plain = np.quantile(drawn, [0.025, 0.975])
        assert found.high - found.low > 1.1 * (plain[1] - plain[0])

    def test_one_subject_or_a_denominator_of_zero_has_no_interval(self):
        ratio = lambda t: t[:, 0] / t[:, 1]  # noqa: E731
        assert math.isnan(cluster_bootstrap(np.ones((1, 2)), ratio).low)
        assert math.isnan(cluster_bootstrap(np.array([[1.0, 0.0]] * 5), ratio).low)


class TestSignFlip:
    def test_family_error_of_null_conditions(self):
        rng = np.random.default_rng(13)
        runs, false = 200, 0
        for _ in range(runs):
            common = rng.normal(size=(20, 1))
            found = sign_flip(common + rng.normal(size=(20, 28)), resamples=499)
            false += (found.p_adjusted < 0.05).any()
        assert false / runs < 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)

    def test_max_t_has_at_least_holms_power(self):
        rng = np.random.default_rng(14)
        ours = theirs = 0
        for _ in range(40):
            d = 0.7 * rng.normal(size=(30, 1)) + 0.7 * rng.normal(size=(30, 28))
            d[:, :8] += 0.55
            found = sign_flip(d, resamples=1999)
            ours += (found.p_adjusted[:8] < 0.05).sum()
            theirs += (holm(found.p_value)[:8] < 0.05).sum()
        assert ours >= theirs > 0

    def test_enumeration_and_sampling_agree(self):
        d = np.random.default_rng(15).normal(0.4, 1, (12, 3))
        exact, drawn = sign_flip(d, resamples=4095), sign_flip(d, resamples=4094)
        assert np.allclose(exact.p_value, drawn.p_value, atol=0.03)
        assert np.allclose(exact.p_adjusted, drawn.p_adjusted, atol=0.03)

    def test_missing_subjects_are_left_out_of_their_condition_only(self):
        d = np.random.default_rng(16).normal(0.3, 1, (10, 2))
        d[6:, 1] = np.nan
        assert sign_flip(d).p_value[1] == pytest.approx(sign_flip(d[:6, 1:]).p_value[0])

    def test_a_family_without_conditions_is_fine(self):
        assert sign_flip(np.empty((0, 0))).family_size == 0


def test_adjusted_p_values_skip_what_is_missing():
    p = np.array([0.01, np.nan, 0.04])
    assert np.allclose(holm(p), [0.02, np.nan, 0.04], equal_nan=True)
    assert np.allclose(benjamini_hochberg(p), [0.02, np.nan, 0.04], equal_nan=True)


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
