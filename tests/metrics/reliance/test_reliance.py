"""Follow rate, flips, abstention, PRI, rerun noise."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

import robustness as rb
from robustness.errors import InputError
from robustness.metrics.analyses.noise import noise_floor
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
