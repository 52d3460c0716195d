"""Paired effects: orientation, pairing, subjects, families, and the traps that hide in them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import robustness as rb
from robustness.errors import InputError
from robustness.results import EFFECT_COLUMNS
from tests.metrics.tables import paired, rows_of

NOISE = "image:gaussian_noise@1"


def only(frame: pd.DataFrame) -> pd.Series:
    assert len(frame) == 1
    return frame.iloc[0]


def random_table(seed=0, subjects=8, images=3, conditions=4):
    rng = np.random.default_rng(seed)
    owner = np.repeat(np.arange(subjects), images)
    parts = [rows_of("clean", rng.uniform(0.6, 0.9, owner.size), subjects=owner)]
    for i in range(conditions):
        parts.append(rows_of(f"image:blur@{i + 1}", rng.uniform(0.5, 0.9, owner.size), subjects=owner))
    return pd.concat(parts, ignore_index=True)


class TestContract:
    def test_columns_are_those_of_the_results_module(self):
        assert tuple(rb.effects(random_table()).columns) == EFFECT_COLUMNS

    def test_case_id_condition_and_the_metric_are_enough(self):
        table = random_table()[["case_id", "condition", "dice"]]
        with pytest.warns(UserWarning, match="subject_id is missing for 24 of 24 cases"):
            found = rb.effects(table)
        assert (found["n_subjects"] == 24).all()
        assert (found["model"] == "").all()

    def test_the_order_of_rows_does_not_matter(self):
        table = random_table()
        shuffled = table.sample(frac=1, random_state=1)
        pd.testing.assert_frame_equal(rb.effects(table), rb.effects(shuffled), rtol=1e-12)

    def test_the_table_is_left_alone(self):
        table = random_table()
        before = table.copy(deep=True)
        rb.effects(table)
        pd.testing.assert_frame_equal(table, before)

    def test_a_table_read_from_csv_gives_the_same(self, tmp_path):
        table = random_table()
        table.to_csv(tmp_path / "t.csv", index=False)
        pd.testing.assert_frame_equal(rb.effects(table), rb.effects(pd.read_csv(tmp_path / "t.csv")))

    def test_several_metrics_give_one_row_each(self):
        table = random_table(conditions=2).assign(iou=0.5)
        found = rb.effects(table, metric=["dice", "iou"])
        assert found["metric"].tolist() == ["dice"] * 2 + ["iou"] * 2

    def test_an_empty_table_gives_an_empty_frame(self):
        assert len(rb.effects(random_table().iloc[:0])) == 0

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"metric": "dise"}, "did you mean 'dice'"),
            ({"alpha": 0}, "alpha"),
            ({"correction": "fdr"}, "max-t, holm, bh, none"),
            ({"weighting": "case"}, "subject, image"),
            ({"resamples": 0}, "resamples"),
        ],
    )
    def test_bad_options_are_refused(self, options, said):
        with pytest.raises(InputError, match=said):
            rb.effects(random_table(), **options)

    @pytest.mark.parametrize("column", ["case_id", "condition"])
    def test_a_missing_key_column_is_named(self, column):
        with pytest.raises(InputError, match=column):
            rb.effects(random_table().drop(columns=column))

    def test_a_case_with_two_subjects_is_refused(self):
        table = random_table()
        table.loc[0, "subject_id"] = "someone else"
        with pytest.raises(InputError, match="c00000"):
            rb.effects(table)


class TestOrientation:
    @pytest.mark.parametrize(
        ("metric", "effect"), [("dice", 0.1), ("iou", 0.1), ("hd95", -0.1), ("assd", -0.1), ("area_fraction", -0.1)]
    )
    def test_positive_means_worse(self, metric, effect):
        table = paired(np.full(5, 0.1)).rename(columns={"dice": metric})
        assert only(rb.effects(table, metric=metric))["effect"] == pytest.approx(effect)

    def test_mask_change_is_its_own_effect_and_needs_no_clean_value(self):
        table = pd.concat([rows_of("clean", np.full(4, np.nan)), rows_of(NOISE, np.array([0.1, 0.2, 0.3, 0.4]))])
        found = only(rb.effects(table.rename(columns={"dice": "mask_change"}), metric="mask_change"))
        assert found["effect"] == found["perturbed_mean"] == pytest.approx(0.25)
        assert found["clean_mean"] == 0.0

    def test_a_column_of_ones_own_needs_a_direction(self):
        table = paired(np.full(5, 0.1)).rename(columns={"dice": "volume_error"})
        with pytest.raises(InputError, match="higher_is_better"):
            rb.effects(table, metric="volume_error")
        found = rb.effects(table, metric="volume_error", higher_is_better={"volume_error": False})
        assert only(found)["effect"] == pytest.approx(-0.1)


class TestPairing:
    def test_texts_pair_by_prompt_index(self):
        clean = pd.concat([rows_of("clean", [0.9, 0.9]), rows_of("clean", [0.5, 0.5], prompt_index=1)])
        swapped = pd.concat([rows_of("drop:size", [0.8, 0.8]), rows_of("drop:size", [0.2, 0.2], prompt_index=1)])
        found = only(rb.effects(pd.concat([clean, swapped])))
        assert found["effect"] == pytest.approx((0.1 + 0.3) / 2)
        assert (found["n_images"], found["n_subjects"]) == (2, 2)

    def test_a_text_without_a_clean_twin_pairs_with_the_first(self):
        swapped = rows_of("drop:size", [0.6, 0.6], prompt_index=7)
        assert only(rb.effects(pd.concat([rows_of("clean", [0.9, 0.9]), swapped])))["effect"] == pytest.approx(0.3)

    def test_paraphrases_pair_with_the_first_text_although_theirs_exists(self):
        clean = pd.concat([rows_of("clean", [0.9, 0.9]), rows_of("clean", [0.1, 0.1], prompt_index=1)])
        reworded = rows_of("paraphrase", [0.8, 0.8], prompt_index=1)
        assert only(rb.effects(pd.concat([clean, reworded])))["effect"] == pytest.approx(0.1)

    def test_clean_rows_repeated_per_kind_count_once(self):
        clean = [rows_of("clean", [0.9, 0.7], attribute=kind) for kind in ("size", "location")]
        changed = rows_of(NOISE, [0.8, 0.5])
        once = rb.effects(pd.concat([clean[0], changed]))
        pd.testing.assert_frame_equal(rb.effects(pd.concat([*clean, changed])), once)

    def test_models_datasets_and_splits_do_not_mix(self):
        tables = [
            paired(np.full(3, d)).assign(**key)
            for d, key in [(0.1, {"model": "a"}), (0.2, {"model": "b"}), (0.3, {"dataset": "e"})]
        ]
        found = rb.effects(pd.concat(tables)).set_index(["model", "dataset"])["effect"]
        assert found["a", "d"] == pytest.approx(0.1)
        assert found["b", "d"] == pytest.approx(0.2)
        assert found["m", "e"] == pytest.approx(0.3)
        other_split = pd.concat([rows_of("clean", [0.9]), rows_of(NOISE, [0.5], split="val")])
        assert only(rb.effects(other_split))["n_flagged"] == 1

    def test_rows_are_used_or_flagged_and_none_is_lost(self):
        changed = rows_of(NOISE, [0.8, 0.7, 0.6, np.nan, np.inf, 0.5])
        changed.loc[1, "applicable"] = False
        changed.loc[2, "error"] = "unreadable"
        changed.loc[5, "case_id"] = "no clean twin"
        found = only(rb.effects(pd.concat([rows_of("clean", np.full(6, 0.9)), changed], ignore_index=True)))
        assert (found["n_images"], found["n_flagged"]) == (1, 5)
        assert found["effect"] == pytest.approx(0.1)

    def test_images_are_averaged_within_subjects_first(self):
        table = paired([0.1, 0.1, 0.1, 0.5], subjects=[0, 0, 0, 1])
        assert only(rb.effects(table))["effect"] == pytest.approx(0.3)
        assert only(rb.effects(table, weighting="image"))["effect"] == pytest.approx(0.2)

    def test_weightings_agree_where_subjects_have_as_many_images(self):
        table = random_table(subjects=12)
        one, other = (rb.effects(table, weighting=w).drop(columns="ci_method") for w in ("subject", "image"))
        pd.testing.assert_frame_equal(one, other, rtol=1e-9)


class TestOracles:
    def test_interval_is_scipys_on_subject_means(self):
        table = random_table()
        wide = table.pivot(index=["subject_id", "case_id"], columns="condition", values="dice")
        d = (wide["clean"] - wide["image:blur@1"]).groupby("subject_id").mean()
        expected = stats.t.interval(0.95, len(d) - 1, loc=d.mean(), scale=stats.sem(d))
        found = rb.effects(table).set_index("condition").loc["image:blur@1"]
        assert (found["ci_low"], found["ci_high"]) == pytest.approx(expected)

    def test_p_is_scipys_exact_permutation_p_for_few_subjects(self):
        d = np.random.default_rng(4).normal(0.05, 0.1, 9)
        exact = stats.permutation_test((d,), np.mean, permutation_type="samples", n_resamples=np.inf)
        found = only(rb.effects(paired(d)))
        assert found["p_value"] == pytest.approx(exact.pvalue, abs=1e-12)
        assert found["p_adjusted"] == found["p_value"]

    def test_p_is_close_to_the_t_test_for_many_subjects(self):
        d = np.random.default_rng(5).normal(0.02, 0.1, 80)
        assert only(rb.effects(paired(d)))["p_value"] == pytest.approx(stats.ttest_1samp(d, 0).pvalue, abs=0.01)

    def test_seed_decides_the_flips(self):
        table = paired(np.random.default_rng(5).normal(0.02, 0.1, 40))
        p = [only(rb.effects(table, seed=s, resamples=499))["p_value"] for s in (0, 0, 1)]
        assert p[0] == p[1] != p[2]


class TestFamily:
    def test_max_t_holds_the_family_error_and_never_lowers_p(self):
        found = rb.effects(random_table(conditions=12))
        assert (found["p_adjusted"] >= found["p_value"]).all()
        assert (found["family_size"] == 12).all()

    def test_identical_conditions_cost_nothing_under_max_t_but_do_under_holm(self):
        half = np.random.default_rng(6).normal(0.0, 0.1, 15)
        table = paired(0.06 + np.r_[half, -half])
        changed = table[table["condition"] == NOISE]
        copies = [changed.assign(condition=f"image:copy{i}@1") for i in range(9)]
        family = pd.concat([table, *copies])
        assert (rb.effects(family)["p_adjusted"] == only(rb.effects(table))["p_value"]).all()
        assert (rb.effects(family, correction="holm")["p_adjusted"] > 5 * only(rb.effects(table))["p_value"]).all()

    @pytest.mark.slow
    @pytest.mark.parametrize(("ours", "theirs"), [("holm", "holm"), ("bh", "fdr_bh")])
    def test_stepwise_corrections_agree_with_statsmodels(self, ours, theirs):
        from statsmodels.stats.multitest import multipletests

        found = rb.effects(random_table(conditions=12), correction=ours)
        assert np.allclose(found["p_adjusted"], multipletests(found["p_value"], method=theirs)[1])

    def test_rerun_has_its_row_but_is_not_of_the_family(self):
        table = random_table(conditions=3)
        rerun = table[table["condition"] == "clean"].assign(condition="rerun")
        found = rb.effects(pd.concat([table, rerun])).set_index("condition")
        pd.testing.assert_frame_equal(found.drop(index="rerun"), rb.effects(table).set_index("condition"))
        assert found.loc["rerun", "effect"] == 0.0
        assert found.loc["rerun", "family_size"] == 1

    def test_a_condition_with_two_subjects_does_not_drown_the_others(self):
        rng = np.random.default_rng(7)
        table = paired(rng.normal(0.08, 0.1, 30))
        alone = only(rb.effects(table))["p_adjusted"]
        tiny = [rows_of(f"image:tiny{i}@1", [0.7, 0.7]) for i in range(20)]
        found = rb.effects(pd.concat([table, *tiny])).set_index("condition")
        assert found.loc[NOISE, "p_adjusted"] < alone + 0.02
        assert found.loc["image:tiny0@1", "p_value"] == pytest.approx(0.5, abs=0.02)


class TestTraps:
    """The traps of table 1.2 of the statistics specification, by name."""

    def test_all_zero_differences(self):
        found = only(rb.effects(paired(np.zeros(12))))
        assert found["p_value"] == found["p_adjusted"] == 1.0
        assert found[["effect", "dz", "rank_biserial"]].tolist() == [0.0] * 3
        # No spread seen is not no spread: 12 subjects leave up to 1 - 0.025^(1 / 12) of others unseen.
        unseen = 1 - 0.025 ** (1 / 12)
        assert found[["ci_low", "ci_high"]].tolist() == pytest.approx([-unseen, unseen])
        assert found["ci_method"] == "no spread seen: distribution-free"
        assert np.isnan(found["icc"])
        assert np.isnan(found["mde"])

    @pytest.mark.parametrize("loss", [10.0, 0.5])
    def test_percentages_take_no_ends_of_a_ratio(self, loss):
        """Twelve losses of 10 on a scale of 100 had the interval [7.1, 7.6]."""
        found = only(rb.effects(paired(np.full(12, loss), clean=90.0)))
        assert found["effect"] == pytest.approx(loss)
        assert (found["ci_low"], found["ci_high"]) == (pytest.approx(loss), pytest.approx(loss))
        assert found["ci_method"] == "t on subject means"

    def test_constant_difference(self):
        found = only(rb.effects(paired(np.full(3, 0.02))))
        assert found["p_value"] == pytest.approx(0.25), "three subjects cannot give the t test's 1e-31"
        assert found["ci_low"] < found["effect"] == pytest.approx(0.02)
        assert np.isnan(found["dz"])
        assert found["rank_biserial"] == 1.0

    @pytest.mark.parametrize("correction", ["max-t", "holm", "bh"])
    def test_one_undefined_condition_leaves_the_rest_of_the_family_as_it_is(self, correction):
        table = random_table()
        broken = table[table["condition"] == "image:blur@1"].assign(condition="image:broken@1", dice=np.nan)
        found = rb.effects(pd.concat([table, broken]), correction=correction).set_index("condition")
        expected = rb.effects(table, correction=correction).set_index("condition")
        pd.testing.assert_frame_equal(found.drop(index="image:broken@1"), expected)
        row = found.loc["image:broken@1"]
        assert (row["n_images"], row["n_subjects"], row["n_flagged"]) == (0, 0, 24)
        assert np.isnan(row["p_adjusted"])

    def test_missing_subjects_are_kept_as_their_own(self):
        table = paired([0.1, 0.2, 0.3, 0.4], subjects=[0, 0, 1, 1])
        table.loc[table["case_id"] == "c00003", "subject_id"] = None
        with pytest.warns(UserWarning, match="1 of 4 cases"):
            found = only(rb.effects(table))
        assert (found["n_images"], found["n_subjects"], found["n_flagged"]) == (4, 3, 0)
        assert found["effect"] == pytest.approx((0.15 + 0.3 + 0.4) / 3)

    def test_a_subject_known_in_one_row_is_known_in_all(self):
        table = paired([0.1, 0.2, 0.3], subjects=[0, 0, 1])
        table.loc[table["condition"] == NOISE, "subject_id"] = ""
        assert only(rb.effects(table))["n_subjects"] == 2

    def test_one_subject_gives_no_interval(self):
        found = only(rb.effects(paired([0.1, 0.2], subjects=[0, 0])))
        assert found["effect"] == pytest.approx(0.15)
        assert found[["ci_low", "ci_high", "p_value", "p_adjusted", "dz", "icc", "mde"]].isna().all()
        assert found["ci_method"] == "none: fewer than 2 subjects"

    def test_five_subjects_are_never_significant(self):
        found = only(rb.effects(paired([0.2, 0.21, 0.19, 0.2, 0.22])))
        assert found["p_value"] == pytest.approx(0.0625)

    def test_infinite_distances_on_both_sides_are_flagged(self):
        table = paired(np.full(4, 0.1)).rename(columns={"dice": "hd95"})
        table.loc[[0, 4], "hd95"] = np.inf
        found = only(rb.effects(table, metric="hd95"))
        assert (found["n_images"], found["n_flagged"]) == (3, 1)

    def test_failures_without_any_discordant_pair_are_no_evidence(self):
        table = paired(np.zeros(20)).rename(columns={"dice": "failed"})
        found = only(rb.effects(table, metric="failed", higher_is_better={"failed": False}))
        assert found["p_value"] == 1.0, "McNemar's chi-square gives 0 for b = c = 0"


@pytest.mark.slow
@pytest.mark.parametrize(("shape", "naive_above"), [("gauss", 0.2), ("ties", 0.12), ("ceiling", 0.1)])
def test_type_one_error_is_nominal_where_the_naive_test_is_not(shape, naive_above):
    """30 patients, 6 images, ICC 0.5: 400 null data sets as conditions of one table, correction none."""
    rng = np.random.default_rng(2026)
    runs, patients, images = 400, 30, 6
    owner = np.repeat(np.arange(patients), images)
    d = np.sqrt(0.5) * rng.normal(size=(runs, patients))[:, owner] + np.sqrt(0.5) * rng.normal(size=(runs, owner.size))
    clean = np.full(owner.size, 0.8)
    if shape == "ties":
        d = np.where(rng.random(d.shape) < 0.5, 0.0, d)
    scores = clean + 0.1 * d
    if shape == "ceiling":
        logit = 2 * d + 4
        scores = np.minimum(1 / (1 + np.exp(-logit)), 0.98)
        reference = np.minimum(1 / (1 + np.exp(-(2 * d[::-1] + 4))), 0.98)
        scores = clean + scores - reference
    parts = [rows_of("clean", clean, subjects=owner)]
    parts += [rows_of(f"image:null{i}@1", scores[i], subjects=owner) for i in range(runs)]
    found = rb.effects(pd.concat(parts), correction="none", resamples=999)
    naive = stats.ttest_1samp(scores - clean, 0, axis=1).pvalue
    assert (naive < 0.05).mean() > naive_above
    # Four standard errors of a 5% rate at 400 runs; the runs are fixed by the seed.
    assert (found["p_value"] < 0.05).mean() == pytest.approx(0.05, abs=4 * np.sqrt(0.05 * 0.95 / runs))
    covered = (found["ci_low"] <= 0) & (found["ci_high"] >= 0)
    assert covered.mean() == pytest.approx(0.95, abs=4 * np.sqrt(0.05 * 0.95 / runs))
