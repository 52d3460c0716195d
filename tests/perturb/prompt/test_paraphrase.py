"""Rewordings: every prompt has some, and all state the same attributes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robustness.perturb.language.parse import parse_prompt
from robustness.perturb.prompt.paraphrase import Paraphrase, texts
from robustness.types import Prompt
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
def test_every_prompt_with_a_word_has_at_least_two(text: str) -> None:
    found = texts(parse_prompt(text))
    assert len(found) >= 2 if any(c.isalnum() for c in text) else found == ()
