"""Opposites that stay medicine, and WordNet as their second source, also where it is missing."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from robustness.perturb.language import wordnet
from robustness.perturb.language.ontology.terms import find_term
from robustness.perturb.language.opposites import from_wordnet, half_reflections, opposites
from robustness.perturb.language.parse import parse_prompt
from robustness.perturb.preview import perturb_prompt
from robustness.perturb.prompt.antonym import Antonym
from robustness.perturb.prompt.rare import Rare
from robustness.perturb.prompt.synonym import SynonymOf
from robustness.seeds import generator
from robustness.types import NotApplicable
from tests.perturb.prompt_cases import context_of, make_case


def text_of(prompt: str, name: str, *, modality: str = "") -> str:
    table = perturb_prompt(prompt, modality=modality)
    rows = table[(table["perturbation"] == name) & table["applicable"]]
    return str(rows["text"].iloc[0]) if len(rows) else ""


@pytest.mark.parametrize(
    ("kind", "value", "first"),
    [
        ("number", "more than six", "fewer than six"),
        ("number", "at least two", "fewer than two"),
        ("number", "no more than one", "more than one"),
        ("number", "up to five", "more than five"),
        ("number", "a couple of", "dozens of"),
        ("measure", "22 weeks", "34 weeks"),
        # A grade that exists, an objective that is made, a neighbour that has a name.
        ("measure", "grade 2", "grade 1"),
        ("measure", "WHO grade 1", "WHO grade 3"),
        ("measure", "grade III", "grade I"),
        ("measure", "stage I", "stage IV"),
        ("measure", "10x objective", "40x objective"),
        ("measure", "100x", "10x"),
        ("place", "middle fossa", "posterior fossa"),
        ("place", "middle cerebral artery", "anterior cerebral artery"),
        ("place", "middle ear", "inner ear"),
        ("measure", "34 weeks", "22 weeks"),
        ("signal", "pure ground-glass", "purely solid"),
        ("signal", "low density", "high density"),
        ("signal", "ring enhancing", "non-enhancing"),
        ("texture", "thin walled", "thick walled"),
        ("side", "both", "left"),
        ("side", "bilateral", "unilateral"),
        ("side", "left and right", None),
        ("direction", "ventrolateral", "dorsomedial"),
        ("shape", "crescent-shaped", "lens-shaped"),
        ("view", "transverse", "sagittal"),
    ],
)
def test_the_first_opposite_contradicts_and_is_english(kind: str, value: str, first: str | None) -> None:
    candidates = opposites(kind, value)
    assert (candidates[0].value if candidates else None) == first


def test_a_process_has_a_degree_and_an_object_an_extent() -> None:
    assert opposites("size", "moderate", target="fat stranding")[0].value == "severe"
    assert opposites("size", "moderate", target="pleural effusion")[0].value == "tiny"


@pytest.mark.parametrize(
    ("prompt", "name", "text"),
    [
        ("both psoas muscles", "antonym:side", "left psoas muscle"),
        ("femoral heads on both sides", "antonym:side", "femoral head on the left side"),
        ("CT of the chest with bilateral hilar lymphadenopathy", "antonym:side", ""),
        ("a fold crossing the image from upper left to lower right", "antonym:location", "upper right to lower right"),
        ("a couple of polyps", "antonym:number", "dozens of polyps"),
    ],
)
def test_a_swap_keeps_nouns_and_both_ends_apart(prompt: str, name: str, text: str) -> None:
    new = text_of(prompt, name)
    assert new.endswith(text)
    assert new


def test_one_axis_of_a_corner_is_exchanged() -> None:
    assert [o.value for o in half_reflections("upper left")] == ["upper right", "lower left"]
    assert half_reflections("center") == []


def test_the_other_class_is_of_the_modality_that_the_prompt_names() -> None:
    new = text_of("Please delineate the islets of Langerhans in this H&E section of pancreas.", "wrong_class")
    target = parse_prompt(new).get("target")
    term = find_term(target.value) if target else None
    assert term is None or "microscopy" in term.modalities


@pytest.mark.parametrize(
    ("prompt", "modality", "name", "text"),
    [
        ("a handful of tiny T2-bright foci, Fazekas 1", "MRI", "negation", "no T2-bright foci"),
        ("A ruler mark runs along the bottom of the frame.", "dermoscopy", "drop:location", ""),
        ("macular scar with pigment clumps", "fundus", "antonym:description", ""),
        ("A tubular, blind-ending, benign structure", "CT", "drop:pathology", "A tubular, blind-ending structure"),
        ("Is there a Roth spot? Mark it.", "fundus", "wrong_class", "Is there a fovea? Mark it."),
    ],
)
def test_what_is_left_or_put_in_reads_as_english(prompt: str, modality: str, name: str, text: str) -> None:
    assert text_of(prompt, name, modality=modality) == text


@pytest.mark.slow
@pytest.mark.usefixtures("wordnet_folder")
class TestWithTheRealDatabase:
    def test_it_is_there(self) -> None:
        assert wordnet.missing() == ""

    def test_antonyms_of_the_commonest_senses_come_first(self) -> None:
        assert wordnet.antonyms("small", "adjective")[0] == "large"
        assert "regular" in wordnet.antonyms("irregular", "adjective")
        assert wordnet.antonyms("polyp", "noun") == ()

    def test_synonyms_are_of_the_commonest_sense(self) -> None:
        assert wordnet.synonyms("polyp", "noun") == ("polypus",)
        assert wordnet.synonyms("zorp", "noun") == ()

    def test_a_shape_that_the_lexicon_has_no_opposite_for_gets_wordnets(self) -> None:
        assert "concave" in [o.value for o in from_wordnet("shape", "convex")]
        siblings = {"p1": "polyp", "p2": "convex polyp", "p3": "pink convex polyp"}
        case = make_case("pink convex polyp", siblings=siblings)
        params = Antonym(kind="shape").propose(case, 0, generator(0))
        assert isinstance(params, dict)
        assert (params["new"], params["source"]) == ("concave", wordnet.SOURCE)

    def test_a_noun_shape_gets_wordnets_synonym(self) -> None:
        case = make_case("a thumb polyp", modality="endoscopy")
        params = SynonymOf(kind="shape").propose(case, 0, generator(0))
        assert isinstance(params, dict)
        assert (params["new"], params["source"]) == ("pollex", wordnet.SOURCE)

    @pytest.mark.parametrize("pos", ["noun", "adjective"])
    def test_rare_words_are_rare_alphabetic_and_no_proper_names(self, pos: str) -> None:
        from wordfreq import zipf_frequency

        found = wordnet.rare_words(pos)
        assert len(found) > 3000
        assert all(re.fullmatch("[a-z]{5,12}", word) for word in found)
        assert "abnaki" not in found
        assert all(zipf_frequency(word, "en") < 1.5 for word in found[:: len(found) // 200])

    def test_rare_takes_its_words_from_it_and_says_so(self) -> None:
        case = make_case("small polyp")
        change = Rare(context=context_of([case], seed=4), kind="size")
        params = change.propose(case, 0, generator(0))
        assert isinstance(params, dict)
        assert params["source"] == wordnet.RARE_SOURCE
        assert params["new"] in wordnet.rare_words("adjective")
        assert "note" not in params
        again = Rare(context=context_of([case], seed=4), kind="size").propose(case, 0, generator(9))
        assert again == params


@pytest.mark.usefixtures("no_wordnet")
class TestWithout:
    def test_the_reason_says_how_to_get_it(self) -> None:
        assert wordnet.missing() == "WordNet is not installed (nltk.download('wordnet'))"
        assert wordnet.antonyms("small", "adjective") == ()
        assert wordnet.rare_words("noun") == ()

    def test_the_lexicon_alone_still_changes_words(self) -> None:
        case = make_case("small polyp")
        rare = Rare(context=context_of([case]), kind="size").propose(case, 0, generator(0))
        assert isinstance(rare, dict)
        assert "WordNet is not installed" in rare["note"]
        assert isinstance(Antonym(kind="size").propose(case, 0, generator(0)), dict)

    def test_what_needed_it_is_not_applicable_with_the_reason(self) -> None:
        siblings = {"p1": "polyp", "p2": "convex polyp", "p3": "pink convex polyp"}
        found = Antonym(kind="shape").propose(make_case("pink convex polyp", siblings=siblings), 0, generator(0))
        assert isinstance(found, NotApplicable)
        assert "WordNet is not installed (nltk.download('wordnet'))" in found.reason


@pytest.mark.slow
@pytest.mark.parametrize("stated", ["", os.pathsep.join(["~/a", "/b"])])
def test_the_data_path_is_nltks_own_without_its_import(stated: str) -> None:
    code = (
        "import sys; from robustness.perturb.language import wordnet; own = wordnet._places();"
        "assert 'nltk' not in sys.modules; import nltk.data; print(list(own) == [str(p) for p in nltk.data.path])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "NLTK_DATA": stated},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "True"
