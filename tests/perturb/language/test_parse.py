"""Reading prompts: exact spans, every real family, nothing guessed, nothing that crashes it."""

from __future__ import annotations

from itertools import combinations
from typing import ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robustness.perturb.language.parse import parse_prompt
from tests.perturb.prompt_cases import FAMILIES, values

EXPECTED = {
    "polyp": "number:one size:small colour:pink shape:round target:polyp location:top right",
    "polyp with description": "number:two size:medium colour:white shape:thumb target:polyp "
    "description:which is a small lump in the lining of colon location:top left, center",
    "melanoma": "number:one size:large colour:brown shape:oval target:skin melanoma location:center",
    "ulcer": "number:one size:small colour:red shape:square target:foot ulcer location:bottom left",
    "breast": "number:Two size:small, medium shape:circle pathology:benign target:tumors location:top left, center",
    "no tumor": "number:No target:tumor",
    "echo": "target:Left ventricular cavity shape:oval view:four-chamber phase:systole age:fifty-six-year-old "
    "sex:female quality:good",
    "chest": "target:Support Devices shape:x-rays location:top left, left view:lateral "
    "pathology:Lung Opacity, Atelectasis",
    "brain": "number:one size:small side:left target:caudate nucleus view:axial location:top",
    "brain both": "number:one size:large side:left and right target:cerebellar hemispheres view:coronal "
    "location:bottom",
    "brain tissue": "size:large target:white matter number:several view:axial",
    "nuclei": "number:one colour:light size:largest target:nucleus",
    "ct": "size:small target:air inside the head number:two view:axial location:top",
}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_real_family_is_read_in_order(family: str) -> None:
    found = " ".join(f"{kind}:{value}" for kind, value in values(FAMILIES[family]))
    assert found == EXPECTED[family]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("polyp", [("target", "polyp")]),
        ("heart shaped polyp", [("shape", "heart"), ("target", "polyp")]),
        ("it is a round shape polyp", [("shape", "round"), ("target", "polyp")]),
        ("right ear polyp", [("shape", "right ear"), ("target", "polyp")]),
        ("top left polyp", [("location", "top left"), ("target", "polyp")]),
        ("polyps, pink and round", [("target", "polyps"), ("colour", "pink"), ("shape", "round")]),
        ("left kidney in CT", [("side", "left"), ("target", "kidney"), ("modality", "CT")]),
        ("both lungs", [("side", "both"), ("target", "lungs")]),
        ("left ventricle", [("target", "left ventricle")]),
        ("right lateral ventricle", [("side", "right"), ("target", "lateral ventricle")]),
        (
            "T1 brain MRI in axial view showing the left hippocampus",
            [("modality", "T1 brain MRI"), ("view", "axial"), ("side", "left"), ("target", "hippocampus")],
        ),
        (
            "one polyp located in right lung",
            [("number", "one"), ("target", "polyp"), ("side", "right"), ("place", "right lung")],
        ),
        ("small bowel polyp", [("target", "small bowel polyp")]),
        ("kidney tumor", [("target", "kidney tumor")]),
        ("zebra", [("target", "zebra")]),
        ("left zebra", [("side", "left"), ("target", "zebra")]),
        ("In this image, one small polyp", [("number", "one"), ("size", "small"), ("target", "polyp")]),
    ],
)
def test_words_mean_what_their_place_says(text: str, expected: list[tuple[str, str]]) -> None:
    assert values(text) == expected


class TestSiblings:
    CHAIN: ClassVar[dict[str, str]] = {
        "p0": "",
        "p1": "polyp",
        "p2": "large polyp",
        "p3": "white large polyp",
        "p4": "medium white large polyp",
    }

    def test_a_size_word_in_the_shape_slot_is_a_shape(self) -> None:
        found = values("one medium white large polyp", siblings={**self.CHAIN, "p5": "one medium white large polyp"})
        assert found == [
            ("number", "one"),
            ("size", "medium"),
            ("colour", "white"),
            ("shape", "large"),
            ("target", "polyp"),
        ]

    def test_an_unknown_shape_is_found_by_what_p2_adds(self) -> None:
        siblings = {"p1": ["zorp"], "p2": "a frob zorp", "p3": "pink a frob zorp"}
        assert values("pink a frob zorp", siblings=siblings) == [
            ("colour", "pink"),
            ("shape", "frob"),
            ("target", "zorp"),
        ]
        assert values("pink a frob zorp") == [("colour", "pink"), ("target", "frob zorp")]

    def test_an_unknown_word_that_is_no_chain_stays_unattributed(self) -> None:
        siblings = {"p1": "nucleus", "p2": "brightest nucleus", "p3": "brightest nucleus in an image"}
        assert values("brightest nucleus", siblings=siblings) == [("target", "nucleus")]

    def test_malformed_siblings_are_no_siblings(self) -> None:
        for siblings in ({"p1": None}, {"p1": []}, {"p1": [3]}, {"p7": "x"}, {"q": 1}, {}):
            assert values("one polyp", siblings=siblings) == [("number", "one"), ("target", "polyp")]


