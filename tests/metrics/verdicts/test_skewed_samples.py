"""Where an interval is not enough: samples with a long tail (item 8), a model that moves by itself between two runs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import robustness as rb
from robustness.gates.decisions import ErrorRates, equivalence, no_proven_inferiority, noninferiority, retention
from robustness.metrics.inference.intervals import t_interval
from robustness.metrics.inference.mean_interval import claim_interval, guarded_p, mean_interval, skewness, tail_skews
from robustness.metrics.inference.planning import subjects_to_decide
from robustness.metrics.inference.signflip import guarded, sign_flip
from robustness.metrics.verdicts.spread import EXCESS, subject_spread
from tests.metrics.tables import paired, rows_of
from tests.metrics.verdicts.test_cannot_mislead import one, rewording_moves_a_tenth, shares

RUNS = 50
IMAGE = "image:gaussian_noise@1"


def limit(nominal, runs=RUNS):
    """A rate with room for three Monte Carlo standard errors."""
    return nominal + 3 * (nominal * (1 - nominal) / runs) ** 0.5


class TestTruthsOnTheMargin:
    """With the star or without, also where the sample shows nobody of the tail."""

    @pytest.mark.slow
    @pytest.mark.parametrize("n", [12, 20, 60])
    def test_reacts_where_rewording_moves_a_tenth(self, n):
        found = shares(rewording_moves_a_tenth(n), RUNS)
        verdict = found[found["claim"] == "prompt"]["verdict"]
        assert verdict.isin(["REACTS", "REACTS*"]).mean() <= 0.06

    @pytest.mark.parametrize("n", [12, 20, 60])
    def test_fragile_where_a_tenth_is_cured(self, n):
        found = shares(lambda rng: paired(np.where(rng.random(n) < 0.09, -0.3, 0.1396), clean=0.6), RUNS)
        assert found["verdict"].isin(["FRAGILE", "FRAGILE*"]).mean() <= 0.06

    @pytest.mark.parametrize("n", [12, 20, 60])
    def test_follows_where_a_twentieth_goes_the_other_way(self, n):
        def draw(rng):
            gain = np.where(rng.random(n) < 0.05, -0.45, 0.129)
            base = {"other_case_id": "o", "attribute": "size"}
            return pd.concat(
                [
                    rows_of("clean", np.full(n, 0.5), dice_other=0.5, **base),
                    rows_of("other:size", 0.5 - gain, dice_other=0.5 + gain, **base),
                ]
            )

        verdict = shares(draw, RUNS)["verdict"]
        assert verdict.isin(["FOLLOWS", "FOLLOWS*"]).mean() <= limit(0.05)
        assert (verdict == "FOLLOWS").mean() <= 0.06

    @pytest.mark.parametrize("n", [12, 20, 60])
    def test_fragile_of_a_distance_of_which_a_tenth_is_cured(self, n):
        """HD95 has no end that would bound what those gain who are not in the sample."""

        def draw(rng):
            worse = 32 + np.where(rng.random(n) < 0.09, -10, 10 * 0.09 / 0.91)
            clean = rows_of("clean", np.full(n, 30.0), metric="hd95", dice=0.9)
            return pd.concat([clean, rows_of(IMAGE, worse, metric="hd95", dice=0.9)])

        found = shares(draw, RUNS, margins={"hd95": 2.0}, margin_dice=0.5)
        verdict = found[found["metric"] == "hd95"]["verdict"]
        assert len(verdict) == RUNS
        assert verdict.isin(["FRAGILE", "FRAGILE*"]).mean() <= 0.06

    def test_a_distance_that_all_lose_alike_is_open_without_a_bound(self):
        table = pd.concat([rows_of(name, np.full(20, v), metric="hd95") for name, v in (("clean", 3.0), (IMAGE, 6.5))])
        verdicts = rb.verdicts(table.assign(dice=0.9), margins={"hd95": 2.0}).set_index("metric")
        found = verdicts.loc["hd95"]
        assert found["verdict"] == "INCONCLUSIVE"
        assert "nothing bounds its mean loss" in found["rule"]
        assert "no end that would bound what others lose" in found["sentence"]

    @pytest.mark.parametrize("clean", [1.0, 0.9, 0.8])
    @pytest.mark.parametrize("n", [12, 20, 40])
    def test_a_mean_on_the_margin_is_open_whichever_way_it_is_rounded(self, n, clean):
        assert one(paired(np.full(n, 0.1), clean=clean))["verdict"] == "INCONCLUSIVE"
        assert noninferiority(clean - np.full(n, clean - 0.1), 0.1, TestGates.ERRORS).outcome == "inconclusive"
        assert noninferiority(clean - np.full(n, clean - 0.1), 0.1, TestGates.ERRORS, closed=True).outcome == "pass"
        kept = retention(
            np.full(n, clean) - 0.1 * clean, np.full(n, clean), 0.9, TestGates.ERRORS, resamples=99, seed=0
        )
        assert kept.outcome == "pass"

    @pytest.mark.parametrize("n", [30, 60])
    def test_robust_where_a_sixth_loses_most(self, n):
        found = shares(lambda rng: paired(np.where(rng.random(n) < 0.16, 0.625, 0.0), clean=1.0), RUNS)
        assert found["verdict"].isin(["ROBUST", "ROBUST*"]).mean() <= limit(0.05)


class TestGates:
    ERRORS = ErrorRates(0.05, 1, -1.0, 1.0)
    RUNS = 400

    def _failures(self, draw):
        rng = np.random.default_rng(3)
        found = [no_proven_inferiority(draw(rng), 0.0, self.ERRORS).outcome for _ in range(self.RUNS)]
        return found.count("fail") / self.RUNS

    @pytest.mark.parametrize("n", [12, 20, 30, 60])
    @pytest.mark.parametrize(("share", "gain"), [(0.09, 0.3), (0.16, 0.3), (0.05, 0.5)])
    def test_an_equal_model_that_cures_some_does_not_fail_the_merge_gate(self, n, share, gain):
        assert self._failures(lambda rng: np.where(rng.random(n) < share, -gain, gain * share / (1 - share))) <= 0.01

    @pytest.mark.parametrize("n", [20, 30, 60])
    @pytest.mark.parametrize("sign", [-1.0, 1.0])
    def test_nor_does_one_whose_differences_have_a_long_tail(self, n, sign):
        tails = {
            "squared exponential": lambda rng: rng.standard_exponential(n) ** 2 - 2,
            "lognormal": lambda rng: rng.lognormal(0, 1, n) - np.exp(0.5),
            "zero-inflated": lambda rng: np.where(rng.random(n) < 0.3, rng.standard_exponential(n), 0.0) - 0.3,
        }
        for name, values in tails.items():
            rate = self._failures(lambda rng, values=values: sign * 0.05 * values(rng))
            assert rate <= limit(0.075, self.RUNS), name

    @pytest.mark.parametrize("n", [20, 30, 60])
    def test_normal_differences_keep_the_power_of_t(self, n):
        rng = np.random.default_rng(5)
        samples = [rng.normal(0.02, 0.0354, n) for _ in range(self.RUNS)]
        by_t = np.mean([t_interval(v, level=0.9).low > 0 for v in samples])
        ours = np.mean([no_proven_inferiority(v, 0.0, self.ERRORS).outcome == "fail" for v in samples])
        assert ours >= 0.97 * by_t

    def test_the_same_loss_of_everybody_is_open_and_says_how_many_would_decide(self):
        found = no_proven_inferiority(np.full(20, 0.10), 0.0, self.ERRORS)
        assert (found.outcome, found.needed) == ("inconclusive", 32)
        assert found.low < 0 < found.estimate
        assert no_proven_inferiority(np.full(32, 0.10), 0.0, self.ERRORS).outcome == "fail"
        assert no_proven_inferiority(np.full(31, 0.10), 0.0, self.ERRORS).outcome == "inconclusive"

    def test_nothing_lost_by_anybody_passes(self):
        assert no_proven_inferiority(np.zeros(20), 0.0, self.ERRORS).outcome == "pass"

    @pytest.mark.parametrize("test", [noninferiority, equivalence])
    def test_no_other_gate_fails_on_a_sample_without_spread(self, test):
        assert test(np.full(20, 0.10), 0.05, self.ERRORS).outcome == "inconclusive"
        assert test(np.full(20, 0.60), 0.05, self.ERRORS).outcome == "fail"
        gained = equivalence(np.full(20, -0.60), 0.05, self.ERRORS)
        assert (gained.outcome, gained.estimate, gained.high < -0.05) == ("fail", pytest.approx(-0.6), True)

    @pytest.mark.parametrize("n", [20, 30])
    def test_a_sixth_that_loses_most_does_not_pass_retention(self, n):
        rng, passed = np.random.default_rng(6), 0
        for _ in range(100):
            changed = np.where(rng.random(n) < 0.16, 0.375, 1.0) - rng.uniform(0, 1e-3, n)
            found = retention(changed, np.ones(n), 0.9, self.ERRORS, resamples=499, seed=0)
            passed += found.outcome == "pass"
        # Samples that show none of them.
        assert passed / 100 <= limit(max(0.05, 0.84**n), 100)

    def test_a_skewed_pass_without_a_certificate_widens(self):
        values = np.r_[np.zeros(57), 0.9, 0.9, 0.8]
        assert t_interval(values, level=0.9).high < 0.1
        assert noninferiority(values, 0.1, self.ERRORS).outcome == "inconclusive"


class TestClaimInterval:
    def test_a_certificate_keeps_students_t(self):
        values = np.r_[np.zeros(28), 0.9, 0.9]
        assert claim_interval(values, level=0.9, certified=True) == t_interval(values, level=0.9)
        assert claim_interval(values, level=0.9, certified=False).high > t_interval(values, level=0.9).high

    def test_normal_samples_lose_no_power(self):
        rng = np.random.default_rng(4)
        samples = [rng.normal(0.05, 0.1, 25) for _ in range(400)]
        by_t, widened = (
            np.mean([claim_interval(v, level=0.9, certified=c).high < 0.1 for v in samples]) for c in (True, False)
        )
        assert widened >= 0.97 * by_t

    @pytest.mark.parametrize("alpha", [0.001, 0.05, 0.3])
    def test_a_guarded_p_is_below_alpha_where_the_interval_excludes_zero(self, alpha):
        rng = np.random.default_rng(8)
        for _ in range(200):
            values = 0.05 * (rng.standard_exponential(20) ** 2 - 2 * rng.uniform(0, 1.2)) * rng.choice([-1, 1])
            p, (_, low, high) = guarded_p(values), mean_interval(values, level=1 - alpha).interval
            if p > 0:
                assert (p < alpha) == (low > 0 or high < 0)

    def test_a_guarded_p_of_equal_values_is_that_of_the_distribution_free_interval(self):
        values = np.full(20, 0.1)
        p = guarded_p(values, low=-1.0, high=1.0)
        for level, beyond in ((1 - p - 1e-6, True), (1 - p + 1e-6, False)):
            assert (mean_interval(values, level=level, low=-1.0, high=1.0).interval.low > 0) == beyond
        assert guarded_p(-values, low=-1.0, high=1.0) == p

    @pytest.mark.parametrize("n", [20, 30, 60])
    def test_p_values_of_skewed_families_err_seldom(self, n):
        """Sign flips alone call something in .85 to .93 of runs; 16 lognormal conditions."""
        wrong = 0
        for run in range(60):
            loss = (np.random.default_rng(run).lognormal(0, 1.5, (n, 16)) - np.exp(1.125)) * 0.01
            test = sign_flip(loss, resamples=299, seed=0)
            wrong += bool((guarded(test, loss).p_adjusted < 0.05).any())
        assert wrong / 60 <= limit(0.075 if n == 20 else 0.05, 60)

    @pytest.mark.parametrize("n", [20, 40])
    def test_p_values_of_normal_families_find_nine_tenths_of_what_flips_find(self, n):
        found = np.zeros(2)
        for run in range(40):
            values = np.random.default_rng(run).normal(0.1 * (30 / n) ** 0.5, 0.1, (n, 12))
            test = sign_flip(values, resamples=299, seed=0)
            found += [(one.p_adjusted < 0.05).sum() for one in (test, guarded(test, values))]
        assert 300 < found[1] <= found[0]
        assert found[1] >= 0.9 * found[0]

    def test_a_sharp_edge_without_its_tail_is_seen_far_out(self):
        """Of 20 lognormal patients none may show the tail; the body's edge is left."""
        body = np.sort(np.random.default_rng(2).lognormal(0, 1, 400))
        values = -body[:320:16]
        far, near = tail_skews(values, 0.05 / 16), tail_skews(values, 0.05)
        assert abs(skewness(values)) < 1
        assert (near, far) == ((), (-1.0, -2.0, -4.0))
        widened = claim_interval(values, level=1 - 0.1 / 16, certified=False)
        assert widened.low < t_interval(values, level=1 - 0.1 / 16).low - 0.1

    @pytest.mark.parametrize("alpha", [0.2, 0.05, 0.0199, 0.001])
    def test_smaller_error_rates_never_narrow_an_interval(self, alpha):
        rng = np.random.default_rng(3)
        for _ in range(100):
            values = rng.standard_exponential(20) ** rng.uniform(0.5, 2)
            wide, narrow = (mean_interval(values, level=1 - 2 * a).interval for a in (alpha / 2, alpha))
            assert wide.low <= narrow.low <= narrow.high <= wide.high

    @pytest.mark.parametrize("values", [[0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1], [0.1] * 12, [0, 0, 0, 1, 2, 2, 2]])
    def test_few_distinct_values_have_no_edge(self, values):
        assert tail_skews(np.array(values, dtype=float), 0.001) == ()

    def test_planning_counts_the_widened_bound(self):
        values = np.r_[np.zeros(57), 0.9, 0.9, 0.8]
        planned = subjects_to_decide(values, 0.1, alpha=0.05)
        assert planned is not None
        assert planned > 61
        found = one(paired(values, clean=1.0))
        # The e-value of a star takes some more.
        assert found["verdict"] == "INCONCLUSIVE"
        assert planned <= found["n_needed"] <= 1.25 * planned


