"""Verdicts on models whose behaviour is known, and every rule at its edge."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import robustness as rb
from robustness.errors import InputError
from robustness.metrics.inference.intervals import Interval
from robustness.metrics.verdicts.decisions import Decision
from robustness.metrics.verdicts.prompt_sentences import prompt_sentence
from robustness.results import VERDICT_COLUMNS
from tests.metrics.tables import battery, rows_of


def prompt(table, condition="antonym:size", **options):
    found = rb.verdicts(table, **options)
    return found[(found["claim"] == "prompt") & (found["condition"] == condition)].iloc[0]


def reactions(change, wording=None, condition="drop:size", **columns):
    """Clean, paraphrase and one condition with the given mask changes, one image per subject."""
    parts = [
        rows_of("clean", np.zeros(len(change)), metric="mask_change"),
        rows_of(condition, change, metric="mask_change", **columns),
    ]
    if wording is not None:
        parts.append(rows_of("paraphrase", wording, metric="mask_change"))
    return pd.concat(parts, ignore_index=True)


class TestBattery:
    @pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (2, 3, 4))])
    @pytest.mark.parametrize(
        ("behaviour", "verdict"),
        [
            ("blind", "IGNORES"),
            ("oracle", "FOLLOWS"),
            ("jitter", "FOLLOWS"),
            ("wrong", "REACTS"),
            ("brittle", "UNSTABLE"),
        ],
    )
    def test_sixty_subjects_give_the_right_verdict(self, behaviour, verdict, seed):
        table = battery(behaviour, 60, seed=seed)
        assert prompt(table.query("condition != 'antonym:size'"), "other:size")["verdict"] == verdict
        # An antonym names no second referent, so that it is followed cannot be shown.
        assert prompt(table.query("condition != 'other:size'"))["verdict"] == verdict.replace("FOLLOWS", "REACTS")
        # Two claims that both hold cost no more subjects than one: closed means of e-values.
        both = rb.verdicts(table).query("claim == 'prompt'").set_index("condition")["verdict"]
        assert both["other:size"] == verdict
        assert both["antonym:size"] == verdict.replace("FOLLOWS", "REACTS")

    @pytest.mark.parametrize("n_subjects", [20, 30, 58])
    def test_fewer_than_59_subjects_never_certify(self, n_subjects):
        table = battery("blind", n_subjects).query("condition != 'other:size'")
        found = prompt(table)
        assert found["verdict"] == "IGNORES*"
        assert found["n_needed"] == 59
        assert prompt(battery("blind", 59).query("condition != 'other:size'"))["verdict"] == "IGNORES"

    def test_half_of_the_subjects_following_is_found(self):
        found = [prompt(battery("partial", 30, share=0.5, seed=s), "other:size")["verdict"] for s in range(8)]
        assert found.count("FOLLOWS") >= 7

    def test_reactions_at_the_margin_are_not_certified_as_ignoring(self):
        tables = [battery("partial", 60, share=0.05, seed=s).query("condition != 'other:size'") for s in range(15)]
        found = [prompt(t, resamples=999)["verdict"] for t in tables]
        assert found.count("IGNORES") + found.count("REACTS") <= 2


class TestRules:
    def test_following_needs_both_referents(self):
        table = battery("oracle", 30)
        stays = table.assign(dice_other=np.where(table["condition"] == "other:size", 0.05, table["dice_other"]))
        assert prompt(table, "other:size")["verdict"] == "FOLLOWS"
        assert prompt(stays, "other:size")["verdict"] == "REACTS"

    def test_following_is_read_off_a_conditions_own_rows_alone(self):
        table = battery("oracle", 30)
        assert prompt(table)["verdict"] == "REACTS"
        own = table.query("condition == 'other:size'").assign(condition="antonym:size")
        assert prompt(pd.concat([table.query("condition != 'antonym:size'"), own]))["verdict"] == "FOLLOWS"

    def test_following_pays_no_price_for_the_family(self):
        table = battery("partial", 40, share=0.4, seed=1)
        many = [table.query("condition == 'antonym:size'").assign(condition=f"drop:k{i}") for i in range(10)]
        one, family = prompt(table, "other:size"), prompt(pd.concat([table, *many]), "other:size")
        assert one["verdict"] == family["verdict"] == "FOLLOWS"
        assert one["ci_low"] == family["ci_low"]

    def test_clean_rows_of_several_kinds_do_not_confuse_the_referents(self):
        table = battery("oracle", 30)
        clean = table[table["condition"] == "clean"]
        second = clean.assign(attribute="location", other_case_id="far", dice_other=0.9)
        both = prompt(pd.concat([second, table]), "other:size")
        assert both["verdict"] == "FOLLOWS"
        assert both["ci_low"] == prompt(table, "other:size")["ci_low"]

    def test_without_a_second_referent_an_oracle_reacts(self):
        found = prompt(battery("oracle", 30).drop(columns=["dice_other", "other_case_id"]), "other:size")
        assert found["verdict"] == "REACTS"
        assert found["rule"].startswith("2 REACTS")

    def test_without_paraphrases_nothing_but_following_is_decided(self):
        for behaviour, verdict in [("blind", "INCONCLUSIVE"), ("wrong", "INCONCLUSIVE"), ("oracle", "FOLLOWS")]:
            found = prompt(battery(behaviour, 60).query("condition != 'paraphrase'"), "other:size")
            assert found["verdict"] == verdict
            assert verdict == "FOLLOWS" or "no paraphrase baseline" in found["rule"]
            assert not found["detectable"]

    def test_the_excess_is_taken_per_case_and_over_the_mean_of_its_paraphrases(self):
        table = pd.concat(
            [
                reactions([0.5, 0.3, 0.4]),
                rows_of("paraphrase", [0.1, 0.1, 0.1], metric="mask_change"),
                rows_of("paraphrase", [0.3, 0.1, 0.1], metric="mask_change", prompt_index=1),
            ]
        )
        found = prompt(table, "drop:size")
        assert found["estimate"] == pytest.approx((0.3 + 0.2 + 0.3) / 3)

    def test_detectable_but_within_the_margin_is_an_outcome(self):
        rng = np.random.default_rng(0)
        found = prompt(reactions(rng.uniform(0.01, 0.02, 100), np.zeros(100)), "drop:size")
        assert found["verdict"] == "IGNORES"
        assert found["detectable"]

    def test_rare_reactions_are_not_certified_away(self):
        change = np.r_[np.zeros(78), 0.8, 0.8]
        found = prompt(reactions(change, np.zeros(80)), "drop:size")
        assert found["verdict"] == "INCONCLUSIVE"
        assert "2 of 80 subjects react by more than the margin" in found["sentence"]
        assert found["n_needed"] > 80

    def test_a_wide_interval_is_inconclusive_and_says_what_would_decide(self):
        found = prompt(reactions(np.linspace(0, 0.14, 12), np.zeros(12)), "drop:size")
        assert found["verdict"] == "INCONCLUSIVE"
        assert found["n_needed"] > 12
        assert f"about {found['n_needed']} subjects would decide (REACTS)" in found["sentence"]

    def test_the_interval_pays_for_the_family_of_claims_alone(self):
        rng = np.random.default_rng(2)
        table = reactions(rng.uniform(0, 0.2, 30), np.zeros(30))
        swap = table[table["condition"] == "drop:size"]
        extra = [swap.assign(condition=c) for c in ("empty", "nonsense", "shuffled", "image:blur@1", "synonym:size")]
        control = swap.assign(condition="mine", expectation="control")
        alone, controls = prompt(table, "drop:size"), prompt(pd.concat([table, *extra, control]), "drop:size")
        assert controls["ci_low"] == alone["ci_low"]
        other = swap.assign(condition="rare:size", mask_change=rng.uniform(0, 0.15, 30))
        two = rb.verdicts(pd.concat([table, other])).query("claim == 'prompt'").set_index("condition")
        # Step-down: the clearest claim pays for both, the last that is left pays for itself alone.
        levels = two["level"].sort_values().to_numpy()
        assert levels[1] > levels[0] == alone["level"] == pytest.approx(0.9)
        assert two["m"].tolist() == [2, 2]

    def test_the_rerun_floor_is_told(self):
        table = reactions(np.zeros(60), np.zeros(60))
        rerun = rows_of("rerun", np.full(60, 0.002), metric="mask_change")
        assert "two identical runs differ by 0.20%" in prompt(pd.concat([table, rerun]), "drop:size")["rule"]

    def test_a_wrong_class_is_a_claim_about_the_target_words(self):
        found = prompt(reactions(np.full(30, 0.9), np.zeros(30), "wrong_class"), "wrong_class")
        assert (found["attribute"], found["verdict"]) == ("target", "REACTS")


def part_and_whole(n_subjects, *, apart, nested):
    """Rows of other:part: in each subject one case with targets apart, shifted by `apart`, two nested, by `nested`."""
    overlap = np.tile([0.0, 1.0, 1.0], n_subjects)
    shift = np.where(overlap > 0, nested, apart)
    n = overlap.size
    names = {"other_case_id": "o", "attribute": "part", "other_overlap": overlap}
    subjects = np.repeat(np.arange(n_subjects), 3)
    return pd.concat(
        [
            rows_of("clean", np.full(n, 0.9), mask_change=0.0, dice_other=0.0, subjects=subjects, **names),
            rows_of("paraphrase", np.full(n, 0.9), mask_change=0.0, subjects=subjects),
            rows_of("other:part", 0.9 - shift, mask_change=shift, dice_other=shift, subjects=subjects, **names),
        ],
        ignore_index=True,
    )


class TestTargetsThatOverlap:
    def test_growing_from_part_to_whole_is_not_following(self):
        table = part_and_whole(60, apart=0.0, nested=0.4)
        # What the pool of all pairs said, as where the overlap is not known.
        assert prompt(table.drop(columns="other_overlap"), "other:part")["verdict"] == "FOLLOWS"
        found = prompt(table, "other:part")
        assert found["verdict"] == "REACTS"
        assert "120 of 180 cases are left out of what decides following" in found["sentence"]
        assert "S_A 0.400 [0.400, 0.400] and S_B 0.400" in found["rule"]
        assert "there; 90% intervals)" in found["rule"]
        assert "there; 80% intervals)" in prompt(table, "other:part", alpha=0.1)["rule"]

    def test_a_faithful_model_follows_with_its_full_shift(self):
        found = prompt(part_and_whole(60, apart=0.85, nested=0.33), "other:part")
        assert (found["verdict"], found["n_images"], found["n_subjects"]) == ("FOLLOWS", 60, 60)
        assert found["estimate"] == pytest.approx(0.85)
        assert "more than 50% of the smaller of their two targets lies in the other" in found["sentence"]

    def test_a_model_that_always_paints_the_whole_ignores_the_words(self):
        found = prompt(part_and_whole(60, apart=0.0, nested=0.0), "other:part")
        assert found["verdict"] == "IGNORES"
        assert "left out" not in found["sentence"]

    def test_without_targets_apart_following_cannot_be_shown(self):
        table = part_and_whole(60, apart=0.85, nested=0.85).assign(other_overlap=1.0)
        found = prompt(table, "other:part")
        assert found["verdict"] == "REACTS"
        assert "180 of 180 cases are left out" in found["sentence"]

    def test_the_share_is_stated(self):
        table = part_and_whole(60, apart=0.0, nested=0.4).replace({"other_overlap": {1.0: 0.6}})
        assert prompt(table, "other:part")["verdict"] == "REACTS"
        assert prompt(table, "other:part", target_overlap=0.7)["verdict"] == "FOLLOWS"
        with pytest.raises(InputError, match="target_overlap"):
            rb.verdicts(table, target_overlap=1.0)
        with pytest.raises(InputError, match="other_overlap"):
            rb.verdicts(table.replace({"other_overlap": {0.6: 60.0}}))

    def test_pairs_that_are_left_out_are_not_missing(self):
        table = part_and_whole(60, apart=0.85, nested=0.33)
        nested = (table["condition"] == "other:part") & (table["other_overlap"] == 1)
        table.loc[nested, ["dice", "dice_other"]] = np.nan
        found = prompt(table, "other:part")
        assert (found["verdict"], bool(found["certified"])) == ("FOLLOWS", True)


class TestUntestable:
    def test_no_case_applies_gives_the_reason(self):
        table = reactions(np.zeros(5), np.zeros(5), applicable=False, note="the prompt states no size")
        table["applicable"] = table["applicable"].fillna(value=True)
        found = prompt(table, "drop:size")
        assert found["verdict"] == "UNTESTABLE"
        assert "the prompt states no size" in found["sentence"]
        assert (found["n_images"], found["n_subjects"]) == (0, 0)
        assert pd.isna(found["n_needed"])

    def test_one_subject(self):
        found = rb.verdicts(reactions([0.5], [0.0]).assign(dice=0.5), unit="patient")
        assert (found["verdict"] == "UNTESTABLE").all()
        assert "1 patient, fewer than 10: described, not judged" in found["sentence"].iloc[0]

    def test_a_table_without_mask_change_still_gives_robustness(self):
        table = pd.concat(
            [rows_of("clean", [0.8] * 30), rows_of("drop:size", [0.7] * 30), rows_of("image:b@1", [0.8] * 30)]
        )
        found = rb.verdicts(table).set_index("claim")["verdict"]
        assert found["prompt"] == "UNTESTABLE"
        assert found["robustness"] == "ROBUST"


class TestRobustness:
    @pytest.mark.parametrize(
        ("drop", "verdict"), [(0.0, "ROBUST"), (-0.4, "ROBUST"), (0.3, "FRAGILE"), (0.1, "INCONCLUSIVE")]
    )
    def test_one_sided_against_the_margin(self, drop, verdict):
        rng = np.random.default_rng(3)
        table = pd.concat(
            [rows_of("clean", np.full(30, 0.45)), rows_of("image:blur@3", 0.45 - rng.normal(drop, 0.04, 30))]
        )
        found = rb.verdicts(table).iloc[0]
        assert (found["claim"], found["verdict"], found["margin"]) == ("robustness", verdict, 0.1)
        # A truth on the margin gets no number: no sample within reach would decide.
        assert ("no number of subjects is given" in found["sentence"]) == (verdict == "INCONCLUSIVE")
        assert pd.isna(found["n_needed"])

    def test_margins_by_metric(self):
        table = reactions(np.linspace(0, 0.04, 20), condition="image:blur@3").assign(dice=0.8, iou=0.7, hd95=3.0)
        found = rb.verdicts(table, margins={"hd95": 2.0, "dice": 0.02}).set_index("metric")
        assert found["margin"].to_dict() == {"dice": 0.02, "iou": 0.1, "mask_change": 0.05, "hd95": 2.0}
        # 20 subjects certify no margin, and a distance has no largest value to certify against.
        assert (found["verdict"] == "ROBUST*").all()
        strict = rb.verdicts(table, margins={"hd95": 2.0, "dice": 0.02}, star_alpha=0.2).set_index("metric")
        # Such a star takes 16 subjects at the margin .10, more at smaller ones.
        assert strict["verdict"].to_dict() == {
            "dice": "INCONCLUSIVE",
            "iou": "ROBUST*",
            "mask_change": "INCONCLUSIVE",
            "hd95": "ROBUST*",
        }
        assert not found["certified"].any()
        assert "hd95 has no largest value" in found.loc["hd95", "sentence"]

    def test_harmless_prompt_changes_are_judged_on_their_harmless_rows(self):
        expectation = ["invariant"] * 30 + ["change"] * 10
        table = pd.concat(
            [rows_of("clean", [0.8] * 40), rows_of("drop:size", [0.8] * 30 + [0.1] * 10, expectation=expectation)]
        )
        found = rb.verdicts(table).query("claim == 'robustness'").iloc[0]
        assert (found["condition"], found["verdict"], found["n_images"]) == ("drop:size", "ROBUST", 30)

    def test_controls_and_joint_changes_that_should_move_the_mask_are_not_judged(self):
        said = {
            "image:flip": "invariant",
            "image:flip_unrewritten": "control",
            "image:blur@1+drop:size": "invariant",
            "image:blur@1+antonym:side": "change",
            "image:blur@1+empty": "control",
        }
        parts = [rows_of("clean", [0.8] * 6), *(rows_of(c, [0.8] * 6, expectation=e) for c, e in said.items())]
        found = rb.verdicts(pd.concat(parts)).query("claim == 'robustness'")
        assert sorted(found["condition"]) == ["image:blur@1+drop:size", "image:flip"]

    def test_which_conditions_are_judged(self):
        names = ["paraphrase", "antonym:size", "empty", "image:blur@1", "image:blur@1+antonym:size", "rerun"]
        table = pd.concat([rows_of(c, [0.8] * 6) for c in ("clean", *names)])
        found = rb.verdicts(table).query("claim == 'robustness'")
        assert found["condition"].tolist() == ["image:blur@1", "image:blur@1+antonym:size", "paraphrase"]

    def test_the_interval_pays_for_the_conditions_judged(self):
        rng = np.random.default_rng(4)
        parts = [rows_of("clean", [0.8] * 20), rows_of("image:a@1", rng.uniform(0.6, 0.8, 20))]
        one = rb.verdicts(pd.concat(parts)).iloc[0]
        two = rb.verdicts(pd.concat([*parts, rows_of("image:b@1", rng.uniform(0.6, 0.8, 20))])).iloc[0]
        assert two["ci_high"] > one["ci_high"]


class TestContract:
    def test_columns_and_order_of_rows(self):
        table = battery("brittle", 12)
        found = rb.verdicts(table)
        assert tuple(found.columns) == VERDICT_COLUMNS
        pd.testing.assert_frame_equal(found, rb.verdicts(table.sample(frac=1, random_state=2)), rtol=1e-9)

    def test_parquet_keeps_it(self, tmp_path):
        found = rb.verdicts(battery("blind", 30))
        found.to_parquet(tmp_path / "v.parquet")
        pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "v.parquet"), found)

    def test_models_are_judged_apart(self):
        both = pd.concat([battery(b, 60).assign(model=b) for b in ("blind", "wrong")])
        found = rb.verdicts(both).query("claim == 'prompt' and condition == 'antonym:size'")
        assert found.set_index("model")["verdict"].to_dict() == {"blind": "IGNORES", "wrong": "REACTS"}

    def test_subjects_are_called_what_they_are_in_each_dataset(self):
        """Beside data whose patients are known, sentences about images of unknown ones spoke of subjects."""
        both = pd.concat([battery("wrong", 60).assign(dataset=name) for name in ("named", "nameless", "other")])
        found = rb.verdicts(both, unit={"named": "patient", "nameless": "image"}).query("claim == 'prompt'")
        said = found.query("condition == 'antonym:size'").set_index("dataset")["sentence"]
        assert said["named"].endswith("; certified for any distribution, if the patients are independent.")
        assert said["nameless"].endswith("if the images are independent (images of one patient are not).")
        assert "of 60 subjects" in said["other"]

    @pytest.mark.parametrize("behaviour", ["blind", "oracle", "wrong", "brittle"])
    def test_the_sentence_quotes_the_interval_that_the_rule_used(self, behaviour):
        found = prompt(battery(behaviour, 30), "other:size", unit="patient")
        shown = f"{found['ci_low']:.2f}" if found["metric"] == "dice" else f"{100 * found['ci_low']:.1f}"
        assert shown in found["sentence"]
        assert "n = 30 of 30 patients" in found["sentence"]
        assert f"{100 * found['level']:.4g}% interval" in found["sentence"]
        assert "size words" in found["sentence"]
        assert found["sentence"].endswith(".")

    def test_a_change_below_that_of_rewording_is_called_less_with_the_bounds_turned(self):
        decision = Decision("INCONCLUSIVE", "5", "mask_change", Interval(-0.029, -0.046, -0.013), 0.05, 62, 62, None)
        sentence = prompt_sentence(
            decision, model="m", attribute="view", condition="antonym:view", unit="image", alpha=0.05
        )
        assert "changes the mask by 2.9 [1.3, 4.6] percentage points less than a paraphrase does" in sentence

    def test_the_uncertified_sentence_bounds_the_share_of_reacting_subjects(self):
        found = prompt(battery("blind", 40).query("condition != 'other:size'"), unit="patient")
        assert "up to 7.2% of patients could react (95% bound, rule of three, K = 40)" in found["sentence"]
        assert "certification needs about 59 patients" in found["sentence"]

    @pytest.mark.parametrize(
        "options", [{"alpha": 0.7}, {"margin_dice": 0}, {"margin_change": 1.0}, {"margins": {"hd95": -1}}]
    )
    def test_bad_options_are_refused(self, options):
        with pytest.raises(InputError):
            rb.verdicts(battery("blind", 4), **options)

    def test_an_empty_table_gives_an_empty_frame(self):
        assert len(rb.verdicts(battery("blind", 2).iloc[:0])) == 0
