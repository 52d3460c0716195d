"""Expected against observed, and harm of findings, recomputed from verdicts and rows; how tables state levels."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from robustness.reports.data.claims import Claim
from robustness.reports.data.datatable import Column, DataTable, frame_of, level_words, table_of
from robustness.reports.data.expected import condition_expectations, expected_table, failures, met, required
from robustness.reports.data.frames import Frames, merge
from robustness.reports.data.gallery import Gallery
from robustness.reports.data.harm import HarmTable, distance
from robustness.reports.data.run_tables import RunTables
from robustness.reports.exports.summary import write_summary
from robustness.reports.html.page import write_report
from robustness.reports.sections.findings import worst_findings
from robustness.results import parse_condition


@pytest.mark.parametrize(
    ("verdict", "expectation", "answer"),
    [
        ("FOLLOWS", "follow", "yes"),
        ("REACTS", "follow", "undecided"),
        ("IGNORES*", "follow", "no*"),
        ("REACTS", "change", "yes"),
        ("IGNORES", "change", "no"),
        ("UNSTABLE", "change", "undecided"),
        ("ABSTAINS", "abstain", "yes"),
        ("HALLUCINATES", "abstain", "no"),
        ("ROBUST*", "invariant", "yes*"),
        ("FRAGILE", "invariant", "no"),
        ("INCONCLUSIVE", "invariant", "undecided"),
        ("UNTESTABLE", "change", "not testable"),
        ("IGNORES", "none", ""),
        ("IGNORES", "control", ""),
    ],
)
def test_a_verdict_meets_an_expectation_or_not(verdict: str, expectation: str, answer: str) -> None:
    assert met(verdict, expectation) == answer


@pytest.mark.slow
def test_every_claim_is_in_one_row_and_the_worst_speaks(runs: tuple[RunTables, ...]) -> None:
    frames = merge(runs)
    table = frame_of(expected_table(frames))
    assert table["n_conditions"].sum() == len(frames.verdicts)
    noise = table[(table["change"] == "gaussian noise") & (table["series"] == frames.series[0])].iloc[0]
    own = frames.verdicts[frames.verdicts["series"] == frames.series[0]]
    claims = own[own["condition"].str.startswith("image:gaussian_noise")]
    assert noise["verdict"] == "FRAGILE"
    assert noise["met"] == "no"
    assert noise["n_met"] == claims["verdict"].str.startswith("ROBUST").sum()
    assert noise["estimate"] in set(claims[claims["verdict"] == "FRAGILE"]["estimate"])


def test_what_went_wrong_comes_first(runs: tuple[RunTables, ...]) -> None:
    table = frame_of(expected_table(merge(runs)))
    for _, rows in table.groupby("series", sort=False):
        wrong = rows["met"].str.startswith("no").to_numpy() & (rows["met"] != "not testable").to_numpy()
        assert wrong[: wrong.sum()].all()


def test_an_expectation_that_depends_on_the_case_is_the_most_demanding(runs: tuple[RunTables, ...]) -> None:
    rows = runs[0].results[runs[0].results["condition"] == "antonym:side"].copy()
    rows["expectation"] = ["change"] * (len(rows) - 1) + ["follow"]
    assert condition_expectations(rows) == {"antonym:side": "follow"}


@pytest.mark.slow
def test_the_table_stands_in_both_editions_and_as_csv_and_json(run_folders: list[Path], tmp_path: Path) -> None:
    for edition in ("auditor", "regulatory"):
        page = write_report(run_folders[0], tmp_path / f"{edition}.html", edition=edition).read_text("utf-8")
        assert 'id="expected-sheet"' in page
    write_summary(run_folders[0], tmp_path / "report")
    stored = pd.read_csv(tmp_path / "report-expected.csv")
    content = json.loads((tmp_path / "report.json").read_text("utf-8"))
    (table,) = (t for t in content["tables"] if t["id"] == "expected")
    assert len(stored) == len(table["rows"]) > 5
    assert {parse_condition(c).family for c in stored["condition"]} >= {"prompt", "image"}


def test_where_abstention_is_judged_the_mere_reaction_is_not(runs: tuple[RunTables, ...]) -> None:
    frames = merge(runs[:1])
    absent = frames.verdicts[frames.verdicts["condition"] == "wrong_class"]
    judged = absent.assign(claim="abstention", verdict="HALLUCINATES")
    verdicts = pd.concat([frames.verdicts, judged], ignore_index=True)
    table = frame_of(expected_table(replace(frames, verdicts=verdicts)))
    (row,) = table[table["condition"] == "wrong_class"].to_dict("records")
    assert (row["claim"], row["expected"], row["met"]) == ("abstention", "mask is empty", "no")


def test_what_failed_is_what_the_table_counts_as_no(runs: tuple[RunTables, ...]) -> None:
    frames = merge(runs)
    table = frame_of(expected_table(frames))
    at_worst = {(r["series"], r["condition"]) for r in table.to_dict("records") if r["met"] in ("no", "no*")}
    failed = set(failures(frames))
    assert at_worst
    assert at_worst <= failed
    for series, condition in failed:
        verdicts = frames.verdicts[(frames.verdicts["series"] == series) & (frames.verdicts["condition"] == condition)]
        assert set(verdicts["verdict"].str.rstrip("*")) & {"FRAGILE", "IGNORES", "HALLUCINATES"}


def test_a_single_image_change_is_required_to_leave_the_mask_alone(runs: tuple[RunTables, ...]) -> None:
    asked = required(runs[0].results)
    assert {e for c, e in asked.items() if c.startswith("image:") and "+" not in c} == {"invariant"}
    assert asked["other:side"] == "follow"


ENDS = (
    Column("series", "model"),
    Column("ci_low", "low", "number"),
    Column("ci_high", "high", "number"),
    Column("loss_low", "low", "number"),
    Column("loss_high", "high", "number"),
)


def headed(**columns: list[float | None]) -> DataTable:
    rows = {"series": ["a", "b"], "ci_low": [0.1, 0.2], "ci_high": [0.3, 0.4], "loss_low": [0.0, None]}
    return table_of(pd.DataFrame(rows | {"loss_high": [0.1, None]} | columns), "t", "T", ENDS)


def seen(table: DataTable) -> list[str]:
    return [column.label for column in table.columns if not column.hidden]


def test_a_level_that_all_rows_share_stands_in_the_header() -> None:
    table = headed(level=[0.9, 0.9])
    assert seen(table) == ["model", "low (90%)", "high (90%)", "low (90%)", "high (90%)"]
    assert frame_of(table)["level"].tolist() == [0.9, 0.9]
    assert level_words(table) == "Level of the intervals: 90%."


def test_levels_that_differ_stand_in_a_column() -> None:
    table = headed(level=[0.9, 0.99])
    assert seen(table) == ["model", "low", "high", "low", "high", "level"]
    assert level_words(table) == "Level of the intervals: 90% to 99%; each row has its own, in its numbers."


def test_intervals_of_two_kinds_each_state_their_own_level() -> None:
    assert seen(headed(level=[0.9, 0.9], loss_level=[0.98, None]))[1:] == [
        "low (90%)",
        "high (90%)",
        "low (98%)",
        "high (98%)",
    ]
    assert seen(headed(level=[0.9, 0.99], loss_level=[0.9, None])) == [
        "model",
        "low",
        "high",
        "level",
        "low (90%)",
        "high (90%)",
    ]


def test_rows_without_an_interval_state_no_level_and_an_unknown_one_is_a_dash() -> None:
    assert "low (90%)" in seen(headed(level=[0.9, 0.5], ci_low=[0.1, None], ci_high=[0.2, None]))
    assert seen(headed())[-1] == "level"
    assert level_words(headed()) == "Level of the intervals: not recorded."
    assert level_words(table_of(pd.DataFrame({"series": []}), "t", "T", ENDS)) == ""


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