def moving(*, noise, wording, swap=None, image=None, n=40):
    """Mask changes of a model that two identical runs change by `noise`; the margin is .05."""
    rng = np.random.default_rng(0)
    parts = {"rerun": noise, "paraphrase": wording, "antonym:size": wording if swap is None else swap, IMAGE: image}
    frames = [rows_of("clean", np.zeros(n), metric="mask_change")]
    frames += [
        rows_of(name, np.clip(mean + rng.normal(0, 0.01, n), 0, 1), metric="mask_change")
        for name, mean in parts.items()
        if mean is not None
    ]
    return rb.verdicts(pd.concat(frames)).set_index(["claim", "condition"])


class TestUnstable:
    @pytest.mark.parametrize(("noise", "wording"), [(0.20, 0.20), (0.20, 0.24), (0.04, 0.08)])
    def test_wording_that_moves_no_more_than_margin_and_noise_is_not_called_unstable(self, noise, wording):
        found = moving(noise=noise, wording=wording).loc[("prompt", "antonym:size")]
        assert found["verdict"] == "INCONCLUSIVE"
        assert "two identical runs differ by" in found["rule"]

    def test_wording_that_moves_more_than_margin_and_noise_is(self):
        found = moving(noise=0.04, wording=0.30).loc[("prompt", "antonym:size")]
        assert found["verdict"] == "UNSTABLE"

    def test_the_certificate_is_held_to_margin_and_noise_too(self):
        found = moving(noise=0.15, wording=0.208).loc[("prompt", "antonym:size")]
        assert found["verdict"] == "UNSTABLE*"
        assert moving(noise=0.0, wording=0.208).loc[("prompt", "antonym:size"), "verdict"] == "UNSTABLE"

    def test_a_swap_that_moves_no_more_than_rewording_is_no_reaction_however_much_both_move(self):
        found = moving(noise=0.20, wording=0.22, swap=0.23).loc[("prompt", "antonym:size")]
        assert found["verdict"] == "INCONCLUSIVE"


