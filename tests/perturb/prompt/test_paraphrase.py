"""Rewordings: every prompt has some, and all state the same attributes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robustness.perturb.language.grammar.asking import asks, denies
from robustness.perturb.language.parse import parse_prompt
from robustness.perturb.prompt.paraphrase import Paraphrase, texts
from robustness.types import NotApplicable, Prompt
from tests.perturb.prompt_cases import FAMILIES, make_case


def meaning(text: str) -> list[tuple[str, str]]:
    return sorted((a.kind, a.value.lower().replace("that is", "which is")) for a in parse_prompt(text).attributes)


@pytest.mark.parametrize("family", FAMILIES)
def test_rewordings_state_the_same_attributes(family: str) -> None:
    found = texts(parse_prompt(FAMILIES[family]))
    assert 2 <= len(found) <= 3
    assert len(set(found)) == len(found)
    for text in found:
        assert text != FAMILIES[family]
        assert meaning(text) == meaning(FAMILIES[family]), text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("polyp", ("an image showing the polyp", "segment the polyp", "an image of the polyp")),
        ("small polyp, located in the top of the image", ("small polyp in the top part of the image",)),
        ("polyp, located in top, left of the image", ("polyp, situated in top, left of the image",)),
        ("gray matter in axial T1 brain MRI", ("gray matter in the axial view of a T1 brain MRI",)),
        ("No tumor in the breast.", ("There is no tumor in the breast.",)),
        ("Two tumors at the top in the breast.", ("Two tumors in the top part of the breast.",)),
        ("Lung Lesion in a chest Xray.", ("An image showing the Lung Lesion in a chest Xray.",)),
    ],
)
def test_rewordings_read_well(text: str, expected: tuple[str, ...]) -> None:
    assert texts(parse_prompt(text))[: len(expected)] == expected


def test_listed_phrasings_are_not_used_again() -> None:
    assert "segment the polyp" not in texts(Prompt("polyp", paraphrases=("segment the polyp",)))


def test_a_prompt_without_words_has_none() -> None:
    for text in ("", "  ", "...!"):
        assert Paraphrase().draw(make_case(text), 0, np.random.default_rng(0)) is None


@given(st.text(max_size=80))
@settings(max_examples=150, deadline=None)
def test_every_prompt_with_a_word_that_asks_and_denies_nothing_has_at_least_two(text: str) -> None:
    prompt = parse_prompt(text)
    rewordings = texts(prompt)
    if not any(c.isalnum() for c in text):
        assert rewordings == ()
    elif not asks(text) and not denies(prompt):
        assert len(rewordings) >= 2


_WRAPPERS = ("described here", "this sentence", "reported here", "the following")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ejection fraction 35%: outline the left ventricle", "ejection fraction 35%: delineate the left ventricle"),
        ("On axial FLAIR images, mark the plaques.", "On axial FLAIR images, outline the plaques."),
        ("Melanoma is unlikely; outline the benign naevus.", "Melanoma is unlikely; mark the benign naevus."),
        ("pls mark polyp thx", "Mark polyp"),
        ("Show the fluid beneath the left psoas muscle.", "Outline the fluid beneath the left psoas muscle."),
        ("The satellite lesions need outlining.", "The satellite lesions should be outlined."),
        ("The cyst needs marking.", "The cyst needs to be marked."),
    ],
)
def test_no_frame_goes_around_a_request(text: str, expected: str) -> None:
    rewordings = texts(parse_prompt(text))
    assert expected in rewordings
    assert not any(wrapper in new for new in rewordings for wrapper in _WRAPPERS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("No pneumothorax is identified.", ("No pneumothorax is seen.",)),
        ("No focal liver lesion can be seen.", ("No focal liver lesion is visible.",)),
        (
            "There is no evidence of hydronephrosis in the left kidney.",
            (
                "There is no sign of hydronephrosis in the left kidney.",
                "No evidence of hydronephrosis in the left kidney.",
            ),
        ),
        ("no ascites in the pelvis, portal venous phase", ("there is no ascites in the pelvis, portal venous phase",)),
    ],
)
def test_no_frame_goes_around_a_denial(text: str, expected: tuple[str, ...]) -> None:
    assert texts(parse_prompt(text)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "asymmetric, dark brown macule with irregular borders",
        "apical segment of the lateral wall",
        "a friable, bleeding mass that is irregular in outline",
    ],
)
def test_a_noun_phrase_is_called_no_sentence(text: str) -> None:
    rewordings = texts(parse_prompt(text))
    assert f"Delineate the following: {text}" in rewordings
    assert not any("this sentence" in new for new in rewordings)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("OD: optic disc with a blurred margin", "OD: segment the optic disc with a blurred margin"),
        ("Findings: nodule in the right upper lobe.", "Segment the following: nodule in the right upper lobe."),
        ("scan of the uterus in a 30-year-old woman", "scan of the uterus in a 30-year-old woman: segment the uterus"),
        ("Where is the appendix?", "Show me where the appendix is."),
        ("Count and outline the neutrophils.", "Please count and outline the neutrophils."),
        ("Show me where the surgical scar is.", "Please show me where the surgical scar is."),
        ("Give me a mask of the cerebellum.", "Please give me a mask of the cerebellum."),
    ],
)
def test_headings_pictures_and_questions_are_reworded_as_what_they_are(text: str, expected: str) -> None:
    rewordings = texts(parse_prompt(text))
    assert expected in rewordings
    assert not any("following: " + text in new or "Outline where" in new for new in rewordings)


def test_a_denial_without_another_wording_says_why_there_is_none() -> None:
    refusal = Paraphrase().propose(make_case("Without hydronephrosis on the left, prone"), 0, np.random.default_rng(0))
    assert isinstance(refusal, NotApplicable)
    assert "ask for what is absent" in refusal.reason


def test_a_relative_clause_behind_a_comma_or_of_keeps_its_which() -> None:
    for text in ("An irregular mass is seen, which is suspicious.", "both hippocampi each of which is a curved ridge"):
        assert not any("that is" in new for new in texts(parse_prompt(text)))
    assert "polyp that is a small lump" in texts(parse_prompt("polyp which is a small lump"))
