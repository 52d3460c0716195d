"""Templates: what is built is read back, grammar holds, what is not known is left out."""

from __future__ import annotations

from typing import Any

import pytest

from robustness.errors import InputError
from robustness.perturb.language.parse import parse_prompt
from robustness.perturb.language.templates import build_prompts, families, family_of, render

STATED: dict[str, dict[str, Any]] = {
    "photograph": {
        "target": "polyp",
        "number": "one",
        "size": "small",
        "colour": "pink",
        "shape": "oval",
        "location": "top left",
    },
    "breast": {
        "target": "tumor",
        "number": "two",
        "size": "large",
        "shape": "round",
        "pathology": "benign",
        "location": "top",
    },
    "echo": {
        "target": "myocardium",
        "view": "two-chamber",
        "phase": "systole",
        "sex": "female",
        "age": 81,
        "quality": "good",
        "shape": "oval",
    },
    "chest": {
        "target": "Support Devices",
        "view": "frontal",
        "shape": "oval",
        "location": "left",
        "pathology": ["Edema", "Fracture"],
    },
    "scan": {
        "target": "hippocampus",
        "number": "one",
        "size": "small",
        "side": "left",
        "direction": "anterior",
        "view": "sagittal",
        "modality": "MRI",
        "location": "top left",
    },
}


@pytest.mark.parametrize("family", families())
def test_the_richest_level_is_read_back_with_the_same_values(family: str) -> None:
    stated = STATED[family]
    prompts = build_prompts(stated, family=family)
    level = {"photograph": "p6", "breast": "p6", "echo": "p7", "chest": "p5", "scan": "p6"}[family]
    found = {a.kind: a.value.lower() for a in parse_prompt(prompts[level], siblings=prompts).attributes}
    spelled = {"age": "eighty-one-year-old", "pathology": "edema, fracture"}
    for kind, value in stated.items():
        wanted = spelled.get(kind, str(value).lower()) if not isinstance(value, str) else value.lower()
        assert found[kind] == (wanted if kind != "target" or family != "breast" else "tumors"), kind


@pytest.mark.parametrize("family", families())
def test_each_level_without_attributes_still_asks_for_the_target(family: str) -> None:
    target = STATED[family]["target"]
    for level, listed in build_prompts({"target": target}, family=family).items():
        for text in [listed] if isinstance(listed, str) else listed:
            assert level == "p0" or target.lower() in text.lower()
            assert "{" not in text
            assert "[" not in text
            assert "  " not in text


def test_an_absent_target_is_absent_at_every_level() -> None:
    prompts = build_prompts({"target": "tumor", "number": "no"}, family="breast")
    assert set(prompts.values()) == {"", "No tumor in the breast ultrasound image."}


def test_the_noun_the_article_and_the_verb_agree() -> None:
    assert build_prompts({"target": "polyp", "number": "two"})["p5"] == "two polyps"
    assert build_prompts({"target": "polyp", "number": "two"})["p1"] == "polyp"
    assert build_prompts({"target": "hippocampus", "side": "both"})["p2"] == "left and right hippocampi"
    assert "of an eighty-one-year-old female" in build_prompts(STATED["echo"], family="echo")["p5"]
    one = build_prompts({**STATED["chest"], "pathology": ["Edema"]}, family="chest")
    assert one["p6"].endswith("Edema is present.")
    several = build_prompts({"target": "polyp", "number": "two"})["p8"]
    assert all("polyps each of which is a " in text for text in several)


def test_what_a_template_has_no_place_for_stays_in_the_name() -> None:
    words = {"target": "lung", "side": "left", "view": "frontal", "size": "large"}
    chest = build_prompts(words, family="chest", name="left lung")
    assert chest["p1"] == "Left lung in a chest X-ray."
    assert all("left lung" in text.lower() for level, text in chest.items() if level != "p0")
    part = build_prompts(
        {"target": "hippocampus", "direction": "anterior", "size": "small"}, name="anterior hippocampus"
    )
    assert part["p4"] == "small anterior hippocampus"
    absent = build_prompts({**words, "number": "no"}, family="chest", name="left lung")
    assert absent["p3"] == "No left lung in a chest X-ray."


def test_free_templates_leave_out_what_is_not_known() -> None:
    template = "[{number} ]{target}[ in {view} view][, {size}]"
    assert render(template, {"target": "lung", "view": "frontal"}) == "lung in frontal view"
    assert build_prompts({"target": "lung", "size": "large"}, templates={"mine": template})["mine"] == "lung, large"


@pytest.mark.parametrize(
    ("template", "words", "message"),
    [
        ("{colr} {target}", {"target": "polyp"}, "colour"),
        ("{size} {target}", {"target": "polyp"}, "size is not known"),
        ("[{size} {target}", {"target": "polyp", "size": "small"}, "each bracket to be closed"),
        ("{target}]", {"target": "polyp"}, "each bracket to be closed"),
        ("{target", {"target": "polyp"}, "each bracket to be closed"),
        ("{target}[, in [{location}]]", {"target": "polyp"}, "none inside another"),
    ],
)
def test_wrong_templates_are_refused_with_a_hint(template: str, words: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        render(template, words)


def test_wrong_families_and_missing_targets_are_refused() -> None:
    with pytest.raises(InputError, match="photograph"):
        build_prompts({"target": "polyp"}, family="photo")
    with pytest.raises(InputError, match="target"):
        build_prompts({})


@pytest.mark.parametrize(
    ("modality", "target", "family"),
    [
        ("endoscopy", "polyp", "photograph"),
        ("ultrasound", "tumor", "breast"),
        ("ultrasound", "kidney", "photograph"),
        ("echocardiography", "", "echo"),
        ("chest Xray", "", "chest"),
        ("T1-weighted MRI", "hippocampus", "scan"),
        ("CT", "liver", "scan"),
        ("", "", "photograph"),
    ],
)
def test_the_family_follows_the_modality(modality: str, target: str, family: str) -> None:
    assert family_of(modality, target) == family
