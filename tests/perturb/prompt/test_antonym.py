"""Antonyms: the right opposite, never one that is true of the image, grammar held."""

from __future__ import annotations

import numpy as np
import pytest

from robustness.perturb.language.lexicon import words
from robustness.perturb.language.opposites import opposites
from robustness.perturb.prompt.antonym import Antonym
from robustness.types import NotApplicable, Params
from tests.perturb.prompt_cases import FAMILIES, blob, context_of, make_case

NOTHING = np.zeros((0, 0), dtype=bool)
RNG = np.random.default_rng(0)


def swapped(text: str, kind: str, **options: object) -> tuple[str, str]:
    case = make_case(text, **({"mask": NOTHING} | options))  # type: ignore[arg-type]
    change = Antonym(kind=kind)
    params = change.propose(case, 0, RNG)
    if isinstance(params, NotApplicable):
        return params.reason, "not applicable"
    return params["text"], change.expect(case, params)


@pytest.mark.parametrize(
    ("family", "kind", "old", "new"),
    [
        ("polyp", "size", "small", "large"),
        ("polyp", "colour", "pink", "green"),
        ("polyp", "shape", "round", "square"),
        ("polyp", "location", "top right", "bottom left"),
        ("breast", "shape", "circle", "square"),
        ("breast", "pathology", "benign", "malignant"),
        ("breast", "size", "small, medium", "large"),
        ("breast", "location", "top left, center", "bottom right, top right"),
        ("echo", "view", "four-chamber", "two-chamber"),
        ("echo", "phase", "systole", "diastole"),
        ("echo", "sex", "female", "male"),
        ("echo", "age", "fifty-six-year-old", "ninety-year-old"),
        ("echo", "quality", "good", "poor"),
        ("chest", "location", "top left, left", "bottom right, right"),
        ("brain", "side", "left", "right"),
        ("brain", "view", "axial", "coronal"),
        ("nuclei", "size", "largest", "smallest"),
        ("ct", "number", "two", "one"),
    ],
)
def test_the_value_becomes_its_opposite(family: str, kind: str, old: str, new: str) -> None:
    text, _ = swapped(FAMILIES[family], kind)
    if (family, kind) == ("echo", "age"):
        assert text == FAMILIES["echo"].replace("fifty-six", opposites("age", old)[0].value.removesuffix("-year-old"))
    elif (family, kind) == ("ct", "number"):
        assert text == FAMILIES["ct"].replace("two separate regions", "one separate region")
    else:
        assert text == FAMILIES[family].replace(old, new, 1)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("one small polyp", "several small polyps"),
        ("One tumor in the breast", "Several tumors in the breast"),
        ("Two benign tumors", "One benign tumor"),
        ("two medium round polyp", "one medium round polyp"),
        ("No tumor here", "One tumor here"),
        ("one small left caudate nucleus", "several small left caudate nuclei"),
        ("one large region: left and right thalami", "several large regions: left and right thalami"),
        ("white matter in one region", "white matter in several regions"),
        ("1 polyp", "5 polyps"),
    ],
)
def test_the_counted_noun_agrees_with_the_new_number(old: str, new: str) -> None:
    assert swapped(old, "number")[0] == new


def test_ages_move_at_least_twenty_years_and_stay_adult() -> None:
    from robustness.perturb.language.grammar.numerals import spell, unspell

    for age in range(18, 100):
        new = unspell(opposites("age", f"{spell(age)}-year-old")[0].value.removesuffix("-year-old"))
        assert new is not None
        assert abs(new - age) >= 20, age
        assert 10 <= new <= 90, age


def test_findings_become_those_that_are_not_listed() -> None:
    new = opposites("pathology", "Lung Opacity, Atelectasis")[0].value
    assert "Cardiomegaly" in new
    assert "Lung Opacity" not in new
    assert "Atelectasis" not in new


def test_what_has_no_opposite_says_so() -> None:
    assert swapped("middle of donut shape polyp", "shape")[1] == "not applicable"
    assert "no opposite" in swapped("thumb polyp", "shape")[0]
    assert "states no view" in swapped("polyp", "view")[0]
    assert "no opposite" in swapped("left and right hippocampi", "side")[0]
    assert "no opposite" in swapped("polyp located in left, right of the image", "location")[0]


class TestExpectation:
    def test_a_location_that_the_mask_disproves_must_change_the_mask(self) -> None:
        assert swapped("polyp located in top left of the image", "location", mask=blob()) == (
            "polyp located in bottom right of the image",
            "change",
        )

    def test_an_opposite_that_is_true_is_no_contradiction(self) -> None:
        reason, _ = swapped("polyp located in bottom right of the image", "location", mask=blob())
        assert "true of this image" in reason

    def test_a_centre_becomes_a_corner_where_the_target_is_not(self) -> None:
        text, expectation = swapped("polyp located in center of the image", "location", mask=blob())
        assert (text, expectation) == ("polyp located in bottom right of the image", "change")

    def test_sizes_are_judged_by_the_area(self) -> None:
        assert swapped("small polyp", "size", mask=blob()) == ("large polyp", "change")
        assert swapped("small polyp", "size", mask=blob((0, 90), (0, 90)))[1] == "not applicable"
        assert swapped("medium polyp", "size", mask=blob((0, 50), (0, 50)))[0] == "tiny polyp"
        assert swapped("medium polyp", "size", mask=blob((0, 5), (0, 5)))[0] == "large polyp"

    def test_sides_are_judged_by_what_the_data_state(self) -> None:
        seen = {"structure": "hippocampus", "side": "left", "side_visible": True}
        assert swapped("left hippocampus", "side", attributes=seen) == ("right hippocampus", "change")
        assert swapped("left hippocampus", "side", attributes={**seen, "side_visible": False})[1] == "none"
        assert swapped("left hippocampus", "side")[1] == "none"
        assert swapped("right hippocampus", "side", attributes=seen)[1] == "not applicable"

    def test_numbers_are_judged_by_the_components(self) -> None:
        assert swapped("one polyp", "number", mask=blob())[1] == "change"
        two = blob() | blob((60, 70), (60, 70))
        assert swapped("one polyp", "number", mask=two)[1] == "none"
        assert swapped("two polyps", "number", mask=two) == ("one polyp", "change")
        assert swapped("two polyps", "number", mask=blob())[0] == "five polyps"

    def test_sex_and_age_must_not_matter_and_colours_promise_nothing(self) -> None:
        assert swapped(FAMILIES["echo"], "sex")[1] == "invariant"
        assert swapped(FAMILIES["echo"], "age")[1] == "invariant"
        assert swapped(FAMILIES["polyp"], "colour")[1] == "none"


