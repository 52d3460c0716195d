"""Robustness summaries: degradation, retention, tails, worst case, severities, references, subgroups; traps by name."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import robustness as rb
from robustness.errors import InputError
from robustness.metrics.analyses.models import compare_models
from robustness.metrics.analyses.relative import effective_robustness, relative_to_reference
from robustness.metrics.analyses.secondary import mixed_model, wilcoxon_table
from robustness.metrics.analyses.severity import first_above
from robustness.metrics.analyses.subgroups import subgroups
from robustness.metrics.analyses.summary import corruption_table, lower_tail, robustness_summary
from robustness.metrics.inference.bootstrap import cluster_bootstrap
from robustness.metrics.inference.effect_size import hedges_dz, rank_biserial
from robustness.metrics.inference.upper_bound import gaffke_bound
from robustness.metrics.pairing.grid import split_condition
from robustness.metrics.scores.masks import mask_metrics
from tests.metrics.tables import battery, paired, rows_of


def grid(losses, *, n=20, clean=0.8, noise=0.02, seed=0, **columns):
    """Rows of corruptions with a mean loss per severity: {"noise": (0.1, 0.2)}; one image per subject."""
    rng = np.random.default_rng(seed)
    base = np.clip(clean + 0.05 * rng.normal(size=n), 0.3, 1)
    parts = [rows_of("clean", base, **columns)]
    for name, by_severity in losses.items():
        for severity, loss in enumerate(by_severity, start=1):
            values = base - loss - noise * rng.normal(size=n)
            parts.append(rows_of(f"image:{name}@{severity}", values, **columns))
    return pd.concat(parts, ignore_index=True)


class TestSummary:
    def test_mean_degradation_is_a_mean_of_means_per_subject(self):
        table = grid({"noise": (0.1, 0.3), "blur": (0.0, 0.2, 0.1)})
        found = robustness_summary(table).iloc[0]
        wide = table.pivot(index="subject_id", columns="condition", values="dice")
        loss = wide.rsub(wide["clean"], axis=0)
        each = (loss.filter(like="noise").mean(axis=1) + loss.filter(like="blur").mean(axis=1)) / 2
        expected = stats.t.interval(0.95, 19, loc=each.mean(), scale=stats.sem(each))
        assert found["mean_degradation"] == pytest.approx(each.mean())
        assert (found["degradation_low"], found["degradation_high"]) == pytest.approx(expected)
        assert found["n_corruptions"] == 2

    def test_mild_severities_can_weigh_more(self):
        found = robustness_summary(grid({"noise": (0.0, 0.3)}, noise=0.0), weights="mild").iloc[0]
        a = 2 / 3
        assert found["mean_degradation"] == pytest.approx(0.3 * a**2 / (a + a**2))

    def test_retention_is_a_ratio_of_means(self):
        found = robustness_summary(grid({"noise": (0.2,)}, noise=0.0)).iloc[0]
        assert found["retention"] == pytest.approx(1 - 0.2 / found["clean_mean"])
        assert found["retention_low"] <= found["retention"] <= found["retention_high"]

    def test_failure_increase(self):
        table = pd.concat([rows_of("clean", [0.9] * 10), rows_of("image:blur@1", [0.4] * 3 + [0.9] * 7)])
        assert robustness_summary(table).iloc[0]["failure_increase"] == pytest.approx(0.3)

    @pytest.mark.slow
    def test_the_worst_case_bound_covers_the_winners_curse(self):
        hits = plug_in = 0
        runs = 60
        for seed in range(runs):
            found = robustness_summary(
                grid({f"c{i}": (0.05,) for i in range(20)}, n=30, noise=0.1, seed=seed), resamples=99
            ).iloc[0]
            hits += found["worst_upper"] >= 0.05
            plug_in += found["worst_degradation"] > 0.06
        assert hits / runs >= 0.95 - 3 * math.sqrt(0.05 * 0.95 / runs)
        assert plug_in / runs > 0.8, "the observed worst of twenty equal corruptions looks worse than any is"

    def test_few_subjects_have_no_worst_case(self):
        found = robustness_summary(grid({"noise": (0.1,)}, n=9)).iloc[0]
        assert found["note"] == "too few subjects"
        assert found["worst"] == ""
        assert math.isnan(found["worst_upper"])

    def test_subjects_without_every_condition_are_counted_not_mixed_in(self):
        table = grid({"noise": (0.1, 0.3)}, noise=0.0)
        table = table[~((table["subject_id"] == "s00003") & (table["condition"] == "image:noise@2"))]
        found = robustness_summary(table).iloc[0]
        assert (found["n_subjects"], found["n_incomplete"]) == (19, 1)
        assert found["mean_degradation"] == pytest.approx(0.2)

    def test_a_distance_is_refused(self):
        with pytest.raises(InputError, match="more is better"):
            robustness_summary(grid({"noise": (0.1,)}).rename(columns={"dice": "hd95"}), metric="hd95")

    def test_one_subject_has_no_intervals(self):
        found = robustness_summary(grid({"noise": (0.1,)}, n=1)).iloc[0]
        assert math.isnan(found["degradation_low"])
        assert math.isnan(found["p05_low"])

    def test_the_order_of_rows_does_not_matter(self):
        table = grid({"noise": (0.1, 0.3), "blur": (0.2,)})
        pd.testing.assert_frame_equal(
            robustness_summary(table), robustness_summary(table.sample(frac=1, random_state=0)), rtol=1e-9
        )


class TestLowerTail:
    def test_of_forty_subjects(self):
        values = np.arange(40.0)
        percentile, cvar = lower_tail(values, np.ones((1, 40)))
        assert percentile[0] == np.quantile(values, 0.05, method="inverted_cdf")
        assert cvar[0] == pytest.approx(values[:4].mean())

    def test_resampled_weights_are_repeated_subjects(self):
        values, weights = np.array([0.1, 0.5, 0.9]), np.array([[2.0, 0.0, 8.0]])
        percentile, cvar = lower_tail(values, weights)
        assert (percentile[0], cvar[0]) == (0.1, pytest.approx(0.1))

    def test_a_tenth_that_cuts_a_subject_takes_its_part(self):
        assert lower_tail(np.array([0.0, 1.0]), np.array([[1.0, 19.0]]))[1][0] == pytest.approx(0.5)


class TestCorruptions:
    def test_one_row_each_with_simultaneous_intervals(self):
        table = grid({"noise": (0.1, 0.3), "blur": (0.0,)})
        found = corruption_table(table).set_index("corruption")
        assert list(found.index) == ["image:blur", "image:noise"]
        alone = corruption_table(table[~table["condition"].str.contains("blur")]).set_index("corruption")
        assert found.loc["image:noise", "ci_high"] > alone.loc["image:noise", "ci_high"]
        assert found.loc["image:noise", "degradation"] == alone.loc["image:noise", "degradation"]

    def test_the_severity_that_exceeds_the_margin_lies_between_those_run(self):
        found = corruption_table(grid({"noise": (0.0, 0.04, 0.08)}, noise=0.0), margin=0.05).iloc[0]
        assert found["exceeds_at"] == pytest.approx(2.25)
        assert found["exceeds_share"] == 1.0
        assert found["trend_p"] < 0.001

    def test_a_margin_that_is_never_exceeded_has_no_severity(self):
        found = corruption_table(grid({"noise": (0.0, 0.01, 0.02)}), margin=0.2).iloc[0]
        assert math.isnan(found["exceeds_at"])
        assert found["exceeds_share"] == 0.0

    def test_an_interval_that_may_lie_beyond_the_scale_is_open(self):
        found = corruption_table(grid({"noise": (0.0, 0.05)}, noise=0.1), margin=0.05).iloc[0]
        assert 0.05 < found["exceeds_share"] < 0.95
        assert math.isfinite(found["exceeds_low"])
        assert math.isnan(found["exceeds_high"])

    @pytest.mark.slow
    def test_the_interval_covers_the_true_crossing(self):
        runs, hits = 60, 0
        for seed in range(runs):
            found = corruption_table(
                grid({"noise": (0.0, 0.04, 0.08)}, n=30, noise=0.03, seed=seed), margin=0.05, resamples=499
            ).iloc[0]
            hits += found["exceeds_low"] <= 2.25 <= np.nan_to_num(found["exceeds_high"], nan=math.inf)
        assert hits / runs >= 0.95 - 3 * math.sqrt(0.05 * 0.95 / runs)

    def test_first_above_of_a_curve_that_starts_above(self):
        assert first_above(np.array([[0.1, 0.0]]), np.array([1.0, 3.0]), 0.05)[0] == pytest.approx(0.5)

    @pytest.mark.parametrize(("name", "parts"), [("image:blur@12", ("image:blur", 12)), ("empty", ("empty", 0))])
    def test_names(self, name, parts):
        assert split_condition(name) == parts


class TestRelative:
    @staticmethod
    def both(reference_loss):
        weak = grid({"noise": (0.3, 0.4)}, seed=1).assign(model="new")
        return pd.concat([weak, grid({"noise": reference_loss}, seed=2).assign(model="ref")])

    def test_twice_the_references_loss(self):
        found = relative_to_reference(self.both((0.15, 0.2)), "ref").iloc[0]
        assert found["relative_ce"] == pytest.approx(2.0, abs=0.1)
        assert found["relative_low"] < 2.0 < found["relative_high"]
        assert found["ce"] > 1

    def test_undefined_where_the_reference_loses_nothing(self):
        found = relative_to_reference(self.both((0.01, -0.01)), "ref").iloc[0]
        assert math.isnan(found["relative_ce"])
        assert found["note"].startswith("undefined")
        assert math.isfinite(found["ce"])

    def test_an_unknown_reference_is_refused(self):
        with pytest.raises(InputError, match="new, ref"):
            relative_to_reference(self.both((0.1, 0.1)), "alexnet")

    def test_effective_robustness_needs_ten_models(self):
        scores = np.linspace(0.5, 0.9, 9)
        with pytest.raises(InputError, match="at least 10"):
            effective_robustness(scores, scores - 0.1, model_clean=0.7, model_shifted=0.6)

    def test_a_model_on_the_line_has_none(self):
        from scipy.special import expit, logit

        clean = np.linspace(0.5, 0.9, 15)
        shifted = expit(0.8 * logit(clean) - 0.5 + 0.05 * np.random.default_rng(0).normal(size=15))
        at = float(expit(0.8 * logit(0.7) - 0.5))
        found = effective_robustness(clean, shifted, model_clean=0.7, model_shifted=at)
        assert found.rho == pytest.approx(0, abs=0.02)
        assert found.low < 0 < found.high
        above = effective_robustness(clean, shifted, model_clean=0.7, model_shifted=at + 0.1)
        assert above.low > 0

    def test_its_interval_is_statsmodels_prediction_interval(self):
        import statsmodels.api as sm
        from scipy.special import expit, logit

        rng = np.random.default_rng(3)
        clean, shifted = rng.uniform(0.5, 0.9, 12), rng.uniform(0.3, 0.7, 12)
        fit = sm.OLS(logit(shifted), sm.add_constant(logit(clean))).fit()
        at = float(np.median(clean))
        low, high = fit.get_prediction([[1.0, float(logit(at))]]).conf_int(obs=True)[0]
        found = effective_robustness(clean, shifted, model_clean=at, model_shifted=0.5)
        assert (found.low, found.high) == pytest.approx((0.5 - expit(high), 0.5 - expit(low)))

    def test_extrapolation_is_refused(self):
        scores = np.linspace(0.5, 0.9, 12)
        with pytest.raises(InputError, match="within the baselines"):
            effective_robustness(scores, scores, model_clean=0.95, model_shifted=0.9)


class TestSubgroups:
    @staticmethod
    def table():
        site = np.array(["a"] * 20 + ["b"] * 15 + ["c"] * 4)
        frame = grid({"noise": (0.1,)}, n=39)
        return frame.assign(site=np.tile(site, 2))

    def test_small_groups_get_words_instead_of_numbers(self):
        found = subgroups(self.table(), "site").set_index(["condition", "group"])
        small = found.loc[("image:noise@1", "c")]
        assert small["note"] == "too few subjects"
        assert small[["mean", "mean_low", "effect", "ci_low"]].isna().all()
        assert small["n_subjects"] == 4
        assert found.loc[("image:noise@1", "a"), "effect"] == pytest.approx(0.1, abs=0.02)
        assert math.isnan(found.loc[("clean", "a"), "effect"])

    def test_intervals_pay_for_the_groups_that_are_large_enough(self):
        table = self.table()
        both = subgroups(table, "site").set_index(["condition", "group"])
        alone = subgroups(table[table["site"] == "a"], "site").set_index(["condition", "group"])
        key = ("image:noise@1", "a")
        assert both.loc[key, "ci_high"] > alone.loc[key, "ci_high"]

    def test_a_case_in_two_groups_is_refused(self):
        table = self.table()
        table.loc[0, "site"] = "b"
        with pytest.raises(InputError, match="one site per case"):
            subgroups(table, "site")

    def test_an_unknown_column_suggests_the_near_one(self):
        with pytest.raises(InputError, match="'site'"):
            subgroups(self.table(), "sites")
        with pytest.raises(InputError, match="no column 'site=a'; write 'site' alone: each of its values is a group"):
            subgroups(self.table(), "site=a")


def share(totals):
    return totals[:, 0] / totals[:, 1]


def test_bootstrap_of_constant_data_is_a_point_and_not_nan():
    found = cluster_bootstrap(np.column_stack([np.full(20, 0.4), np.full(20, 0.8)]), share)
    assert (found.low, found.high) == pytest.approx((0.5, 0.5))


def test_one_rare_failure_among_thirty_is_seen_by_the_bound_though_not_by_the_bootstrap():
    values = np.r_[np.zeros(29), 0.4]
    bootstrap = cluster_bootstrap(np.column_stack([values, np.ones(30)]), share)
    assert bootstrap.low == 0.0
    assert bootstrap.high < 0.08
    assert gaffke_bound(values) > 0.095


def test_equivalence_of_all_zero_differences_is_not_claimed_at_any_n():
    table = battery("blind", 10).query("condition != 'other:size'")
    assert rb.verdicts(table).query("claim == 'prompt'")["verdict"].tolist() == ["IGNORES*"]


def test_median_like_scores_at_the_ceiling_have_an_interval():
    found = rb.effects(paired(np.r_[np.zeros(28), 0.01, 0.02], clean=1.0)).iloc[0]
    assert math.isfinite(found["ci_low"])
    assert math.isfinite(found["ci_high"])


def test_missed_object_is_the_worst_distance_and_not_dropped_as_nan():
    object_ = np.zeros((30, 40), dtype=bool)
    object_[10:20, 10:20] = True
    values = [mask_metrics(p, object_)["hd95"] for p in (object_, np.zeros_like(object_))]
    assert values == [0.0, 50.0]
    table = pd.concat([rows_of("clean", [0.0, 0.0], metric="hd95"), rows_of("empty", values, metric="hd95")])
    assert rb.effects(table, metric="hd95")["effect"].iloc[0] == 25.0


def test_hallucination_on_an_empty_reference_costs_dice():
    nothing, something = np.zeros((4, 4), dtype=bool), np.ones((4, 4), dtype=bool)
    assert mask_metrics(something, nothing)["dice"] == 0.0


def test_nothing_predicted_on_the_whole_image_has_distances_without_background():
    whole = np.ones((6, 7), dtype=bool)
    assert mask_metrics(whole, whole, names=["hd95", "assd", "nsd"])["hd95"] == 0.0


def test_cliffs_delta_would_hide_what_pairing_shows():
    d = np.full(20, 0.02)
    assert rank_biserial(d) == 1.0
    assert math.isnan(hedges_dz(d)), "an infinite d_z is not a number to print"


def test_mixed_model_of_dice_sized_differences_converges():
    rng = np.random.default_rng(0)
    owner = np.repeat(np.arange(20), 4)
    d = 0.02 + 0.05 * rng.normal(size=20)[owner] + 0.05 * rng.normal(size=80)
    found = mixed_model(paired(d, subjects=owner)).iloc[0]
    assert found["note"] == ""
    assert found["method"] == "mixed model, t on K - 1"


def test_mixed_model_uses_t_and_not_z_for_few_subjects():
    rng = np.random.default_rng(1)
    owner = np.repeat(np.arange(10), 6)
    table = paired(0.1 * rng.normal(size=10)[owner] + 0.05 * rng.normal(size=60), subjects=owner)
    found, ours = mixed_model(table).iloc[0], rb.effects(table).iloc[0]
    ratio = (found["ci_high"] - found["ci_low"]) / (ours["ci_high"] - ours["ci_low"])
    assert ratio == pytest.approx(1.0, abs=0.02), "a z interval would have 0.87 of the width"


def test_a_subject_that_one_model_lacks_does_not_turn_friedman_into_nan():
    rng = np.random.default_rng(2)
    parts = [rows_of("clean", rng.uniform(0.5, 0.9, 12)).assign(model=f"m{i}") for i in range(3)]
    parts[1].loc[0, "dice"] = np.nan
    found = compare_models(pd.concat(parts))
    assert found["friedman_p"].notna().all()
    assert (found["n_subjects"] == 11).all()


@pytest.mark.slow
def test_wilcoxon_is_no_test_of_the_mean_so_it_is_secondary():
    rng = np.random.default_rng(3)
    wrong = ours = 0
    runs = 60
    for run in range(runs):
        table = paired(rng.standard_exponential(100) - 1)
        wrong += wilcoxon_table(table)["p_wilcoxon"].iloc[0] < 0.05
        ours += rb.effects(table, resamples=999, seed=run)["p_value"].iloc[0] < 0.05
    assert wrong / runs > 0.15
    assert ours / runs <= 0.07 + 3 * math.sqrt(0.07 * 0.93 / runs)


def test_images_taken_for_patients_raise_false_alarms():
    rng = np.random.default_rng(4)
    owner = np.repeat(np.arange(30), 6)
    d = np.sqrt(0.5) * rng.normal(size=(500, 30))[:, owner] + np.sqrt(0.5) * rng.normal(size=(500, 180))
    assert (stats.ttest_1samp(d, 0, axis=1).pvalue < 0.05).mean() > 0.25


def test_rows_without_a_subject_are_not_dropped_by_grouping():
    table = paired([0.1, 0.2, 0.3])
    table["subject_id"] = [None, "a", "b"] * 2
    with pytest.warns(UserWarning, match="1 of 3 cases"):
        assert rb.effects(table)["n_images"].iloc[0] == 3
