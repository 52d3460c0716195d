"""Traps that common tools fall into, by name; those of paired effects are in test_effects.py (TestTraps)."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import robustness as rb
from robustness.metrics.analyses.models import compare_models
from robustness.metrics.analyses.secondary import mixed_model, wilcoxon_table
from robustness.metrics.inference.bootstrap import cluster_bootstrap
from robustness.metrics.inference.effect_size import hedges_dz, rank_biserial
from robustness.metrics.inference.upper_bound import gaffke_bound
from robustness.metrics.scores.masks import mask_metrics
from tests.metrics.tables import battery, paired, rows_of


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
