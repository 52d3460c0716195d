"""Follow rate, flips, abstention, PRI, rerun noise; text floors, leaving one attribute out, Shapley values."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest

import robustness as rb
from robustness.errors import InputError
from robustness.metrics.analyses.noise import noise_floor
from robustness.metrics.reliance.attribution import leave_one_out, shapley, shapley_of_table, text_floors
from robustness.metrics.reliance.rates import abstention, flip_rates, follow_rates, prompt_reliance_index
from tests.metrics.tables import battery, rows_of


def only(frame):
    assert len(frame) == 1
    return frame.iloc[0]


class TestFollowRate:
    @pytest.mark.parametrize(("behaviour", "rate"), [("oracle", 1.0), ("blind", 0.0), ("wrong", 0.0)])
    def test_of_known_models(self, behaviour, rate):
        found = only(follow_rates(battery(behaviour, 20)))
        assert found["condition"] == "other:size"
        assert found["follow_rate"] == rate

    def test_a_blind_model_that_is_nearer_b_by_chance_gets_nothing_for_it(self):
        table = battery("blind", 20)
        table["dice_other"] = np.where(table["dice_other"].notna(), 0.99, np.nan)
        found = only(follow_rates(table))
        assert (found["follows"], found["follows_when_clean"], found["follow_rate"]) == (1.0, 1.0, 0.0)

    def test_masks_at_neither_object_are_reported(self):
        assert only(follow_rates(battery("wrong", 20)))["neither"] == 1.0

    def test_a_part_and_its_whole_are_no_two_places(self):
        table = battery("oracle", 20)
        nested = table["case_id"].isin(table["case_id"].unique()[:30])
        found = only(follow_rates(table.assign(other_overlap=nested.astype(float))))
        assert (found["n_images"], found["n_subjects"], found["follow_rate"]) == (30, 10, 1.0)
        assert follow_rates(table.assign(other_overlap=1.0)).empty

    def test_half_following_has_an_interval_around_the_half(self):
        found = only(follow_rates(battery("partial", 40, share=0.5)))
        assert 0.1 < found["ci_low"] < found["follow_rate"] < found["ci_high"] < 0.9


class TestFlips:
    def test_flips_and_exceedance_of_the_own_wording_noise(self):
        table = pd.concat(
            [
                rows_of("clean", np.zeros(4), metric="mask_change"),
                rows_of("drop:size", [0.3, 0.3, 0.05, 0.0], metric="mask_change"),
                rows_of("paraphrase", [0.1, 0.1, 0.0, 0.0], metric="mask_change"),
                rows_of("paraphrase", [0.4, 0.0, 0.0, 0.0], metric="mask_change", prompt_index=1),
            ]
        )
        found = only(flip_rates(table))
        assert found["flip_rate"] == 0.5
        assert found["exceeds_wording"] == 0.5, "0.3 of the first image is within its largest rewording, 0.4"
        assert found["n_paired"] == 4
        assert 0 < found["flip_low"] < 0.5 < found["flip_high"] < 1

    def test_without_paraphrases_exceedance_is_undefined(self):
        table = pd.concat([rows_of(c, np.zeros(3), metric="mask_change") for c in ("clean", "drop:size")])
        found = only(flip_rates(table))
        assert found["n_paired"] == 0
        assert math.isnan(found["exceeds_wording"])
        assert found["flip_high"] > 0.5, "three images without a flip exclude little"


class TestAbstention:
    def test_empty_masks_abstain_and_others_hallucinate(self):
        table = pd.concat(
            [
                rows_of("clean", [0.2, 0.2, 0.4, 0.4], metric="area_fraction"),
                rows_of("wrong_class", [0.0, 0.0, 0.2, 0.4], metric="area_fraction"),
                rows_of("drop:size", [0.0, 0.0, 0.0, 0.0], metric="area_fraction"),
            ]
        )
        found = only(abstention(table))
        assert found["condition"] == "wrong_class"
        assert (found["abstains"], found["hallucinates"]) == (0.5, 0.5)
        assert found["area_ratio"] == pytest.approx(0.6 / 1.2)
        assert found["ratio_low"] < 0.5 < found["ratio_high"]

    def test_clean_masks_without_area_have_no_ratio(self):
        table = pd.concat([rows_of(c, np.zeros(4), metric="area_fraction") for c in ("clean", "empty")])
        assert math.isnan(only(abstention(table))["area_ratio"])


class TestPRI:
    @staticmethod
    def table(swap, floor, n=25, seed=0):
        rng = np.random.default_rng(seed)
        clean = np.clip(0.8 + 0.05 * rng.normal(size=n), 0, 1)
        return pd.concat(
            [
                rows_of("clean", clean),
                rows_of("antonym:size", clean - swap + 0.01 * rng.normal(size=n)),
                rows_of("wrong_class", clean - floor + 0.01 * rng.normal(size=n)),
            ]
        )

    def test_half_the_loss_of_a_wrong_class_is_one_half(self):
        found = only(prompt_reliance_index(self.table(0.28, 0.56)))
        assert found["pri"] == pytest.approx(0.5, abs=0.02)
        assert found["ci_low"] < 0.5 < found["ci_high"]
        assert found["note"] == ""

    def test_is_undefined_where_the_wrong_class_does_not_hurt(self):
        found = only(prompt_reliance_index(self.table(0.28, 0.02)))
        assert math.isnan(found["pri"])
        assert found["note"] == "undefined: the wrong_class prompt does not hurt either"
        assert found["floor_loss"] == pytest.approx(0.02, abs=0.01)

    def test_is_a_ratio_of_means_so_one_tiny_denominator_decides_nothing(self):
        table = self.table(0.28, 0.56)
        table.loc[(table["condition"] == "wrong_class") & (table["case_id"] == "c00000"), "dice"] = table["dice"].iloc[
            0
        ]
        assert only(prompt_reliance_index(table))["pri"] == pytest.approx(0.5, abs=0.05)

    def test_the_floor_must_be_there(self):
        with pytest.raises(InputError, match="'empty'"):
            prompt_reliance_index(self.table(0.2, 0.5), floor="empty")

    def test_one_subject_has_no_index(self):
        found = only(prompt_reliance_index(self.table(0.2, 0.5, n=1)))
        assert found["note"] == "undefined: fewer than 2 subjects"


class TestNoise:
    @staticmethod
    def table(noise, n=30, change=0.2):
        parts = [
            rows_of("clean", np.full(n, 0.8), mask_change=0.0),
            rows_of("rerun", np.full(n, 0.8), mask_change=noise),
        ]
        parts.append(rows_of("image:blur@1", np.full(n, 0.8), mask_change=change))
        return pd.concat(parts)

    def test_a_model_without_noise_has_none_up_to_a_bound(self):
        found = only(noise_floor(self.table(0.0)))
        assert (found["moved_share"], found["mean_change"], found["mean_dice_difference"]) == (0.0, 0.0, 0.0)
        assert found["moved_high"] == pytest.approx(1 - 0.025 ** (1 / 30))

    def test_noise_is_measured(self):
        found = only(noise_floor(self.table(np.r_[np.zeros(15), np.full(15, 0.02)])))
        assert (found["moved_share"], found["largest_change"]) == (0.5, 0.02)
        assert found["mean_change"] == pytest.approx(0.01)

    def test_a_model_that_moves_by_itself_is_not_called_fragile_for_moving(self):
        verdict = lambda noise: (  # noqa: E731
            rb.verdicts(self.table(noise)).set_index("metric").loc["mask_change", ["verdict", "rule"]]
        )
        assert verdict(0.0)["verdict"] == "FRAGILE"
        assert verdict(0.2)["verdict"] == "INCONCLUSIVE"
        assert "two identical runs differ by 20.00%" in verdict(0.2)["rule"]
        assert verdict(0.002)["verdict"] == "FRAGILE"


RNG = np.random.default_rng(0)
BASE = RNG.uniform(0.1, 0.2, 12)
GAIN = {"size": 0.05, "side": 0.3, "location": 0.1}


def additive(kept):
    return BASE + sum(GAIN[name] for name in kept)


def redundant(kept):
    """Side and location say the same: either is worth 0.4, both no more."""
    return BASE + 0.4 * bool({"side", "location"} & kept)


class TestFloors:
    def test_what_the_text_is_worth(self):
        table = pd.concat([rows_of("clean", [0.8] * 8), rows_of("empty", [0.6] * 8), rows_of("drop:size", [0.1] * 8)])
        found = text_floors(table)
        assert found["floor"].tolist() == ["empty"]
        row = found.iloc[0]
        assert (row["due_to_text"], row["share"]) == (pytest.approx(0.2), pytest.approx(0.25))
        assert (row["clean_mean"], row["floor_mean"]) == (pytest.approx(0.8), pytest.approx(0.6))

    def test_a_blind_model_owes_nothing_to_the_text(self):
        table = pd.concat([rows_of(c, np.linspace(0.5, 0.9, 8)) for c in ("clean", "empty", "shuffled")])
        assert (text_floors(table)["share"] == 0).all()


def test_leaving_one_out_is_the_effect_of_dropping_it():
    parts = [rows_of("clean", [0.8] * 10), rows_of("drop:size", [0.75] * 10), rows_of("drop:side", [0.5] * 10)]
    table = pd.concat([*parts, rows_of("antonym:side", [0.0] * 10)])
    found = leave_one_out(table).set_index("attribute")
    assert found["effect"].to_dict() == pytest.approx({"side": 0.3, "size": 0.05})
    assert (found["family_size"] == 2).all()
    assert len(rb.effects(table)) == 3


class TestShapley:
    def test_additive_gains_are_found_exactly(self):
        found = {row.attribute: row for row in shapley(additive, list(GAIN), permutations=6)}
        for name, gain in GAIN.items():
            assert found[name].value == pytest.approx(gain)
            assert found[name].sampling_error == 0.0

    def test_words_that_say_the_same_share_their_worth(self):
        found = {row.attribute: row.value for row in shapley(redundant, list(GAIN))}
        assert found == pytest.approx({"size": 0.0, "side": 0.2, "location": 0.2})

    @pytest.mark.parametrize("permutations", [1, 4, 7, 32])
    def test_values_add_up_and_the_cost_is_bounded(self, permutations):
        names = [f"k{i}" for i in range(6)]
        rng = np.random.default_rng(1)
        table = {frozenset(c): rng.random(9) for n in range(7) for c in itertools.combinations(names, n)}
        found = shapley(table.__getitem__, names, permutations=permutations)
        total = (table[frozenset(names)] - table[frozenset()]).mean()
        assert sum(row.value for row in found) == pytest.approx(total)
        assert found[0].evaluations <= min(2**6, permutations * 5 + 2)

    def test_sampling_comes_near_the_exact_value_within_its_error(self):
        names = [f"k{i}" for i in range(6)]
        rng = np.random.default_rng(2)
        table = {frozenset(c): rng.random(9) for n in range(7) for c in itertools.combinations(names, n)}
        exact = {row.attribute: row.value for row in shapley(table.__getitem__, names, permutations=720)}
        for row in shapley(table.__getitem__, names, permutations=128):
            assert abs(row.value - exact[row.attribute]) < 4 * row.sampling_error
            assert row.sampling_error > 0

    def test_the_seed_decides(self):
        names = [f"k{i}" for i in range(7)]

        def value(kept):
            return np.full(3, math.sqrt(sum(int(k[1:]) ** 2 for k in kept)))

        one, again, other = (shapley(value, names, permutations=4, seed=s) for s in (0, 0, 1))
        assert one == again != other

    @pytest.mark.parametrize("names", [[], ["size", "size"]])
    def test_names_must_differ(self, names):
        with pytest.raises(InputError, match="attributes"):
            shapley(additive, names)

    def test_a_value_per_subject_is_needed(self):
        with pytest.raises(InputError, match="one score per subject"):
            shapley(lambda kept: np.zeros(1 + len(kept)), ["size"])

    def test_of_a_table(self):
        parts = []
        for n in range(4):
            for kept in itertools.combinations(GAIN, n):
                parts.append(rows_of("mine", additive(kept)).assign(kept="+".join(kept)))
        found = shapley_of_table(pd.concat(parts))
        assert found["attribute"].tolist() == ["side", "location", "size"]
        assert found["value"].tolist() == pytest.approx([0.3, 0.1, 0.05])
        with pytest.raises(InputError, match="run that prompt too"):
            shapley_of_table(pd.concat(parts[1:]))
