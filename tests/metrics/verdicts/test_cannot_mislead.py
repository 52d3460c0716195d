"""Verdicts that cannot mislead: each fault that was shown with a known truth, by its number, with the right answer."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pandas as pd
import pytest

import robustness as rb
from robustness.errors import InputError
from robustness.metrics.inference.planning import subjects_to_decide
from tests.metrics.tables import battery, paired, rows_of

IMAGE = "image:gaussian_noise@1"


def one(table, claim="robustness", **options):
    found = rb.verdicts(table, **options)
    return found[found["claim"] == claim].iloc[0]


def shares(draw, runs, **options):
    """How often each verdict is given over drawn samples, all runs in one table."""
    tables = [draw(np.random.default_rng(run)).assign(dataset=f"run {run}") for run in range(runs)]
    found = rb.verdicts(pd.concat(tables, ignore_index=True), resamples=199, **options)
    return found


class TestItem1Collapse:
    def test_two_patients_are_never_robust(self):
        found = one(paired([0.0, 0.0], clean=0.9))
        assert found["verdict"] == "UNTESTABLE"
        assert "2 subjects, fewer than 10: described, not judged" in found["sentence"]

    @pytest.mark.slow
    @pytest.mark.parametrize("n", [12, 20, 30, 60])
    @pytest.mark.parametrize(("body", "collapse", "share"), [(0.0, 1.0, 0.1), (0.05, 1.0, 0.05), (0.0, 0.625, 0.16)])
    def test_a_collapse_that_is_not_seen_is_not_certified_absent(self, n, body, collapse, share):
        def draw(rng):
            return paired(np.where(rng.random(n) < share, collapse, body), clean=1.0)

        verdict = shares(draw, 60)["verdict"]
        assert (verdict == "ROBUST").mean() <= 0.05 + 3 * (0.05 * 0.95 / 60) ** 0.5

    def test_robust_star_says_how_many_could_collapse_and_what_certifies(self):
        found = one(paired(np.zeros(20)), unit="patient")
        assert (found["verdict"], found["certified"], found["n_needed"]) == ("ROBUST*", False, 29)
        assert (
            "up to 13.9% of patients could collapse (95% bound, K = 20); certification needs about 29 patients"
            in found["sentence"]
        )

    def test_enough_patients_certify(self):
        assert one(paired(np.zeros(29)))["verdict"] == "ROBUST"


class TestItem2Floor:
    @pytest.mark.parametrize("clean", [0.05, 0.108])
    def test_what_scores_nothing_is_not_robust(self, clean):
        rng = np.random.default_rng(0)
        found = one(paired(np.zeros(40), clean=0.0).assign(dice=np.tile(rng.normal(clean, 0.05, 40).clip(0, 1), 2)))
        assert found["verdict"] == "UNTESTABLE"
        assert "is not shown above the margin 0.1" in found["sentence"]

    def test_empty_references_carry_no_claim(self):
        table = paired(np.zeros(40), clean=1.0).assign(both_empty=True)
        found = one(table)
        assert found["verdict"] == "UNTESTABLE"
        assert "is not shown above that of an empty mask, 1.000" in found["sentence"]

    def test_a_mask_of_the_whole_image_is_a_floor(self):
        table = paired(np.zeros(40), clean=0.66).assign(reference_fraction=0.5)
        assert "that of a mask of the whole image, 0.667" in one(table)["sentence"]
        assert one(table.assign(reference_fraction=0.1))["verdict"] == "ROBUST"

    @pytest.mark.parametrize("condition", ["shuffled", "wrong_class"])
    def test_the_models_own_score_for_something_else_is_a_floor(self, condition):
        rng = np.random.default_rng(1)
        same = rows_of(condition, 0.8 + rng.normal(0, 0.02, 40))
        worse = rows_of(condition, 0.3 + rng.normal(0, 0.02, 40))
        found = one(pd.concat([paired(np.zeros(40)), same]))
        assert found["verdict"] == "UNTESTABLE"
        assert f"the model's own under {condition} prompts" in found["sentence"]
        assert one(pd.concat([paired(np.zeros(40)), worse]))["verdict"] == "ROBUST"


class TestItem3Missing:
    @pytest.mark.parametrize("lost", ["nan", "error", "absent"])
    def test_half_of_the_rows_missing_is_not_robust(self, lost):
        table = paired(np.zeros(60))
        late = (table["condition"] == IMAGE) & (table["case_id"] >= "c00030")
        if lost == "nan":
            table.loc[late, "dice"] = np.nan
        elif lost == "error":
            table.loc[late, "error"] = "out of memory"
        else:
            table = table[~late]
        found = one(table, unit="patient")
        assert (found["verdict"], found["n_missing"], found["n_subjects"]) == ("INCONCLUSIVE", 30, 30)
        assert "n = 30 of 60 patients, 30 images missing" in found["sentence"]
        assert "50% of the cases are missing" in found["rule"]

    def test_a_small_share_is_stated_and_costs_the_certificate_alone(self):
        table = paired(np.zeros(60))
        table.loc[(table["condition"] == IMAGE) & (table["case_id"] >= "c00058"), "dice"] = np.nan
        found = one(table, unit="patient")
        assert (found["verdict"], found["n_missing"]) == ("ROBUST*", 2)
        assert "n = 58 of 60 patients" in found["sentence"]

    def test_a_distance_that_is_infinite_for_missed_objects_is_not_robust(self):
        clean = rows_of("clean", np.full(30, 3.0), metric="hd95")
        changed = rows_of(IMAGE, np.where(np.arange(30) < 10, np.inf, 3.5), metric="hd95")
        found = one(pd.concat([clean, changed]), margins={"hd95": 2.0})
        assert (found["verdict"], found["n_missing"]) == ("INCONCLUSIVE", 10)

    def test_what_does_not_apply_is_not_missing(self):
        table = paired(np.zeros(60))
        table.loc[(table["condition"] == IMAGE) & (table["case_id"] >= "c00030"), ["applicable", "dice"]] = [
            False,
            np.nan,
        ]
        found = one(table)
        assert (found["verdict"], found["n_missing"]) == ("ROBUST", 0)

    @pytest.mark.parametrize("known", [2, 40])
    def test_a_paraphrase_baseline_of_some_patients_gives_no_reacts(self, known):
        parts = [
            rows_of("clean", np.zeros(80), metric="mask_change"),
            rows_of("antonym:size", np.full(80, 0.3), metric="mask_change"),
            rows_of("paraphrase", np.zeros(80), metric="mask_change").iloc[:known],
        ]
        found = one(pd.concat(parts), "prompt")
        assert found["verdict"] == "INCONCLUSIVE"


class TestItem4Family:
    @pytest.mark.slow
    @pytest.mark.parametrize("claims", [10])
    def test_any_false_follows_stays_below_alpha(self, claims):
        def draw(rng):
            parts = []
            for i in range(claims):
                gain = np.clip(rng.normal(0.1, 0.1, 25), -0.2, 0.4)
                base = {"other_case_id": f"o{i}", "attribute": f"k{i}"}
                parts.append(rows_of("clean", np.full(25, 0.5), dice_other=0.2, **base))
                parts.append(rows_of(f"other:k{i}", 0.5 - gain, dice_other=0.2 + gain, **base))
            return pd.concat(parts, ignore_index=True)

        found = shares(draw, 15)
        any_false = found.groupby("dataset")["verdict"].apply(lambda v: v.str.startswith("FOLLOWS").any())
        assert any_false.mean() <= 0.05 + 3 * (0.05 * 0.95 / 15) ** 0.5


class TestItem5FewPatients:
    @pytest.mark.parametrize("n", [2, 3, 5, 9])
    def test_below_ten_patients_nothing_is_judged(self, n):
        found = rb.verdicts(battery("wrong", n), unit="patient")
        assert (found["verdict"] == "UNTESTABLE").all()
        assert found["sentence"].str.contains(f"{n} patients, fewer than 10: described, not judged").all()
        assert found["estimate"].notna().all()

    def test_the_limit_is_a_choice_down_to_six(self):
        assert (rb.verdicts(battery("wrong", 6), min_subjects=6)["verdict"] != "UNTESTABLE").all()
        with pytest.raises(InputError, match="min_subjects: expected at least 6, got 5"):
            rb.verdicts(battery("wrong", 6), min_subjects=5)


class TestItem6OnTheMargin:
    def test_a_mean_on_the_margin_up_to_rounding_is_no_crash(self):
        assert subjects_to_decide(np.array([0.3, 0, 0, 0, 0, 0]), 0.05, alpha=0.05) is None
        changes = np.r_[0.3, np.zeros(5)]
        table = pd.concat(
            [
                rows_of("clean", np.zeros(12), metric="mask_change"),
                rows_of(IMAGE, np.tile(changes, 2), metric="mask_change"),
            ]
        )
        found = one(table)
        assert found["verdict"] == "INCONCLUSIVE"
        assert pd.isna(found["n_needed"])

    @pytest.mark.slow
    def test_random_tables_never_crash(self):
        for seed in range(40):
            rng = np.random.default_rng(seed)
            assert len(rb.verdicts(paired(rng.choice([0.0, 0.1, 0.2], 12), clean=0.9), resamples=99))


class TestItem7Needed:
    def test_the_number_names_its_verdict_and_is_within_reach(self):
        rng = np.random.default_rng(3)
        found = one(paired(rng.normal(0.07, 0.1, 20)))
        assert found["verdict"] == "INCONCLUSIVE"
        assert 20 < found["n_needed"] <= 200
        assert f"about {found['n_needed']} subjects would decide (ROBUST*)" in found["sentence"]

    def test_none_beyond_ten_times_the_sample(self):
        values = np.random.default_rng(0).normal(0, 0.1, 30)
        found = one(paired(values - values.mean() + 0.0995))
        assert pd.isna(found["n_needed"])
        assert "too near the margin for up to 10 x 30 to decide" in found["sentence"]

    def test_none_where_rerun_noise_holds_the_verdict_back(self):
        table = pd.concat(
            [
                rows_of("clean", np.zeros(30), metric="mask_change"),
                rows_of("rerun", np.full(30, 0.06), metric="mask_change"),
                rows_of(IMAGE, np.full(30, 0.3), metric="mask_change"),
            ]
        )
        found = one(table)
        assert found["verdict"] == "INCONCLUSIVE"
        assert pd.isna(found["n_needed"])
        assert "two identical runs differ by as much as the margin" in found["sentence"]


def rewording_moves_a_tenth(n):
    """Return a draw of n patients: an antonym moves every mask by 0.15, a paraphrase a tenth of them by everything."""

    def draw(rng):
        wording = (rng.random(n) < 0.1).astype(float)
        parts = [
            rows_of("clean", np.zeros(n)),
            rows_of("antonym:size", np.full(n, 0.15)),
            rows_of("paraphrase", wording),
        ]
        return pd.concat(parts).rename(columns={"dice": "mask_change"})

    return draw


class TestItem8LeftTails:
    @pytest.mark.slow
    @pytest.mark.parametrize("n", [12, 20, 30])
    def test_rewording_that_moves_a_tenth_gives_no_certified_reacts(self, n):
        found = shares(rewording_moves_a_tenth(n), 60)
        verdict = found[found["claim"] == "prompt"]["verdict"]
        assert (verdict == "REACTS").mean() <= 0.075

    @pytest.mark.slow
    @pytest.mark.parametrize("n", [12, 20, 30])
    def test_changes_that_cure_some_give_no_certified_fragile(self, n):
        def draw(rng):
            return paired(np.where(rng.random(n) < 0.09, -0.3, 0.14), clean=0.6)

        assert (shares(draw, 60)["verdict"] == "FRAGILE").mean() <= 0.075

    @pytest.mark.parametrize("n", [20, 30, 60])
    @pytest.mark.parametrize(("collapse", "share", "body"), [(1.0, 0.1, 0.0), (1.0, 0.05, 0.05), (0.625, 0.16, 0.0)])
    def test_intervals_of_zero_inflated_effects_cover(self, n, collapse, share, body):
        rng, held = np.random.default_rng(5), 0
        truth = share * collapse + (1 - share) * body
        from robustness.metrics.inference.mean_interval import mean_interval

        for _ in range(250):
            values = np.where(rng.random(n) < share, collapse, body)
            low, high = mean_interval(values, low=-1.0, high=1.0).interval[1:]
            held += low <= truth <= high
        assert held / 250 >= 0.93

    def test_symmetric_differences_keep_the_t_interval(self):
        from robustness.metrics.inference.intervals import t_interval
        from robustness.metrics.inference.mean_interval import T_METHOD, mean_interval

        rng, same = np.random.default_rng(6), 0
        for _ in range(300):
            values = rng.normal(0.1, 0.1, 25)
            found = mean_interval(values)
            same += found.method == T_METHOD and found.interval == t_interval(values)
        assert same / 300 > 0.95


class TestItem9ImageWeights:
    def test_one_patient_with_most_images_widens_the_interval(self):
        rng = np.random.default_rng(8)
        owner = np.r_[np.zeros(400, int), np.repeat(np.arange(1, 20), 6)]
        differences = rng.normal(0, 0.1, 20)[owner] + rng.normal(0, 0.05, owner.size)
        found = rb.effects(paired(differences, subjects=owner), weighting="image").iloc[0]
        assert found["ci_low"] < 0 < found["ci_high"]
        assert found["ci_method"] == "cluster-robust t (CR2), images weighted alike"


class TestItem10Sentences:
    def test_unstable_states_the_excess_that_it_cannot_exclude(self):
        sentence = one(battery("brittle", 30), "prompt", unit="patient")["sentence"]
        assert "adds no more" not in sentence
        assert "changes it more is not shown (" in sentence

    def test_follows_states_both_sides(self):
        table = battery("oracle", 30)
        table.loc[table["condition"] == "other:size", "dice_other"] *= 0.5
        found = rb.verdicts(table, unit="patient").query("condition == 'other:size' and claim == 'prompt'").iloc[0]
        assert "leaves the first by 0.9" in found["sentence"]
        assert "and reaches the second by 0.4" in found["sentence"]

    def test_ignores_states_who_moved(self):
        change = np.r_[np.full(4, 0.06), np.zeros(196)]
        parts = [rows_of("clean", np.zeros(200)), rows_of("drop:size", change), rows_of("paraphrase", np.zeros(200))]
        found = one(pd.concat(parts).rename(columns={"dice": "mask_change"}), "prompt", unit="patient")
        assert found["verdict"] == "IGNORES"
        assert "4 of 200 patients moved by more than 5% (2%, 95% interval 1% to 5%), n = 200" in found["sentence"]
        assert "certified for any distribution, if the patients are independent" in found["sentence"]
        assert found["share"] == pytest.approx(196 / 200)

    def test_an_excess_is_in_percentage_points(self):
        sentence = one(battery("wrong", 30), "prompt")["sentence"]
        assert "percentage points more than a paraphrase does" in sentence

    def test_reacts_beside_follows_says_who_shows_following(self):
        found = rb.verdicts(battery("oracle", 30)).query("claim == 'prompt'").set_index("condition")
        assert "that it follows them is shown by other:size" in found.loc["antonym:size", "sentence"]

    @pytest.mark.parametrize("behaviour", ["blind", "oracle", "wrong", "brittle", "partial"])
    def test_every_sentence_states_sample_and_level_and_every_row_m(self, behaviour):
        found = rb.verdicts(battery(behaviour, 30, share=0.3), unit="patient")
        assert found["sentence"].str.contains("n = 30 of 30 patients").all()
        assert found["sentence"].str.contains(r"% interval, \d+ claim").all()
        assert (found["m"] >= 1).all()
        assert found["level"].between(0.5, 1).all()

    def test_a_model_that_reads_in_a_third_of_patients_says_so(self):
        found = rb.verdicts(battery("partial", 60, share=0.3, seed=2), unit="patient")
        row = found.query("condition == 'other:size' and claim == 'prompt'").iloc[0]
        count = round(row["share"] * 60)
        assert f"{count} of 60 patients" in row["sentence"]
        assert row["share_low"] < 0.3 < row["share_high"]


class TestItem12Abstention:
    def test_the_sentence_says_what_the_certificate_assumes(self):
        found = one(self.table(0), "abstention", unit="image")
        assert found["sentence"].endswith("if the images are independent (images of one patient are not).")

    def table(self, painted, n=60):
        area = np.r_[np.full(painted, 0.1), np.zeros(n - painted)]
        return pd.concat(
            [
                rows_of("clean", np.full(n, 0.8), area_fraction=0.1, mask_change=0.0),
                rows_of("wrong_class", np.zeros(n), area_fraction=area, mask_change=1.0, expectation="abstain"),
            ]
        )

    @pytest.mark.parametrize(
        ("painted", "n", "verdict"),
        [
            (0, 60, "ABSTAINS"),
            (57, 60, "HALLUCINATES"),
            (5, 60, "INCONCLUSIVE"),
            (0, 20, "INCONCLUSIVE"),
            (3, 8, "UNTESTABLE"),
        ],
    )
    def test_it_has_its_own_verdict(self, painted, n, verdict):
        assert one(self.table(painted, n), "abstention")["verdict"] == verdict

    def test_the_share_is_exact_over_patients(self):
        found = one(self.table(57), "abstention", unit="patient")
        assert found["share"] == pytest.approx(0.95)
        assert "57 of 60 patients got a mask that is not empty" in found["sentence"]

    def test_one_painted_image_of_a_patient_is_enough(self):
        table = self.table(6).assign(subject_id=lambda t: t["case_id"].str[-2:].astype(int) % 12)
        assert one(table, "abstention")["estimate"] == pytest.approx(0.5)


class TestItem13Identity:
    def test_two_clean_rows_of_different_value_are_an_error(self):
        table = pd.concat([paired(np.zeros(12)), rows_of("clean", np.full(12, 0.4))])
        with pytest.raises(InputError, match="expected one clean dice per case and text, case 'c00000' has"):
            rb.effects(table)

    def test_a_partly_blank_family_is_filled_and_two_families_are_an_error(self):
        table = paired(np.zeros(30)).assign(family="image")
        table.loc[table["condition"] == "clean", "family"] = "clean"
        full = rb.verdicts(table)
        table.loc[table.index[-10:], "family"] = ""
        pd.testing.assert_frame_equal(rb.verdicts(table.iloc[::-1]), full)
        table.loc[table.index[-1], "family"] = "prompt"
        with pytest.raises(InputError, match="expected one family per condition"):
            rb.verdicts(table)

    def test_spellings_of_a_subject_are_one_subject(self):
        table = paired(np.zeros(24))
        number = table["case_id"].str[-2:].astype(int) // 2
        table["subject_id"] = [f"{n}.0" if i % 2 else f"{n} " for i, n in enumerate(number)]
        with pytest.warns(UserWarning, match="24 spellings of 12 subjects"):
            assert rb.effects(table).iloc[0]["n_subjects"] == 12

    def test_repeated_rows_are_warned_of(self):
        table = pd.concat([paired(np.zeros(12)), rows_of(IMAGE, np.full(12, 0.1))])
        with pytest.warns(UserWarning, match="12 rows repeat another row of the same case, condition and text"):
            rb.effects(table)

    def test_a_failed_clean_text_is_not_replaced_by_another(self):
        table = pd.concat(
            [
                paired(np.zeros(12)),
                rows_of("clean", np.full(12, np.nan), prompt_index=1, error="failed"),
                rows_of(IMAGE, np.full(12, 0.1), prompt_index=1),
            ]
        )
        found = rb.effects(table).iloc[0]
        assert (found["effect"], found["n_flagged"]) == (0.0, 12)

    @pytest.mark.parametrize("value", [False, 0, "False", "0", ""])
    def test_an_error_column_of_false_flags_nothing(self, value):
        found = rb.effects(paired(np.full(12, 0.1)).assign(error=value)).iloc[0]
        assert (found["n_subjects"], found["n_flagged"]) == (12, 0)

    def test_clean_tables_raise_no_warning(self):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert len(rb.verdicts(battery("oracle", 12)))


class TestWarnings:
    def test_random_weights_floors_and_empty_references_come_before_any_number(self):
        from robustness.runs.conclude import untested_warnings, warnings_of

        table = paired(np.zeros(40), clean=1.0).assign(both_empty=True, reference_fraction=0.0)
        found = untested_warnings([{"name": "film-unet", "weights": {"random": True}}], rb.verdicts(table))
        assert found[0].startswith("film-unet has random weights")
        assert found[1].startswith("No robustness of m on d is claimed: the clean Dice 1.000 is not shown above")
        facts = [{"name": "d", "subject_is_image": False, "n_images": 40}]
        table = table.assign(mask_change=0.0)
        assert any("40 of 40 reference masks are empty" in text for text in warnings_of(table, facts))

    def test_one_patient_in_two_spellings_comes_before_any_number(self):
        from robustness.runs.conclude import warnings_of

        table = paired(np.zeros(24), clean=1.0).assign(mask_change=0.0)
        facts = [{"name": "d", "subject_is_image": False, "n_images": 24}]
        assert warnings_of(table, facts) == []
        table["subject_id"] = [f"p{n // 2}" if n % 2 else f"P0{n // 2}" for n in table["case_id"].str[-2:].astype(int)]
        assert warnings_of(table, facts)[0].startswith("Subjects of d: 'P00' and 'p0' count as two subjects")
        assert "(and 11 more names like it)" in warnings_of(table, facts)[0]

    @pytest.mark.parametrize(
        ("facts", "says"),
        [
            ({}, 'No patient is known for d: .* state subject = "image".'),
            ({"subject": "image"}, 'Each image of d counts as its own unit, as subject = "image" states: '),
            ({"subject": "image", "origin_subjects": ["a", "b"]}, "states, though the data name 2 patients: "),
            ({"subject": "image", "origin_subjects": ["a"]}, "All 40 images of d come from one subject"),
        ],
    )
    def test_who_counts_as_one_comes_before_any_number(self, facts, says):
        table = paired(np.zeros(40), clean=1.0).assign(mask_change=0.0)
        facts = {"name": "d", "subject_is_image": True, "n_images": 40, **facts}
        from robustness.runs.conclude import warnings_of

        assert any(re.search(says, text) for text in warnings_of(table, [facts]))
