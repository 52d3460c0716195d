"""A label's name gives the structure, and the side or direction that qualifies it."""

from __future__ import annotations

import pytest

from robustness.errors import InputError
from robustness.plans.audit import DataSpec
from robustness.runners.data.label_words import label_of, label_words, qualifies_only
from robustness.workflows.loading import load_data
from tests.synthetic import write_dataset


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ("anterior hippocampus", {"target": "hippocampus", "direction": "anterior"}),
        ("Right Lung", {"target": "Lung", "side": "right"}),
        ("left anterior hippocampus", {"target": "hippocampus", "side": "left", "direction": "anterior"}),
        ("hippocampus", {"target": "hippocampus"}),
    ],
)
def test_qualifiers_are_taken_off(label: str, words: dict[str, str]) -> None:
    assert label_words(label) == {**words, **({"label": label} if len(words) > 1 else {})}


@pytest.mark.parametrize(
    "label",
    [
        "left atrium",
        "left ventricular cavity",
        "anterior cruciate ligament",
        "superior vena cava",
        "lateral ventricle",
        "upper lobe of the left lung",
        "left and right lungs",
        "hippocampus_left",
        "anterior",
        "non-enhancing tumor",
        "x",
    ],
)
def test_names_that_hold_such_words_stay_whole(label: str) -> None:
    assert label_words(label) == {"target": label}


def test_a_name_may_be_nothing_but_a_qualifier() -> None:
    assert [name for name in ("Anterior", "left", "left kidney", "PZ", "") if qualifies_only(name)] == [
        "Anterior",
        "left",
    ]


def test_a_label_that_attributes_state_counts_where_it_names_the_target() -> None:
    stated = {"label": "Anterior Hippocampus", "direction": "anterior"}
    assert label_of("hippocampus", stated) == "Anterior Hippocampus"
    assert label_of("kidney", stated) == ""
    assert label_of("left atrium", {"label": "left atrium"}) == ""
    assert label_of("hippocampus", None) == ""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("data") / "set", images=2)


def _texts(data, template):
    dataset = load_data(DataSpec(path=str(data), prompt="p2", template=template), seed=0)
    return [case.prompt for case in dataset]


def test_a_plan_s_template_makes_every_prompt(data):
    prompts = _texts(data, "a {size} {side} {target}[ seen in {phase}]")
    assert [p.text for p in prompts][:2] == ["a medium left caudate nucleus", "a medium right caudate nucleus"]
    assert prompts[0].get("side").value == "left"


def test_what_the_data_do_not_state_is_measured(data):
    (first, *_) = _texts(data, "{number} {target} of {shape} shape")
    assert first.text.startswith("one caudate nucleus of ")
    assert first.text.split()[4] in ("round", "circular", "oval")


@pytest.mark.parametrize(
    ("template", "message"), [("{colr} {target}", "got 'colr'"), ("{phase} {target}", "phase is not known")]
)
def test_templates_that_cannot_be_filled_are_one_clear_line(data, template, message):
    with pytest.raises(InputError, match=message):
        _texts(data, template)
