"""Paired comparison of two versions: against an independent computation, and what it refuses to compare."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from robustness.reports.data.frames import Frames, merge
from robustness.reports.data.paired import comparisons, pairs
from robustness.reports.data.run_tables import RunTables


@pytest.fixture
def frames(runs: tuple[RunTables, ...]) -> Frames:
    return merge(runs)


def by_unit(frames: Frames, series: str, condition: str) -> pd.Series:
    rows = frames.results[(frames.results["series"] == series) & (frames.results["condition"] == condition)]
    return rows.groupby("subject_id")["dice"].mean()


@pytest.mark.parametrize("condition", ["clean", "image:gaussian_noise@3", "paraphrase"])
def test_the_difference_is_that_of_a_paired_t_interval_on_unit_means(frames: Frames, condition: str) -> None:
    (one,) = comparisons(frames, min_subjects=6)
    found = next(d for d in one.differences if d.condition == condition)
    lost = by_unit(frames, one.baseline, condition) - by_unit(frames, one.series, condition)
    # Simultaneous over the conditions compared: the largest of many losses is not proven by being the largest.
    expected = stats.ttest_1samp(lost, 0).confidence_interval(1 - 0.05 / len(one.differences))
    assert found.effect == pytest.approx(lost.mean())
    assert (found.ci_low, found.ci_high) == pytest.approx((expected.low, expected.high))
    assert found.n_subjects == len(lost)


def test_what_got_worse_comes_first_by_size(frames: Frames) -> None:
    (one,) = comparisons(frames, min_subjects=6)
    worse = [d for d in one.differences if d.outcome == "worse"]
    assert list(one.differences[: len(worse)]) == worse
    assert [d.effect for d in worse] == sorted((d.effect for d in worse), reverse=True)
    assert all(d.ci_low is not None and d.ci_low > 0 for d in worse)
    assert "identical" not in one.note


def test_words_that_should_move_the_mask_are_judged_by_verdicts_not_by_dice(frames: Frames) -> None:
    (one,) = comparisons(frames, min_subjects=6)
    assert not {"antonym:side", "other:side", "empty", "wrong_class"} & {d.condition for d in one.differences}
    weaker = {c.condition: (c.before, c.after) for c in one.changes if c.worse}
    assert weaker["other:side"] == ("FOLLOWS", "IGNORES*")


def test_a_run_against_itself_has_no_difference(runs: tuple[RunTables, ...]) -> None:
    frames = merge(runs[:1])
    twin = frames.results.assign(series="again")
    both = Frames(
        pd.concat([frames.results, twin]), frames.effects, frames.verdicts, frames.gallery, ("film-unet", "again")
    )
    (one,) = comparisons(both)
    assert one.note.startswith("The scores are identical in every case compared: each difference is exactly 0.")
    assert {d.outcome for d in one.differences} == {"no difference shown"}
    assert {d.effect for d in one.differences} == {0.0}
    assert one.changes == ()


def test_cases_of_one_side_only_are_counted_and_left_out(frames: Frames) -> None:
    gone = (frames.results["series"] == frames.series[1]) & frames.results["case_id"].eq("axi_000_left")
    gone &= frames.results["condition"].eq("clean")
    (one,) = comparisons(replace(frames, results=frames.results[~gone]))
    assert one.unmatched == 1
    assert next(d for d in one.differences if d.condition == "clean").n_images == 11


def test_runs_without_a_common_case_say_so(frames: Frames) -> None:
    names = frames.results["case_id"]
    other = np.where(frames.results["series"] == frames.series[1], "x" + names, names)
    (one,) = comparisons(replace(frames, results=frames.results.assign(case_id=other)))
    assert one.differences == ()
    assert "nothing can be paired" in one.note


def test_models_on_other_data_are_no_pair(frames: Frames) -> None:
    elsewhere = frames.results["dataset"].where(frames.results["series"] == frames.series[0], "other")
    assert pairs(replace(frames, results=frames.results.assign(dataset=elsewhere))) == []


def test_with_fewer_than_ten_subjects_no_side_is_ahead(frames: Frames) -> None:
    (before,) = comparisons(frames, min_subjects=6)
    assert {d.outcome for d in before.differences} > {"no difference shown"}
    assert "So few can show nothing of a long tail" in before.note
    (one,) = comparisons(frames)
    assert {d.outcome for d in one.differences} == {"no difference shown"}
    assert "Described, not judged (fewer than" in one.note


def test_a_side_that_lacks_its_failures_is_not_ahead(frames: Frames) -> None:
    results, (old, new) = frames.results, frames.series
    # The newer model scores one where it scores at all, and fails on every sixth case.
    newer = results["series"].eq(new)
    cases = sorted(results["case_id"].unique())
    failed = newer & results["case_id"].isin(cases[::6])
    better = results.assign(dice=results["dice"].where(~newer, results["dice"].where(results["series"].eq(old), 1.0)))
    (one,) = comparisons(replace(frames, results=better), min_subjects=6)
    assert "better" in {d.outcome for d in one.differences}
    better.loc[failed, "error"] = "out of memory"
    (one,) = comparisons(replace(frames, results=better), min_subjects=6)
    assert "better" not in {d.outcome for d in one.differences}
    assert "the side that is ahead lacks more than 5% of the values" in one.note


CONDITIONS = 30
SUBJECTS = 30


def frames_of(rng: np.random.Generator, worse: float = 0.0) -> Frames:
    """Two models of equal scores under 30 image changes; the second one loses `worse` under the first change."""
    parts = []
    for series in ("first", "second"):
        for i in range(CONDITIONS + 1):
            lost = worse if series == "second" and i == 1 else 0.0
            parts.append(
                pd.DataFrame(
                    {
                        "series": series, "model": series, "dataset": "d", "split": "test",
                        "case_id": [f"c{k}" for k in range(SUBJECTS)], "subject_id": [f"s{k}" for k in range(SUBJECTS)],
                        "condition": "clean" if i == 0 else f"image:c{i}@1", "family": "clean" if i == 0 else "image",
                        "prompt_index": 0, "applicable": True, "error": "", "expectation": "invariant",
                        "dice": 0.8 + rng.normal(0, 0.05, SUBJECTS) - lost,
                    }
                )
            )  # fmt: skip
    verdicts = pd.DataFrame(columns=["series", "claim", "condition", "metric", "verdict"])
    return Frames(pd.concat(parts, ignore_index=True), pd.DataFrame(), verdicts, pd.DataFrame(), ("first", "second"))


@pytest.mark.slow
def test_equal_models_under_thirty_conditions_rarely_show_any_proven_loss() -> None:
    runs, wrong, alone = 30, 0, 0
    for run in range(runs):
        (one,) = comparisons(frames_of(np.random.default_rng(run)), resamples=399, seed=run)
        wrong += any(d.outcome == "worse" for d in one.differences)
        alone += any(d.effect is not None and d.effect > 0.025 for d in one.differences)
    # Something looks large in nearly every run, and almost none of it is called proven.
    assert alone / runs > 0.3
    assert wrong / runs <= 0.05 + 3 * (0.05 * 0.95 / runs) ** 0.5


def test_a_real_loss_among_thirty_conditions_is_proven() -> None:
    (one,) = comparisons(frames_of(np.random.default_rng(1), worse=0.1), resamples=1999)
    first = one.differences[0]
    assert (first.condition, first.outcome) == ("image:c1@1", "worse")
    assert sum(d.outcome == "worse" for d in one.differences) == 1
    assert one.note == ""


def judged(claim: str, condition: str, metric: str, before: str, after: str) -> list[dict[str, object]]:
    row = {"claim": claim, "condition": condition, "metric": metric}
    return [
        {**row, "series": name, "verdict": v} for name, v in (("film-unet", before), ("film-unet-image-only", after))
    ]


def turned(frames: Frames, *rows: dict[str, object]) -> Frames:
    return replace(frames, verdicts=pd.DataFrame(rows))


def test_every_metric_of_a_verdict_is_compared_not_dice_alone(frames: Frames) -> None:
    """A mask change that becomes FRAGILE while Dice stays ROBUST is what got worse."""
    noise = "image:gaussian_noise@3"
    rows = judged("robustness", noise, "dice", "ROBUST", "ROBUST")
    rows += judged("robustness", noise, "iou", "ROBUST", "FRAGILE")
    rows += judged("robustness", noise, "mask_change", "ROBUST", "FRAGILE")
    (one,) = comparisons(turned(frames, *rows))
    (change,) = one.changes
    assert (change.before, change.after, change.worse) == ("ROBUST", "FRAGILE", True)
    assert change.metrics == ("IoU", "mask change")


@pytest.mark.parametrize(
    ("claim", "condition", "before", "after", "worse"),
    [
        ("robustness", "image:jpeg@5", "ROBUST", "UNTESTABLE", True),
        ("robustness", "image:jpeg@5", "FRAGILE*", "UNTESTABLE", False),
        ("robustness", "image:jpeg@5", "UNTESTABLE", "FRAGILE", True),
        ("robustness", "image:jpeg@5", "INCONCLUSIVE", "UNTESTABLE", False),
        ("prompt", "antonym:side", "INCONCLUSIVE", "IGNORES", True),
        ("prompt", "antonym:side", "IGNORES", "INCONCLUSIVE", False),
        ("prompt", "antonym:side", "IGNORES", "REACTS", False),
        ("prompt", "other:side", "FOLLOWS", "REACTS", True),
        ("prompt", "rare:side", "REACTS", "IGNORES", False),
        ("abstention", "wrong_class", "ABSTAINS", "INCONCLUSIVE", True),
        ("abstention", "wrong_class", "INCONCLUSIVE", "HALLUCINATES", True),
    ],
)
def test_a_verdict_is_worse_where_it_is_further_from_what_should_happen(
    frames: Frames, claim: str, condition: str, before: str, after: str, worse: bool
) -> None:
    (one,) = comparisons(turned(frames, *judged(claim, condition, "dice", before, after)))
    assert [(c.before, c.after, c.worse) for c in one.changes] == [(before, after, worse)]


def test_what_no_longer_follows_comes_before_what_can_no_longer_be_tested(frames: Frames) -> None:
    rows = judged("robustness", "image:jpeg@5", "dice", "ROBUST", "UNTESTABLE")
    rows += judged("prompt", "other:side", "dice", "FOLLOWS", "IGNORES")
    (one,) = comparisons(turned(frames, *rows))
    assert [c.after for c in one.changes] == ["IGNORES", "UNTESTABLE"]


def test_claims_that_lost_their_verdict_are_counted(frames: Frames) -> None:
    rows = judged("robustness", "image:jpeg@5", "dice", "ROBUST", "ROBUST")
    rows += judged("robustness", "image:jpeg@5", "iou", "ROBUST", "ROBUST")[:1]
    (one,) = comparisons(turned(frames, *rows))
    assert (one.changes, one.unjudged) == ((), 1)