def test_one_condition_per_kind_that_has_an_opposite() -> None:
    cases = [make_case(FAMILIES["brain"]), make_case("thumb polyp", case_id="b")]
    names = [p.condition(0) for p in Antonym.expand(context_of(cases))]
    assert names == ["antonym:number", "antonym:size", "antonym:side", "antonym:view", "antonym:location"]


def test_every_opposite_in_the_lexicon_is_read_back_as_the_same_kind() -> None:
    known = {(w.kind, w.value) for w in words()}
    loose = {"greenish", "circles", "squares", "raised", "purplish", "blackish", "diseased", "high", "low", "straight"}
    for word in words():
        for new in word.opposites:
            assert new != word.value
            assert word.source
            fits = (word.kind, new) in known or (word.kind == "location" and new.split()[0] in ("top", "bottom"))
            assert fits or new in loose, word


def test_the_record_names_its_source_and_its_repairs() -> None:
    params = Antonym(kind="number").propose(make_case("one polyp", mask=NOTHING), 0, RNG)
    assert isinstance(params, dict)
    wanted: Params = {"kind": "number", "old": "one", "new": "several", "start": 0, "stop": 3, "truth": "unknown"}
    assert {key: params[key] for key in wanted} == wanted
    assert params["repairs"] == [[4, 9, "polyp", "polyps"]]
    assert params["source"]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("solid and cystic mass", "texture"),
        ("three polyps, one large and two small", "size"),
        ("three polyps, one large and two small", "number"),
        ("both lungs, three infected areas, one in the upper left lung and two in the lower right lung", "number"),
        ("both lungs, three infected areas, one in the upper left lung and two in the lower right lung", "side"),
    ],
)
def test_one_half_of_a_pair_and_a_total_beside_its_parts_do_not_change_alone(text: str, kind: str) -> None:
    assert isinstance(Antonym(kind=kind).propose(make_case(text), 0, np.random.default_rng(0)), NotApplicable)


@pytest.mark.parametrize("text", ["three polyps between two folds", "Two 6-mm stones, each in one pole of the kidney"])
def test_figures_of_another_thing_are_no_parts_of_a_total(text: str) -> None:
    params = Antonym(kind="number").propose(make_case(text), 0, np.random.default_rng(0))
    assert isinstance(params, dict)


@pytest.mark.parametrize(
    "text",
    [
        "cysts left and right kidneys",
        "cysts left or right kidney",
        "left-right hippocampus",
        "left, not right hippocampus",
        "cysts in the left and also in the right kidney",
        "both left and right hippocampus",
        "L/R hippocampus",
    ],
)
def test_one_of_two_sides_that_a_prompt_names_has_no_opposite(text: str) -> None:
    assert isinstance(Antonym(kind="side").propose(make_case(text), 0, RNG), NotApplicable)


@pytest.mark.parametrize(
    "text", ["polyps in the left and right of the image", "polyps at the left/right edges of the image"]
)
def test_a_pair_of_places_that_is_its_own_reflection_has_no_opposite(text: str) -> None:
    assert isinstance(Antonym(kind="location").propose(make_case(text), 0, RNG), NotApplicable)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("left kidney, smaller than the right", "side"),
        ("swollen right parotid, unlike the left", "side"),
        ("effusions, the left more than the right", "side"),
        ("The right tube is patent, the left one is dilated.", "side"),
        ("Mass in the right breast, none in the left", "side"),
        ("A thrombus in the left ventricle, not in the right", "place"),
        ("effusion on both sides, larger on the left", "side"),
        ("not a polyp, rather a fold", "negation"),
    ],
)
def test_what_a_prompt_compares_or_contrasts_has_no_opposite(text: str, kind: str) -> None:
    assert swapped(text, kind)[1] == "not applicable"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The spleen is not enlarged.", "The spleen is enlarged."),
        ("appendix not thickened", "appendix thickened"),
        ("Segment the liver, not the spleen.", "Segment the liver, and the spleen."),
        ("no ulcers but two small erosions", "some ulcers but two small erosions"),
        ("There is no free fluid; a stone.", "There is some free fluid; a stone."),
        ("Rather than the left lung, the right one", "As well as the left lung, the right one"),
    ],
)
def test_the_opposite_of_a_denial_is_a_sentence(text: str, expected: str) -> None:
    assert swapped(text, "negation")[0] == expected