class TestFragile:
    @pytest.mark.parametrize("image", [0.07, 0.085])
    def test_a_change_beyond_the_margin_but_not_beyond_margin_and_noise_is_open(self, image):
        found = moving(noise=0.04, wording=0.0, image=image).loc[("robustness", IMAGE)]
        assert found["verdict"] == "INCONCLUSIVE"
        assert "not by more than two identical runs differ" in found["sentence"]

    def test_a_change_beyond_both_is_fragile(self):
        assert moving(noise=0.04, wording=0.0, image=0.3).loc[("robustness", IMAGE), "verdict"] == "FRAGILE"


def _table(subjects=12, images=3, seed=0):
    rng = np.random.default_rng(seed)
    ids = [(f"s{s}", f"c{s}_{i}") for s in range(subjects) for i in range(images)]
    n = len(ids)
    base = pd.DataFrame({"subject_id": [s for s, _ in ids], "case_id": [c for _, c in ids], "model": "m"})
    clean = base.assign(condition="clean", family="clean", dice=0.8, mask_change=0.0)
    swap = base.assign(
        condition="antonym:size",
        family="prompt",
        attribute="size",
        dice=0.8 - rng.normal(0.1, 0.05, n),
        mask_change=rng.uniform(0, 0.4, n),
    )
    words = base.assign(condition="paraphrase", family="prompt", dice=0.8, mask_change=rng.uniform(0, 0.1, n))
    return pd.concat([clean, swap, words], ignore_index=True)


