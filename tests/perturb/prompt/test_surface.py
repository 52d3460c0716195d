"""Surface changes, order, negation, neutral words, synonyms, absent structures."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robustness.perturb.base import BasePerturbation
from robustness.perturb.language.inflection import is_plural
from robustness.perturb.language.lexicon import find_class
from robustness.perturb.prompt.absent import Absent
from robustness.perturb.prompt.homoglyph import LOOKALIKES
from robustness.perturb.prompt.negation import Negation
from robustness.perturb.prompt.neutral import Neutral
from robustness.perturb.prompt.order import Order
from robustness.perturb.prompt.synonym import SynonymOf, curated
from robustness.registry import PERTURBATIONS
from robustness.seeds import generator
from robustness.types import NotApplicable, Params
from tests.perturb.prompt_cases import FAMILIES, blob, context_of, make_case

SURFACE = ("typo", "case", "punctuation", "homoglyph")
POLYP = FAMILIES["polyp"]


def changed(change: BasePerturbation, text: str, severity: int = 0, **more: object) -> Params:
    params = change.propose(make_case(text, **more), severity, generator(0, "a", change.name, severity))
    assert isinstance(params, dict), params
    return params


def surface(name: str, text: str, severity: int) -> Params:
    return changed(PERTURBATIONS.get(name)(), text, severity)


@pytest.mark.parametrize("name", SURFACE)
def test_the_words_stay_to_a_reader(name: str) -> None:
    for text in FAMILIES.values():
        for severity in (1, 2, 3, 4, 5):
            new = surface(name, text, severity)["text"]
            if name == "case":
                assert new.lower() == text.lower()
            if name == "homoglyph":
                back = {v: k for k, v in LOOKALIKES.items()}
                assert "".join(back.get(c, c) for c in new) == text
            if name == "typo":
                assert abs(len(new) - len(text)) <= severity
                assert [w[0] for w in new.split()] == [w[0] for w in text.split()]
            if name == "punctuation":
                assert [c for c in new if c.isalnum()] == [c for c in text if c.isalnum()]


@pytest.mark.parametrize("name", SURFACE)
def test_a_stronger_change_edits_more(name: str) -> None:
    amounts = [sum(len(e[2]) + len(e[3]) for e in surface(name, POLYP, s)["edits"]) for s in (1, 2, 3, 4)]
    assert amounts == sorted(amounts)
    assert amounts[0] < amounts[-1]


def test_typos_touch_as_many_words_as_the_severity_says() -> None:
    for severity in (1, 2, 3, 4, 5):
        new = surface("typo", POLYP, severity)["text"]
        assert sum(a != b for a, b in zip(new.split(), POLYP.split(), strict=True)) == severity


def test_look_alikes_are_other_letters_that_look_the_same() -> None:
    for latin, other in LOOKALIKES.items():
        assert latin != other
        assert "LATIN" not in unicodedata.name(other)


@given(st.text(max_size=80), st.sampled_from(SURFACE), st.integers(1, 5))
@settings(max_examples=200, deadline=None)
def test_any_text_is_changed_or_left_with_a_reason(text: str, name: str, severity: int) -> None:
    case = make_case(text)
    params = PERTURBATIONS.get(name)().propose(case, severity, generator(1, text))
    if isinstance(params, NotApplicable):
        assert params.reason
    else:
        assert params["text"] != text


class TestOrder:
    def test_the_same_words_stand_in_another_order(self) -> None:
        new = changed(Order(), POLYP)["text"]
        assert new != POLYP
        assert sorted(new.split()) == sorted(POLYP.split())
        assert new.startswith("one ")
        assert new.endswith(" polyp, located in top right of the image")

    def test_a_shape_takes_its_frame_along(self) -> None:
        new = changed(Order(), FAMILIES["breast"])["text"]
        assert "circle-shaped" in new
        assert new.startswith("Two ")

    def test_clauses_change_places_where_adjectives_are_missing(self) -> None:
        text = FAMILIES["echo"]
        new = changed(Order(), text)["text"]
        assert sorted(new.rstrip(".").split()) == sorted(text.rstrip(".").split())
        assert new.startswith("Left ventricular cavity")

    def test_one_attribute_has_no_other_order(self) -> None:
        assert isinstance(Order().propose(make_case("small polyp"), 0, generator(0)), NotApplicable)


class TestNegation:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("one small polyp", {"no small polyp", "an image without any small polyp"}),
            ("a round polyp", {"no round polyp", "an image without any round polyp"}),
            ("Polyp in the colon", {"No polyp in the colon"}),
            ("Support Devices in a chest Xray.", {"No Support Devices in a chest Xray."}),
        ],
    )
    def test_the_target_is_denied(self, text: str, expected: set[str]) -> None:
        found = {
            params["text"]
            for seed in range(12)
            if isinstance(params := Negation().propose(make_case(text), 0, generator(seed)), dict)
        }
        assert found == expected

    def test_what_is_denied_already_or_truly_absent_is_left(self) -> None:
        empty = np.zeros((9, 9), dtype=bool)
        for case in (make_case("No tumor"), make_case("one polyp", mask=empty), make_case("?")):
            assert isinstance(Negation().propose(case, 0, generator(0)), NotApplicable)


class TestNeutral:
    def test_each_kind_has_a_word_that_fits_its_frame(self) -> None:
        text = FAMILIES["echo"]
        assert "end of the cardiac cycle" in changed(Neutral(kind="phase"), text)["text"]
        assert "in standard view" in changed(Neutral(kind="view"), text)["text"]
        assert "an adult female" in changed(Neutral(kind="age"), text.replace("a fifty", "an eighty"))["text"]
        assert "located in part of the image" in changed(Neutral(kind="location"), POLYP)["text"]
        assert changed(Neutral(kind="target"), "Two benign tumors")["text"] == "Two benign structures"

    def test_it_is_expected_to_change_nothing_unless_the_word_tells_cases_apart(self) -> None:
        one = make_case("left lung", case_id="a")
        two = make_case("right lung", case_id="b", mask=blob((50, 60), (50, 60)))
        assert Neutral(context=context_of([one, two]), kind="side").expect(one, {}) == "none"
        assert Neutral(context=context_of([one]), kind="side").expect(one, {}) == "invariant"


class TestSynonym:
    def test_curated_synonyms_come_first(self) -> None:
        assert changed(SynonymOf(kind="size"), POLYP)["new"] == "little"
        assert changed(SynonymOf(kind="age"), FAMILIES["echo"])["new"] == "56-year-old"
        assert changed(SynonymOf(kind="location"), FAMILIES["breast"])["new"] == "upper left, centre"
        assert changed(SynonymOf(kind="target"), "Two benign tumors")["new"] == "tumours"

    def test_a_synonym_is_never_a_known_opposite_of_the_word(self) -> None:
        from robustness.perturb.language.lexicon import synonyms, words_by_kind

        for (kind, value), row in synonyms().items():
            known = words_by_kind().get(kind, {}).get(value)
            assert not set(row.synonyms) & set(known.opposites if known else ()), (kind, value)
            assert row.source

    def test_a_description_becomes_another_of_its_class(self) -> None:
        found = curated("description", "which is a small lump", "polyp")
        assert found
        assert all(o.value.startswith("which is ") for o in found)

    @pytest.mark.usefixtures("no_wordnet")
    def test_without_wordnet_the_reason_says_so(self) -> None:
        case = make_case("a thumb polyp", modality="endoscopy")
        found = SynonymOf(kind="shape").propose(case, 0, generator(0))
        assert isinstance(found, NotApplicable)
        assert "WordNet is not installed (nltk.download('wordnet'))" in found.reason


def test_an_absent_structure_belongs_to_another_modality() -> None:
    for seed in range(20):
        params = Absent().propose(make_case(POLYP, modality="endoscopy"), 0, generator(seed))
        assert isinstance(params, dict)
        row = find_class(params["new"])
        assert row is not None
        assert row.modality != "endoscopy"
        assert row.modality in params["note"]
    assert isinstance(Absent().propose(make_case("lesion"), 0, generator(0)), NotApplicable)


@pytest.mark.parametrize("text", ["one small tumor", "a benign oval tumor", "three round polyps", "two masses"])
def test_an_absent_structure_agrees_with_the_words_before_it(text: str) -> None:
    for seed in range(20):
        params = Absent().propose(make_case(text, modality="ultrasound"), 0, generator(seed))
        assert isinstance(params, dict), text
        assert is_plural(params["new"]) is text.endswith("s"), params["text"]
        assert "devices" not in params["text"]


# Asked of a CT, these are in many images of the same part of the body, whichever modality's data set draws them.
HEART = {"left ventricular cavity", "myocardium", "left atrium cavity", "cardiomegaly", "enlarged cardiomediastinum"}
CHEST = {"pleural effusion", "pneumothorax", "consolidation", "lung opacity", "support devices", "lung lesion"}


@pytest.mark.parametrize(
    ("text", "modality", "may_be_there"),
    [
        ("left kidney", "CT", HEART | CHEST | {"polyp", "bladder", "liver"}),
        ("calcified plaque in the left anterior descending artery", "CT", HEART | CHEST),
        ("fibroid of the uterus", "MRI", {"bladder", "prostate", "polyp", "ovary", "femur"}),
        ("medial meniscus", "MRI", {"foot ulcer", "skin melanoma", "femur", "knee"}),
        ("left ventricular cavity", "echocardiography", CHEST | HEART),
        ("consolidation", "x-ray", HEART),
        ("lesion", "MRI", HEART | CHEST | {"polyp", "liver", "hippocampus"}),
        ("crowded glands", "microscopy", {"polyp", "skin melanoma", "myocardium", "foot ulcer", "pneumonia"}),
        ("orbital fat", "CT", {"hippocampus", "brainstem", "cerebellum"}),
    ],
)
def test_what_the_image_may_show_is_never_absent(text: str, modality: str, may_be_there: set[str]) -> None:
    drawn = [Absent().propose(make_case(text, modality=modality), 0, generator(seed)) for seed in range(30)]
    found = {str(params["new"]).lower() for params in drawn if isinstance(params, dict)}
    assert found.isdisjoint(may_be_there)
    assert found or text == "lesion"


def test_a_distant_part_of_the_body_is_absent_though_the_modality_shows_it() -> None:
    case = make_case("hippocampus", modality="MRI")
    drawn = {Absent().propose(case, 0, generator(seed))["new"] for seed in range(60)}  # type: ignore[index]
    assert {"left ventricular cavity", "polyp"} <= drawn
