"""Reading part by part gives what reading the whole gives."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robustness.perturb.language import align, parse
from robustness.perturb.language.parse import parse_prompt
from robustness.perturb.language.parts import read_in_parts
from robustness.perturb.language.reader import Reader
from robustness.perturb.language.template_shape import written_out
from tests.perturb.prompt_cases import FAMILIES

HEADS = st.lists(
    st.sampled_from(
        [
            *"one two small Large medium pink white round circle thumb benign left a single".split(),
            "it is a round shape",
            "tiny, small",
            "hot dog",
            "large bone",
            "no",
        ]
    ),
    max_size=5,
)
TARGETS = st.sampled_from(
    [
        "polyp",
        "skin melanoma",
        "tumors",
        "Left ventricular cavity",
        "Support Devices",
        "caudate nucleus",
        "white matter",
        "lung",
        "zorp",
        "large bowel",
        "",
    ]
)
TAILS = st.lists(
    st.sampled_from(
        [
            ", located in top left of the image",
            " located in center of the image",
            " of a forty-year-old female with good image quality.",
            " which is a small lump",
            " in axial T1 brain MRI",
            " of oval shape",
            " of shape circle",
            " in two-chamber view of the heart",
            ". Edema, Fracture are present.",
            " of a male",
            " is present.",
            " in the frontal view of a Chest Xray",
            " at the top left in the breast ultrasound image.",
            " in two separate regions",
            ", and located in right, center",
            " of x shape",
            "-shaped",
        ]
    ),
    max_size=4,
)


@pytest.mark.slow
@given(
    HEADS, TARGETS, TAILS, st.sampled_from(["", "small zorp", "left zorp"]), st.booleans(), st.sampled_from(["", "CT"])
)
@settings(max_examples=600, deadline=None)
def test_parts_read_apart_give_what_the_whole_gives(
    head: list[str], target: str, tails: list[str], name: str, lateral: bool, modality: str
) -> None:
    text = " ".join([*head, target]).strip() + "".join(tails)
    found = read_in_parts(text, align.EMPTY, name, lateral, modality)
    if found is not None:
        assert found == tuple(Reader(text, align.EMPTY, name, lateral, modality).read())


def test_common_prompts_are_read_in_parts() -> None:
    apart = [f for f, text in FAMILIES.items() if read_in_parts(text, align.EMPTY, "", False, "") is not None]
    assert {"polyp", "melanoma", "ulcer", "echo", "chest", "brain"} <= set(apart)


PIECES = (
    "1 , | 1, |1.5 |12:|12 x |1 mm |12 to |L4 |T2 |grade |left |upper left |small, |round, |red and |no |not |with "
    "|of the |polyp |polyp, |in the |located in |top left, |image of the |which is a lump |-shaped |Segment the liver. "
    "|displacing the |at least |early |chest |contains |and |very |between |one |the liver of |is seen |suspicious for "
    "|(|'|."
).split("|")


def calls(text: str) -> int:
    """Return how many functions, Python's or C's, are called while `text` is read anew."""
    count = 0

    def tally(frame: FrameType, event: str, _: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    parse._parse.cache_clear()
    before = sys.getprofile()
    sys.setprofile(tally)
    try:
        parse_prompt(text)
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.parametrize("piece", PIECES)
def test_four_times_the_text_takes_about_four_times_the_calls(piece: str) -> None:
    texts = [("one small polyp " + piece * 2_000)[:length] for length in (1_000, 4_000)]
    for text in texts:
        # Words that were never met fill the caches of the vocabulary.
        parse_prompt(text)
    short, long = map(calls, texts)
    assert long <= 5.5 * short + 500


def test_frames_that_overlap_are_told_apart_without_trying_every_split() -> None:
    # "in the" is one frame or two; 24 of them were 16 million ways.
    text = "one small polyp " + "in the " * 24 + "zzz"
    parse_prompt(text)
    assert calls(text) < 50_000


@pytest.mark.parametrize("text", ["1" * 8_000, "1," * 4_000, "left " * 1_600], ids=["digits", "commas", "words"])
def test_the_longest_text_that_is_allowed_is_read(text: str) -> None:
    prompt = parse_prompt(text)
    assert all(text[a.start : a.stop] == a.value for a in prompt.attributes)


def test_patterns_are_written_out() -> None:
    assert written_out("in an? (?:CT|MRI)s?") == [
        "in an CTs",
        "in an CT",
        "in an MRIs",
        "in an MRI",
        "in a CTs",
        "in a CT",
        "in a MRIs",
        "in a MRI",
    ]
