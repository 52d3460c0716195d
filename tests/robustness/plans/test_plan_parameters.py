"""Writing calibrated parameters into plans that people wrote."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import robustness as rb
from robustness.errors import InputError
from robustness.perturb.language.ontology.terms import find_term
from robustness.perturb.language.truth import judge_prompt
from robustness.plans.audit import load_plan, parse_plan
from robustness.plans.finetune import TrainDataSpec, parse_train_plan
from robustness.plans.parameters import table_text, with_parameters, write_parameters
from robustness.plans.study import StudyPlan
from robustness.plans.validation import validated
from robustness.runners.audit.jobs import Group
from robustness.runners.training.samples.resized_cases import open_split
from robustness.workflows.loading import load_data

FIVE = {"gaussian_noise": (0.01, 0.02, 0.03, 0.04, 0.05)}
LINES = {"motion_blur": ((1.0, 2.0), (2.0, 3.0), (3.0, 4.0), (4.0, 5.0), (5.0, 6.0))}
HEAD = '# My plan\nseed = 3 # why three\n\n[model]\nname = "clipseg"\n\n[data]\npath = "data"\n\n'
TAIL = '\n[metrics]\nnames = ["dice"] # the one\n'


def tree_of(text: str) -> dict:
    return tomllib.loads(text)


@pytest.mark.parametrize(
    ("written", "image"),
    [
        ("", {}),
        ("[perturbations]\nprompt = []\n", {}),
        ('[perturbations]\nimage = { kinds = "all", severities = [1, 5] }\n', {"kinds": "all", "severities": [1, 5]}),
        ('[perturbations]\nimage = [\n  "jpeg",\n  "hue@3", # turned\n]\nprompt = []\n', {"kinds": ["jpeg", "hue@3"]}),
        ('[perturbations]\nimage = "modality"\n', {"kinds": "modality"}),
        ('[perturbations.image]\nkinds = ["jpeg"]\n', {"kinds": ["jpeg"]}),
        ('[perturbations.image]\npreset = "medmnist-c" # as published\n', {"preset": "medmnist-c"}),
        ('[perturbations]\nimage.kinds = ["jpeg"]\n', {"kinds": ["jpeg"]}),
    ],
)
def test_the_table_is_added_and_every_other_key_stays(written: str, image: dict) -> None:
    text = HEAD + written + TAIL
    changed = with_parameters(text, FIVE)
    expected = tree_of(text)
    expected.setdefault("perturbations", {})["image"] = {
        **image,
        "parameters": {"gaussian_noise": list(FIVE["gaussian_noise"])},
    }
    assert tree_of(changed) == expected
    for comment in ("# My plan", "# why three", "# the one"):
        assert comment in changed


def test_perturbations_on_one_line_become_tables() -> None:
    text = '# Mine\nperturbations = { prompt = ["drop:size"], image = ["hue@3"] }\n' + HEAD + TAIL
    expected = tree_of(text)
    expected["perturbations"]["image"] = {
        "kinds": ["hue@3"],
        "parameters": {"gaussian_noise": [*FIVE["gaussian_noise"]]},
    }
    changed = with_parameters(text, FIVE)
    assert tree_of(changed) == expected
    assert changed.startswith("# Mine\n# My plan\n")


def test_a_second_table_replaces_the_kinds_that_it_has_and_keeps_the_others() -> None:
    once = with_parameters(HEAD + TAIL, {**FIVE, **LINES})
    other = {"gaussian_noise": (0.1, 0.2, 0.3, 0.4, 0.5)}
    twice = with_parameters(once, other)
    held = tree_of(twice)["perturbations"]["image"]["parameters"]
    assert held == {
        "gaussian_noise": list(other["gaussian_noise"]),
        "motion_blur": [list(v) for v in LINES["motion_blur"]],
    }
    assert twice.count("[perturbations.image.parameters]") == 1
    assert with_parameters(twice, other) == twice


def test_a_table_in_the_middle_is_replaced_and_what_follows_stays() -> None:
    text = HEAD + "[perturbations.image.parameters]\njpeg = [5, 4, 3, 2, 1]\n# about the metrics\n" + TAIL
    changed = with_parameters(text, {"jpeg": (9, 8, 7, 6, 5)})
    assert tree_of(changed)["perturbations"]["image"]["parameters"] == {"jpeg": [9, 8, 7, 6, 5]}
    assert tree_of(changed)["metrics"] == {"names": ["dice"]}
    assert "# about the metrics" in changed


def test_the_written_plan_is_a_plan(tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text(HEAD + '[perturbations]\nimage = { kinds = ["motion_blur"], severities = [2] }\n', "utf-8")
    write_parameters(plan, LINES)
    read = load_plan(plan).perturbations.image
    assert (read.kinds, read.severities) == (["motion_blur"], [2])
    assert read.parameters == {"motion_blur": [list(v) for v in LINES["motion_blur"]]}


def test_what_cannot_be_extended_safely_is_left_alone(tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text('"perturbations" = { image = "all" }\n' + HEAD, "utf-8")
    before = plan.read_text("utf-8")
    with pytest.raises(InputError, match="cannot be extended safely"):
        write_parameters(plan, FIVE)
    assert plan.read_text("utf-8") == before
    with pytest.raises(InputError, match="not valid TOML"):
        with_parameters("seed = = 3", FIVE)
    with pytest.raises(InputError, match="found none"):
        write_parameters(tmp_path / "none.toml", FIVE)


def test_the_printed_table_is_toml() -> None:
    assert tree_of(table_text({**FIVE, **LINES}))["perturbations"]["image"]["parameters"]["motion_blur"][1] == [
        2.0,
        3.0,
    ]


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
