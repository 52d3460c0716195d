"""Edits: undone exactly, nothing outside their spans touched, grammar mended only where it was right before."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robustness.perturb.language.edit import Edit, article_repair, reversed_edits, splice, takes_an, undo
from robustness.perturb.preview import perturb_prompt
from robustness.registry import PERTURBATIONS
from robustness.seeds import generator
from robustness.types import Case, Params
from tests.perturb.prompt_cases import FAMILIES, context_of, make_case

EDITORS = (
    "antonym",
    "rare",
    "drop",
    "wrong_class",
    "empty",
    "nonsense",
    "neutral",
    "synonym",
    "negation",
    "order",
    "absent",
)


@st.composite
def text_and_edits(draw: st.DrawFn) -> tuple[str, list[Edit]]:
    text = draw(st.text(max_size=60))
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=8, unique=True)))
    pairs = list(zip(cuts[::2], cuts[1::2], strict=False))
    return text, [Edit(a, b, text[a:b], draw(st.text(max_size=8))) for a, b in pairs]


@settings(deadline=None)
@given(text_and_edits())
def test_reversed_edits_give_the_original_text(drawn: tuple[str, list[Edit]]) -> None:
    text, edits = drawn
    changed = splice(text, edits)
    assert splice(changed, reversed_edits(edits)) == text


@pytest.mark.parametrize("edits", [[Edit(0, 2, "po", ""), Edit(1, 3, "ol", "")], [Edit(0, 2, "xx", "")]])
def test_edits_that_overlap_or_do_not_fit_are_refused(edits: list[Edit]) -> None:
    with pytest.raises(ValueError, match="edits: expected"):
        splice("polyp", edits)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        *(
            ("oval", True),
            ("round", False),
            ("one-sided", False),
            ("unusual", True),
            ("uniform", False),
            ("hour", True),
        ),
        *(("H&E", True), ("PAS", False), ("x-ray", True), ("U-shaped", False), ("T2", False), ("L4", True)),
        ("MRI", True),
    ],
)
def test_the_article_follows_the_sound(word: str, expected: bool) -> None:
    assert takes_an(word) is expected


def test_an_article_is_mended_only_where_it_agreed_before() -> None:
    assert article_repair("a round polyp", 2, "round", "oval") == Edit(0, 1, "a", "an")
    assert article_repair("An oval polyp", 3, "oval", "square") == Edit(0, 2, "An", "A")
    assert article_repair("a eighty-year-old", 2, "eighty-year-old", "eleven-year-old") is None
    assert article_repair("a eighty-year-old", 2, "eighty-year-old", "twenty-year-old") is None
    assert article_repair("no round polyp", 3, "round", "oval") is None


def proposals(text: str) -> Iterator[tuple[str, Case, Params]]:
    case = make_case(text, mask=np.zeros((0, 0), dtype=bool))
    context = context_of([case])
    for name in EDITORS:
        for perturbation in PERTURBATIONS.get(name).expand(context):
            params = perturbation.draw(case, 0, generator(0, "a", perturbation.name, 0))
            if params is not None:
                yield perturbation.name, case, params


@pytest.mark.parametrize("family", FAMILIES)
def test_every_change_of_every_family_is_undone_by_its_record(family: str) -> None:
    changes = list(proposals(FAMILIES[family]))
    assert len(changes) >= 4
    for name, case, params in changes:
        assert undo(json.loads(json.dumps(params))) == case.prompt.text, name
        assert params["text"] != case.prompt.text, name


@pytest.mark.parametrize("family", FAMILIES)
def test_every_character_outside_the_listed_edits_stays(family: str) -> None:
    for name, case, params in proposals(FAMILIES[family]):
        old, new, at, shift = case.prompt.text, params["text"], 0, 0
        for start, stop, was, becomes in params["edits"]:
            assert old[start:stop] == was, name
            assert new[at + shift : start + shift] == old[at:start], name
            at, shift = stop, shift + len(becomes) - len(was)
        assert new[at + shift :] == old[at:], name
        assert [params["start"], params["stop"]] in [[e[0], e[1]] for e in params["edits"]], name


@pytest.mark.parametrize("family", FAMILIES)
def test_a_capital_at_the_start_is_kept(family: str) -> None:
    for name, case, params in proposals(FAMILIES[family]):
        if params["text"] and name not in ("nonsense",):
            assert params["text"][0].isupper() == case.prompt.text[0].isupper(), (name, params["text"])


def test_the_short_form_of_a_view_stays_in_capitals_at_the_start_of_a_text() -> None:
    table = perturb_prompt("AP supine film, patchy opacity")
    assert table.loc[table["perturbation"] == "antonym:view", "text"].item() == "PA supine film, patchy opacity"


def test_what_a_target_is_likened_to_is_not_exchanged_for_what_a_class_is() -> None:
    table = perturb_prompt("The nuclei look like raisins")
    changed = table.loc[table["applicable"] & table["perturbation"].str.endswith(":description"), "perturbation"]
    assert list(changed) == ["drop:description"]
