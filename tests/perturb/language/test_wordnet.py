"""WordNet as the second source, on the real database; and what is said where it is missing."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from robustness.perturb.language import wordnet
from robustness.perturb.language.opposites import from_wordnet
from robustness.perturb.prompt.antonym import Antonym
from robustness.perturb.prompt.rare import Rare
from robustness.perturb.prompt.synonym import SynonymOf
from robustness.seeds import generator
from robustness.types import NotApplicable
from tests.perturb.prompt_cases import context_of, make_case


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
