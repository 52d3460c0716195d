"""Rare words: really rare, one word for one value, none of the dataset's own."""

from __future__ import annotations

import re

import numpy as np
import pytest

from robustness.perturb.language.lexicon import classes, find_class, plural, rare_words, singular, words
from robustness.perturb.preview import perturb_prompt
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


@pytest.mark.parametrize(
    ("text", "perturbation", "changed"),
    [
        # Nothing but another comparative goes with "than".
        ("nodule bigger than the other one", "antonym:size", "nodule smaller than the other one"),
        ("nodule bigger than the other one", "drop:size", None),
        ("nodule bigger than the other one", "neutral:size", None),
        ("nodule bigger than the other one", "rare:size", None),
        # An age and a sex that are written as one word.
        ("72M, mass in the left kidney", "neutral:age", None),
        ("72M, mass in the left kidney", "rare:sex", None),
        # The noun that "with" carries stays, "with" itself goes with it.
        ("irregular mass w/ angular margins, R breast", "drop:margin", "irregular mass, R breast"),
        ("mass w irregular margins, R breast", "drop:margin", "mass, R breast"),
        ("opacity on the left", "neutral:side", "opacity on the unspecified side"),
        ("opacity on the left side", "neutral:side", "opacity on the unspecified side"),
        ("mass, R breast", "neutral:side", "mass, unspecified breast"),
        ("R breast, mass", "neutral:side", "Unspecified breast, mass"),
        ("chest, PA view", "neutral:view", "chest, standard view"),
        ("left atrium, apical four chamber", "neutral:view", "left atrium, standard view"),
        ("macular hole, OD", "neutral:side", "macular hole, unspecified"),
        ("MACULAR HOLE, OD", "neutral:side", "MACULAR HOLE, UNSPECIFIED"),
        ("the angioectasia at around 4 o'clock", "drop:location", "the angioectasia"),
        ("the angioectasia at around 4 o'clock", "neutral:location", None),
        ("papule, basal cell carcinoma not excluded", "drop:certainty", None),
        ("wound looks clean, no slough", "drop:pathology", None),
        ("wound looks clean, no slough", "neutral:pathology", "wound looks unspecified, no slough"),
        ("wound is clean, dry", "drop:pathology", "wound is dry"),
        ("lesion, suspicious for malignancy", "neutral:pathology", "lesion, suspicious for some findings"),
        # A place in the picture is a noun, or the adjective of an edge, or that of the target.
        ("cyst in the upper left of the image", "neutral:location", "cyst in some part of the image"),
        ("cyst, located in top of the image", "neutral:location", "cyst, located in part of the image"),
        ("cyst on the right side of the image", "neutral:location", "cyst on one side of the image"),
        ("cyst, lower right corner", "neutral:location", "cyst, one corner"),
        ("upper left cyst", "neutral:location", "unspecified cyst"),
        ("cyst on the right side of the image", "synonym:location", "cyst on the right-hand side of the image"),
        ("cysts at the left edge", "synonym:location", "cysts at the left-hand edge"),
        ("cyst, lower right corner", "drop:location", "cyst"),
        ("round cysts, 5 mm, at the left edge", "drop:location", "round cysts, 5 mm"),
        ("two teeth on the right side of the panoramic image", "drop:location", "two teeth in the panoramic image"),
        # The article of a number goes with it; a noun that no lexicon lists has its plural too.
        ("A single red cyst", "neutral:number", "Some red cyst"),
        ("A single red cyst", "synonym:number", "One red cyst"),
        ("two small microaneurysms", "neutral:target", "two small structures"),
        # A finding is left-sided, and no organ is.
        ("left pleural effusion", "synonym:side", "left-sided pleural effusion"),
        ("mass in the left kidney", "synonym:side", None),
        ("left kidney", "synonym:side", None),
        ("consolidation, more on the right than on the left", "synonym:side", None),
        ("left ventricle at end of diastole", "neutral:phase", None),
        ("effusion in a male infant", "synonym:sex", None),
        ("fracture in a 10-year-old boy", "neutral:age", None),
        # What is said of one thing only goes alone.
        ("Three cysts, each about 5 mm in size, in the liver", "drop:measure", "Three cysts in the liver"),
        ("cyst with thin wall and posterior enhancement", "drop:margin", "cyst with posterior enhancement"),
        ("cyst with thin wall and posterior enhancement", "drop:signal", "cyst with thin wall"),
        ("hematoma, biconvex shape, on the left", "drop:shape", "hematoma on the left"),
        ("lesion on the back of a 45-year-old man", "drop:place", "lesion in a 45-year-old man"),
        ("kidneys normal, no stones", "drop:pathology", "kidneys, no stones"),
        ("the myocardium in a young woman", "drop:sex", None),
        ("a cyst larger than the one beside it", "drop:relation", None),
        ("nuclei in an H&E stained slide", "drop:modality", None),
        ("prostate with a hypointense focus in the left peripheral zone", "drop:description", None),
        # A measure is an adjective only before its noun; the denial of the target is no word like any other.
        ("nodule, less than 2 cm", "rare:measure", None),
        ("No tumor on CT", "rare:number", None),
        # What is denied of another thing leaves the target asked for.
        ("two cysts, no bleeding", "antonym:negation", "two cysts, some bleeding"),
        ("No large polyps seen. Small ulcer", "antonym:negation", "Some large polyps seen. Small ulcer"),
        ("No polyp seen; ulcer", "antonym:negation", "A polyp seen; ulcer"),
        ("outline the gauze and not the clip", "antonym:negation", "outline the gauze and the clip"),
        ("kidneys normal, no stones", "antonym:negation", "kidneys normal, some stones"),
        ("two round cysts near the hilum, no bleeding", "negation", "no round cysts near the hilum, no bleeding"),
        ("benign cyst, small, in the middle of the picture", "negation", "no benign cyst"),
        ("kidneys normal, no stones", "negation", None),
        ("nodules, no more than 5 mm", "negation", None),
        ("a 3 cm T1 hypointense mass, no edema", "negation", "no T1 hypointense mass, no edema"),
        ("dark nuclei arranged along the border", "negation", "no dark nuclei arranged along the border"),
        ("two cysts, no bleeding", "paraphrase", "Segment the following: two cysts, no bleeding"),
        ("No tumor in the image", "paraphrase", "There is no tumor in the image"),
        ("No polyps", "paraphrase", "There are no polyps"),
        ("No flat polyps seen. Small ulcer", "paraphrase", "There are no flat polyps seen. Small ulcer"),
        # Of two values the one with an opposite changes; no name is made that anatomy does not have.
        ("Paris Is polyp, 12 mm", "antonym:measure", "Paris Is polyp, 36 mm"),
        ("mass in the lateral ventricle", "antonym:place", "mass in the fourth ventricle"),
        ("lesion in the right frontal lobe", "antonym:place", "lesion in the right parietal lobe"),
        ("cyst in the lateral wall", "antonym:place", "cyst in the medial wall"),
        ("ulcer on the dorsum of the left foot", "antonym:place", "ulcer on the sole of the left foot"),
        ("nuclei in an H&E stained slide", "antonym:modality", "nuclei in a PAS stained slide"),
        ("left atrium, apical 4 chamber", "drop:view", "left atrium"),
        ("left atrium at end of diastole", "antonym:phase", "left atrium at end of systole"),
        # Parts of a number or of a pair that are told do not outlive it.
        ("two nodules, the larger measuring 1.4 cm", "antonym:number", None),
        ("both big toes, the left one bandaged", "antonym:side", None),
        ("bilateral hippocampi", "antonym:side", "unilateral hippocampus"),
        ("opacities in both lower lobes", "antonym:side", "opacities in the left lower lobe"),
        ("the bigger of the two nodules", "neutral:size", None),
        ("a wire entering from the left", "neutral:side", "a wire entering from the unspecified side"),
        ("a wire entering from the left", "antonym:relation", "a wire remote from the left"),
        ("mass in a 70-year-old female patient", "neutral:sex", None),
        ("A solitary, lobulated mass", "neutral:number", "Some lobulated mass"),
        ("mass with necrosis at its lower margin", "neutral:location", "mass with necrosis at its unspecified margin"),
        ("disc with a cup-to-disc ratio of 0.7", "antonym:measure", "disc with a cup-to-disc ratio of 0.3"),
        ("a mass, no cavitation", "antonym:negation", "a mass, some cavitation"),
        ("lesion at the centre of the field", "drop:location", "lesion"),
        ("nuclei arranged along the top border of the image", "drop:location", "nuclei"),
        ("left atrium, end-diastolic frame", "drop:phase", "left atrium"),
        ("leads over the heart, no mass", "paraphrase", "Segment the following: leads over the heart, no mass"),
        ("no cyst, one nodule", "paraphrase", "Segment the following: no cyst, one nodule"),
    ],
)
def test_a_changed_word_fits_what_stands_beside_it(text: str, perturbation: str, changed: str | None) -> None:
    table = perturb_prompt(text, modality="CT")
    row = table[table["perturbation"] == perturbation].iloc[0]
    assert (row["text"] if row["applicable"] else None) == changed


def test_a_rare_word_leaves_the_noun_that_it_describes() -> None:
    table = perturb_prompt("irregular mass with angular margins, left breast")
    text = table.loc[table["perturbation"] == "rare:margin", "text"].item()
    assert re.fullmatch("irregular mass with [a-z]{5,12} margins, left breast", text)