def test_the_modality_tells_a_noun_shape_from_an_organ() -> None:
    assert values("kidney tumor", modality="endoscopy") == [("shape", "kidney"), ("target", "tumor")]
    assert values("kidney polyp", modality="CT") == [("target", "kidney polyp")]
    assert values("kidney polyp") == [("shape", "kidney"), ("target", "polyp")]


def test_the_data_may_name_a_target_that_no_lexicon_knows() -> None:
    attributes = {"structure": "left frobnicator", "side": "left"}
    assert values("small left frobnicator", attributes=attributes) == [
        ("size", "small"),
        ("side", "left"),
        ("target", "frobnicator"),
    ]
    assert values("two frobnicators", target="frobnicator") == [("number", "two"), ("target", "frobnicators")]


def test_a_heart_chamber_is_a_target_and_never_a_side() -> None:
    for word in ("Left", "left", "right"):
        for organ in ("ventricular cavity", "atrium cavity", "ventricle", "atrium", "ventricular myocardium"):
            for rest in ("", " of the heart.", " in two-chamber view of the heart."):
                kinds = [
                    kind for kind, _ in values(f"{word} {organ}{rest}", attributes={"structure": f"{word} {organ}"})
                ]
                assert kinds[0] == "target", (word, organ)
                assert "side" not in kinds, (word, organ)


@given(st.text(max_size=200))
@settings(max_examples=300, deadline=None)
def test_any_text_is_read_without_losing_a_character(text: str) -> None:
    prompt = parse_prompt(text, siblings={"p1": text, "p2": f"a {text}", "p7": [text]})
    assert prompt.text == text
    assert all(text[a.start : a.stop] == a.value and a.value for a in prompt.attributes)


WORDS = st.sampled_from(
    "one two no small , large pink round polyp left right and located in the top of image which is a tumor axial "
    "MRI -shaped shape at chamber view quality present region . year-old male İ ß \x00 \u202e".split(" ")
)


@given(st.lists(WORDS, max_size=40))
@settings(max_examples=300, deadline=None)
def test_shuffled_prompt_words_give_ordered_exact_spans(words: list[str]) -> None:
    prompt = parse_prompt(" ".join(words))
    spans = [(a.start, a.stop) for a in prompt.attributes]
    assert spans == sorted(spans)
    # A side lies inside a place, a direction inside a relation: nested or apart, never astride.
    for (start, stop), (first, last) in combinations(spans, 2):
        apart = stop <= first or last <= start
        assert apart or (start <= first and last <= stop) or (first <= start and stop <= last)


@pytest.mark.parametrize("piece", ["polyp ", "a", "which is ", "top left, ", "located in ", "\x00", "é", "of shape a "])
def test_two_thousand_characters_are_read(piece: str) -> None:
    text = (piece * 2_000)[:2_000]
    assert parse_prompt(text).text == text


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("One small hot dog-shaped benign tumor.", "hot dog"),
        ("One medium a fingerprint-shaped irregular tumor.", "fingerprint"),
        ("Edema of shape it is a rectangle in the frontal view of a Chest Xray.", "rectangle"),
        ("Edema of shape x-shaped, and located in top of the frontal view of a Chest Xray.", "x"),
        ("Edema of shape , and located in top of the frontal view of a Chest Xray.", None),
        ("Myocardium of it is a round shape in two-chamber view of the heart.", "round"),
        ("One small -shaped benign tumor.", None),
    ],
)
def test_shape_slots_hold_the_shortest_value_words(text: str, shape: str | None) -> None:
    found = parse_prompt(text).get("shape")
    assert (found.value if found else None) == shape


def test_a_level_that_adds_nothing_keeps_the_chain() -> None:
    siblings = {"p1": "polyp", "p2": "polyp", "p3": "zorp polyp", "p4": "small zorp polyp"}
    assert values("small zorp polyp", siblings=siblings) == [("size", "small"), ("colour", "zorp"), ("target", "polyp")]
    spaced = {"p1": "polyp", "p2": " polyp", "p3": "pink  polyp"}
    assert values("pink  polyp", siblings=spaced) == [("colour", "pink"), ("target", "polyp")]
