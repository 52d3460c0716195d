"""Flags of empty masks: against what the prompt asks for, not against what the case shows."""

from __future__ import annotations

import re

import numpy as np
import pytest

import robustness as rb
from robustness.metrics.scores.empty import Emptiness, flags_of_prompt
from tests.synthetic import ignores_prompt, write_dataset


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
