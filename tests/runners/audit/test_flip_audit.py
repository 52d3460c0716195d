"""A mirrored image needs mirrored words: shown with models whose use of the side is known by construction."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import robustness as rb
from robustness.metrics.scores.empty import Emptiness, flags_of_prompt
from robustness.workflows.run import Run
from tests.synthetic import ignores_prompt, reads_side, write_dataset

FLIP, CONTROL = "image:horizontal_flip@1", "image:horizontal_flip_unrewritten@1"
MOVES = ("rotation@2", "zoom_in@1", "zoom_out@2", "translation@2", "crop@2", "aspect_ratio@2", "elastic@5")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    root = tmp_path_factory.mktemp("flips")
    data = rb.load_dataset(write_dataset(root / "data", images=12), prompt="p6")
    found = {}
    for function in (reads_side, ignores_prompt):
        name = function.__name__
        names = ["horizontal_flip", "horizontal_flip_unrewritten", "vertical_flip", *MOVES]
        found[name] = rb.audit(
            rb.segmenter(function, name=name),
            data,
            perturbations=names,
            out=root / name,
            report=False,
            statistics={"resamples": 999},
        )
    return found


def effect(run: Run, condition: str) -> pd.Series:
    table = run.effects()
    return table[(table["condition"] == condition) & (table["metric"] == "dice")].iloc[0]


@pytest.mark.slow
def test_a_side_follower_keeps_its_score_with_rewritten_words_and_loses_it_without(runs: dict[str, Run]) -> None:
    rewritten, control = (effect(runs["reads_side"], c) for c in (FLIP, CONTROL))
    assert rewritten["perturbed_mean"] == pytest.approx(rewritten["clean_mean"], abs=0.01)
    assert control["perturbed_mean"] < 0.02
    # All 12 lose alike: no spread was seen, which does not say that a 13th would; the interval is distribution-free.
    assert 0.4 < control["ci_low"] < control["effect"]
    assert control["n_images"] == rewritten["n_images"]


def test_a_model_that_reads_nothing_loses_nothing_in_either(runs: dict[str, Run]) -> None:
    for condition in (FLIP, CONTROL):
        assert effect(runs["ignores_prompt"], condition)["effect"] == pytest.approx(0, abs=0.01)


def test_the_flip_is_judged_and_the_control_is_not(runs: dict[str, Run]) -> None:
    claims = runs["reads_side"].verdicts()
    assert claims[claims["condition"] == FLIP].query("metric == 'dice'")["verdict"].tolist() == ["ROBUST*"]
    assert claims[claims["condition"] == CONTROL].empty


def test_a_visible_side_is_undecided_upside_down_and_says_so(runs: dict[str, Run]) -> None:
    rows = runs["reads_side"].results().query("condition == 'image:vertical_flip@1'")
    assert not rows["applicable"].any()
    assert rows["note"].str.contains("cannot be decided upside down").all()


def test_scores_are_taken_in_the_moved_frame(runs: dict[str, Run]) -> None:
    """The image, the reference and the clean prediction move alike, so a good model stays good under every move."""
    rows = runs["reads_side"].results()
    for name in MOVES:
        moved = rows[(rows["condition"] == f"image:{name}") & rows["applicable"]]
        assert len(moved) >= 6, name
        assert moved["dice"].mean() > 0.85, name
        assert moved["mask_change"].mean() < 0.25, name


def test_the_same_seed_gives_the_same_moves_in_any_company(runs: dict[str, Run], tmp_path: Path) -> None:
    first = runs["reads_side"].results()
    data = rb.load_dataset(write_dataset(tmp_path / "data", images=12), prompt="p6", limit=5)
    alone = rb.audit(
        rb.segmenter(reads_side, name="reads_side"), data, perturbations=["crop@2"], out=tmp_path / "run", report=False
    ).results()
    columns = ["case_id", "prompt", "params", "dice", "note"]
    mine = alone[alone["condition"] == "image:crop@2"][columns].reset_index(drop=True)
    theirs = first[(first["condition"] == "image:crop@2") & first["case_id"].isin(mine["case_id"])][columns]
    pd.testing.assert_frame_equal(mine, theirs.reset_index(drop=True))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("data") / "set", images=6)


def abstains(images, prompts):
    return [
        np.zeros(image.shape[:2]) if re.search(r"\b(no|without|absent)\b", prompt) else mask
        for image, prompt, mask in zip(images, prompts, ignores_prompt(images, prompts), strict=True)
    ]


def abstaining_rows(model, data, out):
    run = rb.audit(
        rb.segmenter(model, name="model"),
        rb.load_dataset(data, prompt="p5"),
        perturbations=["negation", "paraphrase"],
        out=out,
        report=False,
    )
    rows = run.results().query("applicable and error == ''")
    assert (rows["expectation"] == "abstain").any()
    return rows, run.manifest["counts"]


def test_painting_where_nothing_is_asked_for_is_a_hallucination(data, tmp_path):
    rows, counts = abstaining_rows(ignores_prompt, data, tmp_path / "run")
    asked = rows[rows["expectation"] == "abstain"]
    assert asked["hallucinated"].all()
    assert not asked[["missed", "both_empty"]].any(axis=None)
    assert counts["hallucinated"] == len(asked)
    assert not rows.loc[rows["expectation"] != "abstain", "hallucinated"].any()


def test_an_empty_answer_is_right_there_and_missed_nothing(data, tmp_path):
    rows, counts = abstaining_rows(abstains, data, tmp_path / "run")
    asked = rows[rows["expectation"] == "abstain"]
    assert asked["both_empty"].all()
    assert not asked[["missed", "hallucinated"]].any(axis=None)
    assert (counts["missed"], counts["hallucinated"], counts["both_empty"]) == (0, 0, len(asked))
    # The score is still that against the case's own reference.
    assert (asked["dice"] == 0).all()


@pytest.mark.parametrize("expectation", ["", "none", "follow", "change", "invariant", "control"])
def test_other_expectations_keep_the_flags(expectation):
    flags = Emptiness(False, True, False)
    assert flags_of_prompt(flags, painted=False, expectation=expectation) == flags
