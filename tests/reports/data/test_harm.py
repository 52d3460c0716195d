"""Harm of findings: recomputed by hand, and large losses before small certain ones."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from robustness.reports.data.claims import Claim
from robustness.reports.data.frames import Frames, merge
from robustness.reports.data.gallery import Gallery
from robustness.reports.data.harm import HarmTable, distance
from robustness.reports.data.run_tables import RunTables
from robustness.reports.sections.findings import worst_findings


def claim(verdict: str, condition: str, *, estimate: float, metric: str = "dice") -> Claim:
    return Claim(0, "film-unet", condition, metric, verdict, "", estimate, None, None, None, 6)


@pytest.fixture
def frames(runs: tuple[RunTables, ...]) -> Frames:
    return merge(runs[:1])


def test_what_breaks_costs_the_dice_lost(frames: Frames) -> None:
    losses = frames.effects[frames.effects["metric"] == "dice"].set_index("condition")["effect"]
    harm = HarmTable(frames).harm(claim("FRAGILE", "image:jpeg@5", estimate=0.3), "robustness", "invariant")
    assert harm == pytest.approx(losses["image:jpeg@5"])
    named = HarmTable(frames).named(claim("FRAGILE", "image:jpeg@5", estimate=0.3), "robustness", "invariant")
    assert named.name == "Dice lost"


def test_a_moved_mask_costs_its_dice_distance_where_that_is_more(frames: Frames) -> None:
    one = claim("FRAGILE*", "image:jpeg@5", estimate=0.5, metric="mask_change")
    assert HarmTable(frames).harm(one, "robustness", "invariant") == pytest.approx(1 / 3)
    assert HarmTable(frames).named(one, "robustness", "invariant").name == "Dice distance of changed to clean mask"
    assert distance(0.5) == pytest.approx(1 - 2 * 0.5 / 1.5)


@pytest.mark.parametrize(
    ("verdict", "sort", "expectation"),
    [
        ("ROBUST", "robustness", "invariant"),
        ("FOLLOWS", "prompt", "follow"),
        ("ABSTAINS", "abstention", "abstain"),
        ("REACTS", "prompt", "change"),
        ("IGNORES", "prompt", "none"),
        ("INCONCLUSIVE", "prompt", "change"),
    ],
)
def test_what_is_as_it_should_be_harms_nobody(frames: Frames, verdict: str, sort: str, expectation: str) -> None:
    assert HarmTable(frames).harm(claim(verdict, "antonym:side", estimate=0.9), sort, expectation) is None


def test_hallucination_harms_the_share_that_gets_a_mask(frames: Frames) -> None:
    one = claim("HALLUCINATES", "wrong_class", estimate=0.8)
    assert HarmTable(frames).harm(one, "abstention", "abstain") == pytest.approx(0.8)


def test_an_ignored_word_costs_the_distance_to_what_was_asked_for(runs: tuple[RunTables, ...]) -> None:
    rows = runs[0].results.copy()
    asked = rows["condition"] == "other:side"
    # Two cases of a unit count as one: the mean over units, not over rows.
    rows.loc[asked, "dice_other"] = [0.1 * i for i in range(int(asked.sum()))]
    expected = 1 - rows[asked].groupby("subject_id")["dice_other"].mean().mean()
    table = HarmTable(merge([replace(runs[0], results=rows)]))
    assert table.harm(claim("IGNORES", "other:side", estimate=0.0), "prompt", "follow") == pytest.approx(expected)


def test_without_a_second_target_half_the_clean_dice_is_at_stake(frames: Frames) -> None:
    clean = frames.results[frames.results["condition"] == "clean"].groupby("subject_id")["dice"].mean().mean()
    one = claim("IGNORES*", "antonym:size", estimate=0.0)
    assert HarmTable(frames).harm(one, "prompt", "change") == pytest.approx(clean / 2)


def test_a_large_starred_loss_stands_before_a_small_certain_one(runs: tuple[RunTables, ...]) -> None:
    verdicts, effects = runs[0].verdicts.copy(), runs[0].effects.copy()
    robust = verdicts["claim"] == "robustness"
    verdicts.loc[robust, "verdict"] = "ROBUST"
    for condition, verdict, loss in (("image:jpeg@5", "FRAGILE", 0.11), ("image:gamma@5", "FRAGILE*", 0.6)):
        verdicts.loc[robust & (verdicts["condition"] == condition), ["verdict", "estimate"]] = [verdict, loss]
        effects.loc[(effects["condition"] == condition) & (effects["metric"] == "dice"), "effect"] = loss
    verdicts = verdicts[verdicts["claim"] == "robustness"]
    found = worst_findings(merge([replace(runs[0], verdicts=verdicts, effects=effects)]), Gallery())
    assert [f.measure for f in found] == ["Dice lost 0.60", "Dice lost 0.11"]
    assert [(f.condition, f.harm) for f in found] == [("image:gamma@5", 0.6), ("image:jpeg@5", 0.11)]


def test_of_two_equal_harms_the_certified_comes_first(runs: tuple[RunTables, ...]) -> None:
    verdicts = pd.concat([runs[0].verdicts] * 1)
    kept = verdicts["condition"].isin(["antonym:size", "antonym:number"])
    verdicts = verdicts[kept].assign(verdict=["IGNORES*", "IGNORES"])
    found = worst_findings(merge([replace(runs[0], verdicts=verdicts)]), Gallery())
    assert [f.verdict for f in found] == ["IGNORES", "IGNORES*"]