def _sd_of_means(table, column):
    return table.groupby("subject_id")[column].mean().std(ddof=1)


def test_it_is_the_standard_deviation_of_the_subjects_mean_effects():
    table = _table()
    found = subject_spread(table, ["dice", "mask_change", "absent"])
    swap = table[table.condition == "antonym:size"]
    assert found["antonym:size", "dice"] == pytest.approx(_sd_of_means(swap, "dice"))
    assert found["antonym:size", "mask_change"] == pytest.approx(_sd_of_means(swap, "mask_change"))


def test_the_excess_is_the_change_beyond_rewording():
    table = _table()
    swap, words = (table[table.condition == c].set_index("case_id") for c in ("antonym:size", "paraphrase"))
    excess = swap.assign(excess=swap.mask_change - words.mask_change)
    assert subject_spread(table, ["dice"])["antonym:size", EXCESS] == pytest.approx(_sd_of_means(excess, "excess"))


def test_what_does_not_spread_is_left_out():
    assert ("paraphrase", "dice") not in subject_spread(_table(), ["dice"])


def test_of_two_models_the_larger_spread_counts():
    table = _table()
    calm = table.assign(model="n", dice=0.8 + (table.dice - 0.8) / 10)
    both = subject_spread(pd.concat([table, calm], ignore_index=True), ["dice"])
    assert both["antonym:size", "dice"] == subject_spread(table, ["dice"])["antonym:size", "dice"]
