"""Certificates: exact where nobody reacts, valid for any distribution, free of a price where all claims hold."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import beta

from robustness.metrics.inference.evalues import (
    best_log_factors,
    closed_means,
    log_evalue_above,
    log_evalue_below,
    subjects_to_certify,
)
from robustness.metrics.inference.multiplicity import step_down
from robustness.metrics.inference.shares import clopper_pearson
from robustness.metrics.inference.weighted_mean import weighted_interval

CERTIFIES = math.log(20)


def below(values, margin):
    return log_evalue_below(values, margin, alpha=0.05)


class TestRuleOfThree:
    @pytest.mark.parametrize(("margin", "n"), [(0.02, 149), (0.05, 59), (0.10, 29)])
    def test_without_a_reaction_it_is_the_rule_of_three(self, margin, n):
        assert below(np.zeros(n), margin) >= CERTIFIES > below(np.zeros(n - 1), margin)

    @pytest.mark.parametrize("margin", [0.02, 0.05, 0.1, 0.3])
    def test_more_subjects_never_lose_a_certificate(self, margin):
        # Nor one that six reacting claims of the family have made seven times as dear.
        for collapsed, dearer in ((0, 1.0), (0, 7.0), (1, 1.0), (2, 1.0), (3, 1.0)):
            certified = [
                below(np.r_[np.ones(collapsed), np.zeros(n - collapsed)], margin) >= CERTIFIES + math.log(dearer)
                for n in range(10, 600)
            ]
            assert certified[-1]
            assert all(certified[certified.index(True) :])

    @pytest.mark.parametrize(("margin", "needed"), [(0.05, [59, 121, 155, 187]), (0.1, [29, 60, 76, 92])])
    def test_rare_collapses_are_forgiven_with_more_subjects(self, margin, needed):
        def first(collapsed):
            samples = ((n, np.r_[np.ones(collapsed), np.zeros(n - collapsed)]) for n in range(20, 400))
            return next(n for n, values in samples if below(values, margin) > CERTIFIES)

        assert [first(k) for k in range(4)] == needed

    def test_one_collapse_among_few_is_never_certified(self):
        assert below(np.r_[1.0, np.zeros(40)], 0.1) == pytest.approx(math.log(1e-300), rel=0.02)

    def test_planning_names_the_rule_of_three(self):
        assert subjects_to_certify(best_log_factors(np.zeros(20), 0.05), alpha=0.05) == 59


class TestValidity:
    @pytest.mark.parametrize("n", [12, 30, 60, 200])
    @pytest.mark.parametrize(("body", "tail"), [(0.0, 1.0), (0.02, 1.0), (0.05, 0.6), (-0.3, 1.0), (0.09, 0.2)])
    def test_an_e_value_has_a_mean_of_at_most_one_at_the_margin(self, body, tail, n):
        # Two-point distributions with mean 0.1: the expectation is a finite sum.
        share = (0.1 - body) / (tail - body)
        counts = np.arange(n + 1)
        log_pmf = np.array([math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) for k in counts])
        log_pmf += counts * math.log(share) + (n - counts) * math.log1p(-share)
        logs = np.array([below(np.r_[np.full(k, tail), np.full(n - k, body)], 0.1) for k in counts])
        assert np.exp(log_pmf + logs).sum() <= 1 + 1e-9

    @pytest.mark.parametrize("kind", ["collapse", "skewed", "heavy", "mixed patients"])
    def test_false_certificates_stay_below_alpha(self, kind):
        rng, n, wrong = np.random.default_rng(1), 40, 0
        draw = {
            "collapse": lambda: np.where(rng.random(n) < 0.1, 1.0, 0.0),
            "skewed": lambda: 0.1 * rng.standard_exponential(n).clip(max=10) * 1.0001,
            "heavy": lambda: rng.beta(0.05, 0.45, n),
            "mixed patients": lambda: np.where(rng.random(n) < np.linspace(0, 0.2, n), 1.0, 0.0),
        }[kind]
        for _ in range(1500):
            wrong += below(draw(), 0.1) >= CERTIFIES
        assert wrong / 1500 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 1500)

    def test_above_is_the_mirror(self):
        strong, weak = np.full(12, 0.8), np.full(12, 0.12)
        assert log_evalue_above(strong, 0.1) > CERTIFIES > log_evalue_above(weak, 0.1)
        assert log_evalue_above(np.array([]), 0.1) == pytest.approx(0.0)


class TestClosedMeans:
    @pytest.mark.parametrize("m", [5, 16, 30])
    def test_a_blind_model_needs_59_subjects_whatever_the_number_of_claims(self, m):
        def certified(n):
            return (closed_means(np.full(m, below(np.zeros(n), 0.05))) >= CERTIFIES).all()

        assert certified(59)
        assert not certified(58)

    def test_one_reacting_claim_costs_a_factor_of_two(self):
        def certified(n):
            logs = np.full(16, below(np.zeros(n), 0.05))
            logs[3] = -np.inf
            return (np.delete(closed_means(logs), 3) >= CERTIFIES).all()

        assert certified(72)
        assert not certified(71)

    def test_it_is_the_smallest_mean_of_any_set(self):
        import itertools

        e = np.random.default_rng(3).lognormal(1, 2, 6)
        for i in range(6):
            others = [x for j, x in enumerate(e) if j != i]
            least = min(
                (e[i] + sum(some)) / (len(some) + 1) for k in range(6) for some in itertools.combinations(others, k)
            )
            assert closed_means(np.log(e))[i] == pytest.approx(math.log(least))

    @pytest.mark.parametrize("kind", ["independent", "shared", "exclusive"])
    def test_any_false_ignores_stays_below_alpha(self, kind):
        rng, wrong, n, m = np.random.default_rng(2), 0, 72, 8
        for _ in range(800):
            drawn = rng.random((n, m if kind != "shared" else 1))
            if kind == "exclusive":
                place = rng.integers(0, 20, n)
                reacts = place[:, None] == np.arange(m)[None, :]
            else:
                reacts = np.broadcast_to(drawn < 0.05, (n, m))
            logs = np.array([below(column.astype(float), 0.05) for column in reacts.T])
            wrong += (closed_means(logs) >= CERTIFIES).any()
        assert wrong / 800 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 800)


class TestStepDown:
    def test_it_finds_no_less_than_bonferroni_and_pays_for_one_claim_at_the_end(self):
        rng = np.random.default_rng(5)
        values = rng.normal([0.02, 0.08, 0.12, 0.3], 0.1, (40, 4))
        found = step_down(values, 0.05, alpha=0.05, resamples=1999)
        assert found.above[3]
        assert found.critical[3] >= found.critical[0]
        assert found.above.tolist() == (np.argsort(np.argsort(-values.mean(0))) < found.above.sum()).tolist()

    def test_any_false_alarm_at_the_margin_stays_near_alpha(self):
        rng, wrong = np.random.default_rng(6), 0
        for run in range(400):
            shared = rng.normal(0, 0.07, (30, 1))
            values = 0.05 + shared + rng.normal(0, 0.07, (30, 6))
            wrong += step_down(values, 0.05, alpha=0.05, resamples=499, seed=run).above.any()
        assert wrong / 400 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 400)

    def test_columns_without_subjects_are_left_out(self):
        values = np.column_stack([np.full(20, np.nan), np.linspace(0.2, 0.4, 20)])
        found = step_down(values, 0.05, alpha=0.05, resamples=199)
        assert found.above.tolist() == [False, True]
        assert math.isnan(found.critical[0])


class TestShares:
    def test_clopper_pearson_is_that_of_the_beta_quantiles(self):
        found = clopper_pearson(18, 60, level=0.95)
        assert found.low == pytest.approx(beta.ppf(0.025, 18, 43))
        assert found.high == pytest.approx(beta.ppf(0.975, 19, 42))
        assert clopper_pearson(0, 10)[:2] == (0.0, 0.0)
        assert clopper_pearson(10, 10).high == 1.0
        assert math.isnan(clopper_pearson(0, 0).value)


class TestWeightedMean:
    def test_equal_subjects_give_the_t_interval(self):
        from robustness.metrics.inference.intervals import t_interval

        means = np.random.default_rng(0).normal(size=25)
        assert weighted_interval(means, np.full(25, 6)) == pytest.approx(t_interval(means))

    @pytest.mark.parametrize("sizes", [[400] + [6] * 19, [100, 100] + [6] * 28])
    def test_item_9_few_large_patients_do_not_narrow_the_interval(self, sizes):
        rng, covered = np.random.default_rng(7), 0
        sizes = np.array(sizes)
        for _ in range(1000):
            means = np.sqrt(0.5) * rng.standard_normal(sizes.size) + np.sqrt(0.5 / sizes) * rng.standard_normal(
                sizes.size
            )
            found = weighted_interval(means, sizes)
            covered += found.low <= 0 <= found.high
        assert covered / 1000 >= 0.93


class TestLeastPatients:
    """What ROBUST of one claim costs beside what any procedure must: mean loss .02, sd .10, margin .10, power 80%."""

    @pytest.mark.slow
    def test_no_valid_test_does_with_fewer_than_34_and_no_mixture_of_bets_with_fewer_than_45(self):
        from benchmarks.calibration import certificates

        assert certificates.least_of_any_test(0.02) == 33
        assert certificates.least_by_neyman_pearson(0.02, 0.10) == 34
        assert certificates.least_of_any_bet(certificates.DESIGNS["loss .02, sd .10"]) == 45

    @pytest.mark.parametrize("mean", [0.02, 0.06])
    def test_the_hardest_truth_lies_on_the_margin(self, mean):
        losses = np.random.default_rng(0).normal(mean, 0.1, 400_000)
        density = (1 - 0.1) / (1 - losses)
        collapsed = 1 - density.mean()
        assert 0 < collapsed < 1
        assert (losses * density).mean() + collapsed == pytest.approx(0.1, abs=1e-12)
