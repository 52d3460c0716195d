"""`target`, `convention` and `lexicon` of ``[data]`` mean one thing in audits, finetuning and studies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import robustness as rb
from robustness.errors import InputError
from robustness.perturb.language.ontology.terms import find_term
from robustness.perturb.language.truth import judge_prompt
from robustness.plans.audit import parse_plan
from robustness.plans.finetune import TrainDataSpec, parse_train_plan
from robustness.plans.study import StudyPlan
from robustness.plans.validation import validated
from robustness.runners.audit.jobs import Group
from robustness.runners.training.samples.resized_cases import open_split
from robustness.workflows.loading import load_data

WORDS: dict[str, Any] = {"target": "zorple", "convention": {"side": "viewer"}, "lexicon": "mine.csv"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A manifest with one image, its left half drawn, and a lexicon with one word."""
    mask = np.zeros((16, 16), dtype=np.uint8)
    mask[4:12, 1:6] = 255
    Image.fromarray(mask).save(tmp_path / "m.png")
    Image.fromarray(np.dstack([mask] * 3)).save(tmp_path / "i.png")
    (tmp_path / "data.csv").write_text("image,mask,p6,split\ni.png,m.png,left zorple,train\n")
    (tmp_path / "mine.csv").write_text("name,plural,category,lateral,modalities\nzorple,zorples,anatomy,1,CT\n")
    return tmp_path


def test_an_audit_reads_them_beside_the_plan(folder: Path) -> None:
    tree = {"model": {"name": "unet"}, "data": {"path": "data.csv", "split": "train", **WORDS}}
    data = load_data(parse_plan(tree, source="test").data[0], seed=0, folder=folder)
    case = data[0]
    assert case.target == "zorple"
    assert case.metadata["convention"] == {"side": "viewer"}
    assert find_term("zorples") is not None
    # The viewer's left is where the mask lies; the patient's would not be known.
    assert judge_prompt(case)["side"] == "true"
    assert data.spec()["target"] == "zorple"


def test_relating_words_are_judged_by_the_other_targets_in_a_stated_display(folder: Path) -> None:
    mask = np.zeros((16, 16), dtype=np.uint8)
    mask[0:2, 2:5] = 255
    Image.fromarray(mask).save(folder / "n.png")
    rows = "i.png,m.png,liver,liver,test\ni.png,n.png,tumor anterior to the liver,tumor,test\n"
    (folder / "pair.csv").write_text("image,mask,p6,target,split\n" + rows)
    # Rows run to the patient's back, so that the tumor above the liver lies in front of it.
    for display, truth in (("LP", "true"), ("LA", "false"), (None, "unknown")):
        convention = None if display is None else {"display": display}
        data = rb.load_dataset(folder / "pair.csv", split="test", prompt="p6", convention=convention)
        liver, tumor = data
        group = Group(((0, liver, ()), (1, tumor, ())), ())
        assert judge_prompt(tumor, landmarks=group.landmarks(tumor))["relation"] == truth
    with pytest.raises(InputError, match="LP"):
        rb.load_dataset(folder / "pair.csv", split="test", prompt="p6", convention={"display": "LL"})


def test_finetuning_reads_them_too(folder: Path) -> None:
    spec = TrainDataSpec(path=str(folder / "data.csv"), **{**WORDS, "lexicon": str(folder / "mine.csv")})
    (data,) = open_split(spec, "train", ["p6"]).values()
    assert (data[0].target, data[0].metadata["convention"]) == ("zorple", {"side": "viewer"})


def test_they_leave_the_hash_of_older_finetune_plans_as_it_was() -> None:
    tree = {"model": {"name": "unet"}, "data": {"path": "d"}}
    stated = {**tree, "data": {"path": "d", "target": "polyp"}}
    plain, with_target = (parse_train_plan(t, source="test") for t in (tree, stated))
    assert "target" not in str(plain.model_dump(exclude_defaults=True))
    assert plain.sha256() != with_target.sha256()


def test_a_study_hands_them_to_training_and_to_the_audit(tmp_path: Path) -> None:
    tree = {"model": {"name": "unet"}, "data": {"path": "d", **WORDS}}
    (cell,) = validated(StudyPlan, tree, source="test").cells(tmp_path)
    assert cell.train is not None
    assert {k: getattr(cell.train.data, k) for k in WORDS} == WORDS
    assert {k: getattr(cell.audit.data[0], k) for k in WORDS} == WORDS


@pytest.mark.parametrize("parse", [parse_plan, parse_train_plan])
def test_an_owner_of_left_that_is_neither_is_refused(parse: Any) -> None:
    tree = {"model": {"name": "unet"}, "data": {"path": "d", "convention": "mirror"}}
    with pytest.raises(InputError, match="convention"):
        parse(tree, source="test")


def test_a_lexicon_that_is_not_there_is_named(folder: Path) -> None:
    with pytest.raises(InputError, match=r"data\.lexicon"):
        rb.load_dataset(folder / "data.csv", "train", lexicon=folder / "none.csv")
