"""Failure rates, Wilcoxon, mixed models, estimands, unpaired groups and losses, interactions, several models."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import robustness as rb
from robustness.errors import InputError
from robustness.metrics.analyses.estimands import estimands
from robustness.metrics.analyses.failures import failure_rates
from robustness.metrics.analyses.interaction import interactions
from robustness.metrics.analyses.models import _ranks, compare_models, friedman_p, rank_stability
from robustness.metrics.analyses.secondary import mixed_model, signed_rank_p, wilcoxon_table
from robustness.metrics.analyses.transfer import COLUMNS, transfer, unpaired_retention
from robustness.metrics.analyses.unpaired import compare_unpaired
from robustness.metrics.inference.shares import share_interval
from tests.metrics.tables import paired, rows_of

NOISE = "image:gaussian_noise@1"


def clustered(seed=0, subjects=15, images=4, effect=0.05):
    rng = np.random.default_rng(seed)
    owner = np.repeat(np.arange(subjects), images)
    d = effect + 0.05 * rng.normal(size=subjects)[owner] + 0.05 * rng.normal(size=owner.size)
    return paired(d, subjects=owner), d, owner


class TestFailures:
    def test_rates_and_increase_are_means_over_subjects(self):
        table = pd.concat(
            [
                rows_of("clean", [0.9, 0.4, 0.9, 0.9], subjects=[0, 0, 0, 1]),
                rows_of(NOISE, [0.4, 0.4, 0.9, 0.3], subjects=[0, 0, 0, 1]),
            ]
        )
        found = failure_rates(table).set_index("condition")
        assert found.loc["clean", "rate"] == pytest.approx((1 / 3 + 0) / 2)
        assert found.loc[NOISE, "rate"] == pytest.approx((2 / 3 + 1) / 2)
        assert found.loc[NOISE, "increase"] == pytest.approx((1 / 3 + 1) / 2)
        assert math.isnan(found.loc["clean", "increase"])

    def test_no_failure_among_ten_does_not_exclude_failures(self):
        found = failure_rates(paired(np.zeros(10))).set_index("condition")
        assert found.loc[NOISE, "rate_high"] == pytest.approx(1 - 0.025 ** (1 / 10))

    def test_nothing_discordant_is_no_evidence_where_mcnemar_says_zero(self):
        assert failure_rates(paired(np.zeros(20))).set_index("condition").loc[NOISE, "p_value"] == 1.0

    @pytest.mark.slow
    def test_clustered_failures_do_not_count_as_independent(self):
        from statsmodels.stats.contingency_tables import mcnemar

        rng = np.random.default_rng(0)
        runs, naive, ours = 60, 0, 0
        for run in range(runs):
            owner = np.repeat(np.arange(12), 8)
            sign = rng.choice([-1, 0, 1], 12, p=[0.3, 0.4, 0.3])[owner]
            clean, changed = np.where(sign < 0, 0.2, 0.9), np.where(sign > 0, 0.2, 0.9)
            table = pd.concat([rows_of("clean", clean, subjects=owner), rows_of(NOISE, changed, subjects=owner)])
            b, c = int((sign > 0).sum()), int((sign < 0).sum())
            naive += mcnemar([[0, b], [c, 0]], exact=True).pvalue < 0.05
            ours += failure_rates(table, seed=run, resamples=499)["p_value"].iloc[-1] < 0.05
        assert naive / runs > 0.3
        assert ours / runs <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)

    def test_needs_a_metric_of_which_more_is_better(self):
        with pytest.raises(InputError, match="more is better"):
            failure_rates(paired([0.1, 0.2]).rename(columns={"dice": "hd95"}), metric="hd95")

    def test_shares_of_ones_and_zeros_are_clopper_pearsons(self):
        values = np.r_[np.ones(7), np.zeros(23)]
        expected = stats.binomtest(7, 30).proportion_ci(method="exact")
        found = share_interval(values, resamples=99_999)
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.004)


class TestWilcoxon:
    def test_agrees_with_scipy_without_ties(self):
        d = np.random.default_rng(1).normal(0.3, 1, 12)
        assert signed_rank_p(d) == pytest.approx(stats.wilcoxon(d, method="exact").pvalue)

    def test_zeros_are_split_not_dropped(self):
        d = np.r_[np.zeros(160), np.random.default_rng(2).uniform(0.1, 1, 20)]
        by = {m: stats.wilcoxon(d, zero_method=m, method="approx").pvalue for m in ("wilcox", "zsplit")}
        assert by["wilcox"] < 1e-3 < by["zsplit"]
        assert signed_rank_p(d) < 1e-3, "the flips are exact: 20 of 20 positive is no accident"

    def test_all_zero_is_one_and_rounding_splits_no_ties(self):
        assert signed_rank_p(np.zeros(9)) == 1.0
        d = np.array([0.9 - 0.8, 0.5 - 0.4, 0.2 - 0.3, 0.7 - 0.6])
        assert signed_rank_p(d) == signed_rank_p(np.array([0.1, 0.1, -0.1, 0.1]))

    def test_four_equal_drops_are_not_significant(self):
        found = wilcoxon_table(paired(np.full(4, 0.1))).iloc[0]
        assert found["p_wilcoxon"] == pytest.approx(0.125)
        assert found["role"].startswith("secondary")
        assert found["share_worse"] == 1.0

    def test_undefined_for_one_subject(self):
        assert math.isnan(wilcoxon_table(paired([0.1]))["p_wilcoxon"].iloc[0])


class TestMixedModel:
    def test_a_balanced_layout_gives_the_subject_means_answer(self):
        table, _, _ = clustered()
        found, ours = mixed_model(table).iloc[0], rb.effects(table).iloc[0]
        assert found["method"].startswith("mixed model")
        assert found["effect"] == pytest.approx(ours["effect"], abs=1e-6)
        assert (found["ci_low"], found["ci_high"]) == pytest.approx((ours["ci_low"], ours["ci_high"]), rel=0.02)

    def test_one_image_per_subject_falls_back_and_says_so(self):
        found = mixed_model(paired(np.random.default_rng(0).normal(0.1, 0.1, 20))).iloc[0]
        assert found["note"] == "one image per subject"
        assert found["method"].startswith("least squares")
        assert found["ci_low"] < found["effect"] < found["ci_high"]

    @pytest.mark.parametrize(("values", "subjects"), [(np.zeros(8), [0, 0, 1, 1, 2, 2, 3, 3]), ([0.1, 0.3], [0, 0])])
    def test_without_spread_or_subjects_there_is_no_interval(self, values, subjects):
        found = mixed_model(paired(values, subjects=subjects)).iloc[0]
        assert math.isnan(found["ci_low"])
        assert found["note"]


class TestEstimands:
    def test_both_are_shown_and_the_difference_is_flagged(self):
        owner = np.repeat([0, 1, 2, 3], [1, 1, 1, 27])
        found = estimands(paired(np.where(owner == 3, 0.3, 0.0), subjects=owner)).iloc[0]
        assert found["per_subject"] == pytest.approx(0.075)
        assert found["per_image"] == pytest.approx(0.27)
        assert found["differ"]
        assert found["note"]

    def test_equal_sizes_agree(self):
        table, _, _ = clustered()
        found = estimands(table).iloc[0]
        assert found["per_subject"] == pytest.approx(found["per_image"])
        assert not found["differ"]

    def test_margin_must_be_positive(self):
        with pytest.raises(InputError, match="margin"):
            estimands(paired([0.1, 0.2]), margin=0)


class TestUnpaired:
    def test_interval_is_welchs_on_subject_means(self):
        rng = np.random.default_rng(3)
        a, b = rng.normal(0.8, 0.05, 20), rng.normal(0.7, 0.15, 9)
        found = compare_unpaired(rows_of("clean", a), rows_of("clean", b).assign(dataset="e"))
        expected = stats.ttest_ind(a, b, equal_var=False).confidence_interval()
        assert (found.ci_low, found.ci_high) == pytest.approx((expected.low, expected.high))
        assert found.p_value == pytest.approx(stats.ttest_ind(a, b, equal_var=False).pvalue, abs=0.03)

    def test_images_of_a_subject_are_averaged_first(self):
        a = rows_of("clean", [0.5, 0.7, 0.9], subjects=[0, 0, 1])
        b = rows_of("clean", [0.5, 0.5]).assign(dataset="e")
        found = compare_unpaired(a, b)
        assert (found.first_mean, found.n_first) == (pytest.approx(0.75), 2)

    @pytest.mark.slow
    def test_null_groups_of_unequal_size_and_spread_hold_the_level(self):
        rng = np.random.default_rng(4)
        runs = 150
        p = []
        for run in range(runs):
            a, b = rng.normal(0, 1, 8), rng.normal(0, 3, 24)
            one, other = rows_of("clean", a), rows_of("clean", b).assign(dataset="e")
            p.append(compare_unpaired(one, other, resamples=299, seed=run).p_value)
        assert (np.array(p) < 0.05).mean() <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)

    def test_equal_constants_are_no_difference(self):
        one, other = rows_of("clean", [0.5] * 4), rows_of("clean", [0.5] * 5).assign(dataset="e")
        assert compare_unpaired(one, other).p_value == 1.0

    def test_shared_subjects_are_refused(self):
        with pytest.raises(InputError, match="in both tables"):
            compare_unpaired(rows_of("clean", [0.5, 0.6]), rows_of("clean", [0.5, 0.6]))


class TestInteraction:
    @staticmethod
    def grid(extra, n=12):
        rng = np.random.default_rng(5)
        a, b = rng.uniform(0, 0.1, n), rng.uniform(0, 0.1, n)
        return pd.concat(
            [
                rows_of("clean", np.full(n, 0.9)),
                rows_of("image:blur@2", 0.9 - a),
                rows_of("antonym:size", 0.9 - b),
                rows_of("image:blur@2+antonym:size", 0.9 - a - b - extra),
            ]
        )

    def test_effects_that_add_up_have_none(self):
        found = interactions(self.grid(0.0)).iloc[0]
        assert found["interaction"] == pytest.approx(0.0, abs=1e-12)

    def test_what_exceeds_the_sum_is_found(self):
        found = interactions(self.grid(0.2)).iloc[0]
        assert found["interaction"] == pytest.approx(0.2)
        assert found["p_adjusted"] < 0.05
        assert found["joint_effect"] == pytest.approx(found["sum_of_effects"] + 0.2)

    def test_a_missing_single_condition_is_told(self):
        found = interactions(self.grid(0.2).query("condition != 'antonym:size'")).iloc[0]
        assert found["note"] == "no rows of antonym:size alone"
        assert math.isnan(found["interaction"])


class TestModels:
    @staticmethod
    def models(gaps, n=30, sd=0.08, seed=6):
        rng = np.random.default_rng(seed)
        base = rng.uniform(0.5, 0.9, n)
        parts = [rows_of("clean", base + g + sd * rng.normal(size=n)).assign(model=f"m{i}") for i, g in enumerate(gaps)]
        return pd.concat(parts)

    def test_friedman_is_scipys_and_survives_ties(self):
        values = np.random.default_rng(7).normal(size=(15, 4))
        assert friedman_p(values) == pytest.approx(stats.friedmanchisquare(*values.T).pvalue)
        assert friedman_p(np.ones((15, 4))) == 1.0

    def test_pairs_are_ordered_and_adjusted(self):
        found = compare_models(self.models([0.0, 0.1, 0.2]))
        assert len(found) == 3
        best = found.set_index(["better", "worse"])
        assert best.loc[("m2", "m0"), "difference"] == pytest.approx(0.2, abs=0.06)
        assert (found["p_adjusted"] >= found["p_value"]).all()
        assert (found["difference"] >= 0).all()
        assert found["friedman_p"].nunique() == 1

    def test_a_pair_does_not_depend_on_the_other_models(self):
        three = self.models([0.0, 0.1, 0.2])
        two = three.query("model != 'm1'")
        pick = lambda frame: frame.set_index(["better", "worse"]).loc[("m2", "m0"), "p_value"]  # noqa: E731
        assert pick(compare_models(three)) == pick(compare_models(two))

    def test_less_is_better_turns_the_order(self):
        table = self.models([0.0, 0.5]).rename(columns={"dice": "hd95"})
        assert compare_models(table, metric="hd95")["better"].iloc[0] == "m0"

    def test_subjects_that_a_model_lacks_are_left_out_for_all(self):
        table = self.models([0.0, 0.1]).query("not (model == 'm1' and subject_id < 's00005')")
        assert compare_models(table)["n_subjects"].iloc[0] == 25

    def test_a_clear_order_is_stable_and_a_tie_is_not(self):
        clear = rank_stability(self.models([0.0, 0.2, 0.4], sd=0.02))
        assert clear["model"].tolist() == ["m2", "m1", "m0"]
        assert clear["p_top"].iloc[0] == 1.0
        assert (clear["kendall_tau"] == 1.0).all()
        assert (clear["rank_low"] == clear["rank_high"]).all()
        tied = rank_stability(self.models([0.0, 0.0, 0.0]))
        assert tied["p_top"].sum() == pytest.approx(1.0)
        assert tied["p_top"].max() < 0.99
        assert tied["kendall_tau"].iloc[0] < 0.9

    def test_one_model_is_refused(self):
        with pytest.raises(InputError, match="at least two models"):
            compare_models(self.models([0.0]))


@pytest.mark.parametrize("shape", [(3,), (5, 4)])
def test_ranks_are_those_of_scipy_ties_and_unknown_values_included(shape):
    rng = np.random.default_rng(0)
    for _ in range(50):
        values = rng.integers(0, 4, shape).astype(float)
        values[rng.random(shape) < 0.05] = np.nan
        np.testing.assert_array_equal(_ranks(values), stats.rankdata(values, axis=-1))


def rows(model: str, dataset: str, values: np.ndarray) -> pd.DataFrame:
    subjects = [f"{dataset}{i}" for i in range(len(values))]
    return pd.DataFrame(
        {
            "model": model,
            "dataset": dataset,
            "case_id": subjects,
            "subject_id": subjects,
            "condition": "clean",
            "dice": values,
        }
    )


def table(seed: int = 0, gap: float = 0.2) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    sets = {"home": (0.8, 30), "near": (0.8, 20), "far": (0.8 - gap, 25)}
    return pd.concat([rows("m", name, rng.normal(mean, 0.05, n)) for name, (mean, n) in sets.items()])


def test_losses_are_welchs_and_retention_is_the_ratio_of_means() -> None:
    data = table()
    found = transfer(data, {"m": ["home"]}, resamples=999).set_index("dataset")
    assert list(transfer(data, {}, resamples=99).columns) == list(COLUMNS)
    home, far = (data[data["dataset"] == name]["dice"].to_numpy() for name in ("home", "far"))
    welch = stats.ttest_ind(home, far, equal_var=False).confidence_interval()
    row = found.loc["far"]
    assert row["loss"] == pytest.approx(home.mean() - far.mean())
    assert (row["loss_low"], row["loss_high"]) == pytest.approx((welch.low, welch.high))
    assert row["retention"] == pytest.approx(far.mean() / home.mean())
    assert row["retention_low"] < row["retention"] < row["retention_high"] < 1
    assert row["p_adjusted"] == pytest.approx(2 * row["p_value"])
    assert found.loc["near", "p_adjusted"] == found.loc["near", "p_value"] > row["p_adjusted"]
    assert found.loc["home", "own"]
    assert math.isnan(found.loc["home", "loss"])


@pytest.mark.slow
def test_retention_covers_its_true_value() -> None:
    held, runs = 0, 400
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        here, own = rng.normal(0.6, 0.1, 12), rng.normal(0.8, 0.05, 20)
        found = unpaired_retention(here, own, alpha=0.05, resamples=999, seed=0)
        held += found.low <= 0.75 <= found.high
    # Three standard errors below 95%.
    assert held >= runs * (0.95 - 3 * (0.95 * 0.05 / runs) ** 0.5)


@pytest.mark.parametrize(
    ("known", "note"), [({}, "finetuned on unknown data"), ({"m": ["elsewhere"]}, "own data not tested")]
)
def test_without_its_own_data_nothing_is_compared(known: dict[str, list[str]], note: str) -> None:
    found = transfer(table(), known, resamples=99)
    assert set(found["note"]) == {note}
    assert found["loss"].isna().all()
    assert found["mean"].notna().all()


def test_few_units_give_means_without_intervals() -> None:
    data = pd.concat([rows("m", "home", np.array([0.8])), rows("m", "far", np.array([0.5, 0.6]))])
    row = transfer(data, {"m": ["home"]}, resamples=99).set_index("dataset").loc["far"]
    assert row["loss"] == pytest.approx(0.25)
    assert math.isnan(row["loss_low"])
    assert math.isnan(row["retention_low"])


def test_a_metric_of_which_less_is_better_is_refused() -> None:
    with pytest.raises(InputError, match="expected one of which more is better"):
        transfer(table().assign(hd95=1.0), {}, metric="hd95")
