"""Rare words: really rare, one word for one value, none of the dataset's own."""

from __future__ import annotations

import re

import numpy as np
import pytest

from robustness.perturb.language.lexicon import classes, find_class, plural, rare_words, singular, words
from robustness.perturb.prompt.rare import Rare
from robustness.seeds import generator
from tests.perturb.prompt_cases import FAMILIES, context_of, make_case

RNG = np.random.default_rng(0)
pytestmark = pytest.mark.usefixtures("no_wordnet")


@pytest.mark.parametrize("pos", ["noun", "adjective"])
def test_every_shipped_word_is_rare_by_wordfreq(pos: str) -> None:
    wordfreq = pytest.importorskip("wordfreq", reason="wordfreq is a core dependency of the rare words")
    shipped = rare_words(pos)
    assert len(shipped) >= 100
    for word in shipped:
        assert re.fullmatch("[a-z]{5,12}", word), word
        assert wordfreq.zipf_frequency(word, "en") < 1.5, word


def test_no_word_has_two_parts_of_speech_and_every_row_has_a_source() -> None:
    assert not set(rare_words("noun")) & set(rare_words("adjective"))
    assert all(row.source for row in (*words(), *classes()))


def test_one_word_stands_for_one_value_in_all_cases() -> None:
    cases = [make_case(FAMILIES["polyp"], case_id=c, image_id=c) for c in "abc"]
    cases.append(make_case("Small tumor", case_id="d", image_id="d"))
    change = Rare(context=context_of(cases, seed=7), kind="size")
    found = {change.propose(case, 0, generator(7, case.case_id))["new"].lower() for case in cases}  # type: ignore[index]
    assert len(found) == 1
    assert found != {Rare(context=context_of(cases, seed=8), kind="size").word("small", "adjective")}


def test_the_word_is_drawn_from_seed_name_kind_and_value() -> None:
    change = Rare(kind="size")
    pool = rare_words("adjective")
    assert (
        change.word("Small", "adjective") == pool[int(generator(0, "rare:size", "size", "small").integers(len(pool)))]
    )


def test_words_of_the_dataset_are_left_out() -> None:
    change = Rare(kind="size")
    taken = change.word("small", "adjective")
    cases = [make_case("small polyp"), make_case(f"{taken} polyp", case_id="b")]
    assert Rare(context=context_of(cases), kind="size").word("small", "adjective") != taken


def test_nouns_replace_nouns_and_keep_their_number() -> None:
    params = Rare(kind="target").propose(make_case("Two benign tumors"), 0, RNG)
    assert isinstance(params, dict)
    assert params["pos"] == "noun"
    assert params["new"].endswith("s")
    assert params["new"] not in rare_words("noun")


def test_class_names_know_their_number() -> None:
    assert singular("Caudate Nuclei") == "caudate nucleus"
    assert plural("hippocampus") == "hippocampi"
    assert plural("tumors") is None
    assert plural("zebra") is None
    assert plural("white matter") is None
    assert find_class("LEFT ventricular cavity").lateral is False  # type: ignore[union-attr]


def test_no_plural_names_two_classes() -> None:
    owners: dict[str, str] = {}
    for row in classes():
        for name in {row.name.lower(), row.plural.lower()}:
            assert owners.setdefault(name, row.name) == row.name
