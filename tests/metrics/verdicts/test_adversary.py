"""Attacks on the verdicts: tables that once got a wrong verdict without a star, by name, and random ones."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pandas as pd
import pytest

import robustness as rb
from robustness.errors import InputError
from robustness.metrics.pairing.direction import effect_range
from robustness.metrics.scores.base import MaskMetric
from robustness.registry import METRICS
from tests.metrics.tables import battery, paired, rows_of

IMAGE = "image:gaussian_noise@1"


def verdict_of(table, claim="robustness", **options):
    found = rb.verdicts(table, resamples=199, unit="patient", **options)
    return found[found["claim"] == claim].iloc[0]


def changes(condition, values, **columns):
    return rows_of(condition, values, metric="mask_change", **columns)


class TestValuesOutOfRange:
    def test_percentages_are_refused(self):
        table = paired(np.random.default_rng(0).normal(0.5, 2, 40), clean=80.0)
        with pytest.raises(InputError, match="expected a dice from 0 to 1, case 'c00000' under 'clean' has 80"):
            rb.verdicts(table)

    @pytest.mark.parametrize(
        ("column", "value"), [("dice", -1), ("mask_change", -0.01), ("dice_other", 2), ("reference_fraction", 30)]
    )
    def test_so_are_marks_for_what_is_not_known(self, column, value):
        table = paired(np.zeros(40)).assign(mask_change=0.0, dice_other=0.0, reference_fraction=0.1)
        table.loc[3, column] = value
        with pytest.raises(InputError, match=f"expected a {column} from 0 to 1"):
            rb.verdicts(table)

    def test_a_metric_from_minus_one_has_effects_of_two(self):
        class Kappa(MaskMetric):
            definition, low = "agreement beyond chance", -1.0

        METRICS.add("kappa_of_a_test")(Kappa)
        try:
            assert effect_range("kappa_of_a_test") == (-2.0, 2.0)
            table = paired(np.zeros(60)).rename(columns={"dice": "kappa_of_a_test"})
            assert verdict_of(table, margins={"kappa_of_a_test": 0.1})["verdict"] == "ROBUST*"
        finally:
            del METRICS._entries["kappa_of_a_test"]

    def test_a_registered_metric_keeps_its_direction(self):
        with pytest.raises(InputError, match="higher_is_better: expected True for 'dice'"):
            rb.verdicts(paired(np.full(40, 0.5)), higher_is_better={"dice": False})


class TestScoresNotWorthKeeping:
    def test_a_table_with_iou_alone_has_floors_too(self):
        table = paired(np.zeros(60), clean=0.05).rename(columns={"dice": "iou"})
        found = verdict_of(table)
        assert found["verdict"] == "UNTESTABLE"
        assert "the clean IoU 0.050 is not shown above the margin 0.1" in found["sentence"]

    def test_a_whole_image_is_a_floor_of_iou(self):
        table = paired(np.zeros(60), clean=0.5).rename(columns={"dice": "iou"}).assign(reference_fraction=0.5)
        assert "that of a mask of the whole image, 0.500" in verdict_of(table)["sentence"]

    def test_an_iou_below_the_margin_cannot_lose_it(self):
        found = rb.verdicts(paired(np.zeros(60), clean=0.15).assign(iou=0.08)).set_index("metric")
        assert found["verdict"].to_dict() == {"dice": "ROBUST", "iou": "UNTESTABLE"}

    def test_nor_can_a_clean_score_below_an_own_margin(self):
        found = verdict_of(paired(np.zeros(60), clean=0.25), margins={"dice": 0.3})
        assert found["verdict"] == "UNTESTABLE"
        assert "it cannot lose that much" in found["sentence"]


class TestTextsThatAreMissing:
    """Several texts of a case: one that is left does not speak for those that failed."""

    def failing(self, condition, n_texts, values, metric="dice", **columns):
        return [
            rows_of(condition, values if i == 0 else np.full(60, np.nan), metric=metric, prompt_index=i, **columns)
            for i in range(n_texts)
        ]

    def test_three_of_four_texts_failed_is_not_robust(self):
        clean = [rows_of("clean", np.full(60, 0.9), prompt_index=i) for i in range(4)]
        found = verdict_of(pd.concat([*clean, *self.failing(IMAGE, 4, np.full(60, 0.9))]))
        assert (found["verdict"], found["n_missing"]) == ("INCONCLUSIVE", 60)
        assert "75% of the cases are missing" in found["rule"]

    def test_paraphrases_that_failed_do_not_make_a_reaction(self):
        parts = [changes("clean", np.zeros(60)), changes("antonym:size", np.full(60, 0.3))]
        parts += self.failing("paraphrase", 3, np.zeros(60), "mask_change")
        assert verdict_of(pd.concat(parts), "prompt")["verdict"] == "INCONCLUSIVE"

    def test_nor_do_requests_that_failed_make_an_abstention(self):
        parts = [rows_of("clean", np.full(60, 0.9), area_fraction=0.1, mask_change=0.0)]
        parts += self.failing("wrong_class", 3, np.zeros(60), "area_fraction", mask_change=1.0, expectation="abstain")
        found = verdict_of(pd.concat(parts), "abstention")
        assert found["verdict"] == "INCONCLUSIVE"
        assert "60 patients lack a mask" in found["sentence"]

    def test_what_painted_once_hallucinates_whatever_else_failed(self):
        parts = [rows_of("clean", np.full(60, 0.9), area_fraction=0.1, mask_change=0.0)]
        parts += self.failing(
            "wrong_class", 2, np.full(60, 0.1), "area_fraction", mask_change=1.0, expectation="abstain"
        )
        assert verdict_of(pd.concat(parts), "abstention")["verdict"] == "HALLUCINATES"


class TestAFewCasesThatAreMissing:
    def test_a_twentieth_that_failed_leaves_no_certificate(self):
        # Those known lose .06; were the missing 5% lost masks, the mean loss would be .107.
        found = verdict_of(paired(np.r_[np.full(190, 0.06), np.full(10, np.nan)], clean=1.0))
        assert (found["verdict"], found["certified"], found["n_missing"]) == ("ROBUST*", False, 10)
        assert "10 cases are missing, and no certificate holds" in found["sentence"]

    def test_a_certificate_that_survives_them_stays(self):
        found = verdict_of(paired(np.r_[np.zeros(199), np.nan], clean=1.0))
        assert (found["verdict"], found["n_missing"]) == ("ROBUST", 1)

    def test_ignoring_is_not_certified_either(self):
        change = np.r_[np.full(118, 0.0), np.nan, np.nan, np.nan]
        parts = [changes("clean", np.zeros(121)), changes("drop:size", change), changes("paraphrase", np.zeros(121))]
        assert verdict_of(pd.concat(parts), "prompt")["verdict"] == "IGNORES*"


class TestStars:
    """With `star_alpha` a starred ROBUST or IGNORES has a proven error rate too, FOLLOWS always; a warning stays."""

    @pytest.mark.parametrize(
        ("n", "verdict"), [(12, "INCONCLUSIVE"), (15, "INCONCLUSIVE"), (16, "ROBUST*"), (29, "ROBUST")]
    )
    def test_nobody_loses(self, n, verdict):
        found = verdict_of(paired(np.zeros(n)), star_alpha=0.2)
        assert found["verdict"] == verdict
        assert verdict_of(paired(np.zeros(n)))["verdict"].rstrip("*") == "ROBUST"
        if verdict == "INCONCLUSIVE":
            assert f"0 of {n} patients lose more than that" in found["sentence"]
            assert (
                f"the interval alone would say ROBUST, and {n} patients can miss the few who collapse"
                in found["sentence"]
            )
            assert found["n_needed"] == 16

    @pytest.mark.parametrize(("n", "verdict"), [(20, "INCONCLUSIVE"), (32, "IGNORES*"), (59, "IGNORES")])
    def test_nobody_reacts(self, n, verdict):
        found = verdict_of(battery("blind", n), "prompt", star_alpha=0.2)
        assert (found["verdict"], found["n_needed"] if n < 59 else 59) == (verdict, 59)
        assert verdict_of(battery("blind", n), "prompt")["verdict"].rstrip("*") == "IGNORES"

    @pytest.mark.parametrize("star_alpha", [0, -0.1, 1.5, float("nan")])
    def test_an_error_rate_out_of_range_is_refused(self, star_alpha):
        with pytest.raises(InputError, match="star_alpha: expected an error rate above 0 and up to 1"):
            rb.verdicts(paired(np.zeros(12)), star_alpha=star_alpha)

    @pytest.mark.parametrize("n", [12, 20, 30])
    def test_a_twentieth_that_goes_the_other_way_is_not_followed(self, n):
        base = {"other_case_id": "o", "attribute": "size"}
        gain = np.full(n, 0.13)
        table = pd.concat(
            [
                rows_of("clean", np.full(n, 0.5), dice_other=0.5, **base),
                rows_of("other:size", 0.5 - gain, dice_other=0.5 + gain, **base),
            ]
        )
        found = verdict_of(table, "prompt")
        assert found["verdict"] == "INCONCLUSIVE"
        assert f"{n} patients can miss the few who do not follow" in found["sentence"]
        assert found["n_needed"] > n

    def test_a_warning_is_not_withheld(self):
        loss = np.random.default_rng(1).normal(0.16, 0.05, 12)
        assert verdict_of(paired(loss))["verdict"] == "FRAGILE*"


class TestWordsOfTheTable:
    def test_applicable_is_true_or_false(self):
        table = paired(np.zeros(40)).assign(applicable="nein")
        with pytest.raises(InputError, match="applicable: expected True or False in every row, got 'nein'"):
            rb.verdicts(table)

    @pytest.mark.parametrize("family", ["Image", "control"])
    def test_a_family_that_is_none_does_not_drop_the_claim(self, family):
        table = paired(np.full(40, 0.5))
        table["family"] = np.where(table["condition"] == "clean", "clean", family)
        with pytest.raises(InputError, match=f"family: expected one of clean, prompt, image, joint, got '{family}'"):
            rb.verdicts(table)

    @pytest.mark.parametrize("spelling", ["p{:02d}", "{:03d}", "  {}"])
    def test_look_alike_patients_are_warned_of(self, spelling):
        table = paired(np.zeros(30))
        number = table["case_id"].str[-2:].astype(int)
        plain = "P{:02d}" if "p" in spelling else "{}"
        table["subject_id"] = [(plain if n % 2 else spelling).format(n // 2) for n in number]
        with pytest.warns(UserWarning, match="count as two subjects|spellings of 15 subjects"):
            rb.verdicts(table)


def random_table(seed):
    """Return rows of one or two models with anything that a table may hold, and what may go missing."""
    rng = np.random.default_rng(seed)
    n, images = int(rng.integers(1, 40)), int(rng.integers(1, 4))
    parts = []
    for model in ("m", "n")[: int(rng.integers(1, 3))]:
        parts.append(_rows_of_a_model(rng, n, images).assign(model=model))
    table = pd.concat(parts, ignore_index=True)
    lost = rng.random(len(table)) < rng.choice([0.0, 0.02, 0.3])
    for column in ("dice", "mask_change", "dice_other", "area_fraction"):
        table[column] = table[column].where(~(lost & (rng.random() < 0.7)))
    table.loc[rng.random(len(table)) < rng.choice([0.0, 0.05]), "error"] = "failed"
    table.loc[rng.random(len(table)) < rng.choice([0.0, 0.1]), "applicable"] = False
    return table[rng.random(len(table)) >= rng.choice([0.0, 0.03])].sample(frac=1.0, random_state=seed)


def _rows_of_a_model(rng, n, images):
    cases, subjects = n * images, np.repeat(np.arange(n), images)
    clean = np.full(cases, rng.choice([0.0, 0.1, 0.8, 1.0]))
    names = [
        "clean",
        "rerun",
        "paraphrase",
        "antonym:size",
        "other:size",
        "drop:side",
        IMAGE,
        "image:blur@3+paraphrase",
    ]
    names += ["wrong_class", "empty", "shuffled"]
    parts = []
    for name in names:
        size = rng.choice([0.0, 0.05, 0.1, 0.3, 1.0])
        share = rng.choice([0.0, 0.1, 0.5, 1.0])
        moved = np.where(rng.random(cases) < share, size, rng.choice([0.0, 0.02], cases))
        moved = np.zeros(cases) if name == "clean" else moved
        for text in range(int(rng.integers(1, 3))):
            columns = {
                "mask_change": moved,
                "dice_other": np.clip(moved + rng.normal(0, 0.01), 0, 1),
                "area_fraction": np.where(rng.random(cases) < share, 0.1, 0.0),
                "expectation": "abstain" if name == "wrong_class" else "invariant" if rng.random() < 0.3 else "",
                "other_case_id": "o" if name in ("clean", "other:size") else "",
            }
            dice = np.clip(clean - moved * rng.choice([-0.3, 1.0]), 0, 1) if name != "clean" else clean
            parts.append(rows_of(name, dice, subjects=subjects, prompt_index=text, **columns))
    return pd.concat(parts)


@pytest.mark.slow
@pytest.mark.parametrize(
    "seeds", [pytest.param(range(30), id="30"), pytest.param(range(30, 150), id="150", marks=pytest.mark.slow)]
)
def test_random_tables_end_in_verdicts_that_agree_with_their_numbers(seeds):
    judged = 0
    for seed in seeds:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            found = rb.verdicts(random_table(seed), resamples=49, unit="patient")
        for row in found.to_dict("records"):
            _check_row(row, f"{seed}: {row['sentence']}")
            judged += row["verdict"] != "UNTESTABLE"
    assert judged > 3 * len(seeds)


def _check_row(row, message):
    """Assert that a verdict lies on its side of the margin and that its sentence states n of N, level and claims."""
    low, high, margin, plain = row["ci_low"], row["ci_high"], row["margin"], row["verdict"].rstrip("*")
    side = dict.fromkeys(("FOLLOWS", "REACTS", "UNSTABLE", "FRAGILE", "HALLUCINATES"), low > margin)
    side |= dict.fromkeys(("ROBUST", "ABSTAINS"), high < margin)
    side |= {"IGNORES": -margin < low and high < margin, "INCONCLUSIVE": True, "UNTESTABLE": True}
    assert side[plain], message
    assert not (row["verdict"].endswith("*") and row["certified"]), message
    assert row["certified"] == (plain not in ("INCONCLUSIVE", "UNTESTABLE") and "*" not in row["verdict"]), message
    if plain == "UNTESTABLE":
        return
    assert row["n_subjects"] >= 10, message
    stated = re.search(r"n = (\d+) of (\d+) patients?", row["sentence"])
    assert stated is not None, message
    n, total = map(int, stated.groups())
    assert (n, n <= total) == (row["n_subjects"], True), message
    assert row["n_missing"] == 0 or f"{row['n_missing']} image" in row["sentence"], message
    assert f"{100 * row['level']:.4g}% interval, {row['m']} claim" in row["sentence"], message
    _check_counts(row, message)


def _check_counts(row, message):
    """Assert that every count of patients in a sentence is possible, and that its interval is the table's."""
    for count, total in re.findall(r"(\d+) of (\d+) patients", row["sentence"]):
        assert int(count) <= int(total), message
    assert np.isnan(row["share"]) or row["share_low"] <= row["share"] <= row["share_high"], message
    if "percentage points more" in row["sentence"] and row["verdict"].startswith(("REACTS", "IGNORES")):
        shown = f"{100 * row['estimate']:.1f} [{100 * row['ci_low']:.1f}, {100 * row['ci_high']:.1f}] percentage points"
        assert shown in row["sentence"], message
    if row["claim"] == "robustness" and row["metric"] == "dice" and "worsens by" in row["sentence"]:
        assert f"worsens by {row['estimate']:.3f} [{row['ci_low']:.3f}, {row['ci_high']:.3f}]" in row["sentence"], (
            message
        )
