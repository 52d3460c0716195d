"""Dropping: the attribute goes with the words that carry it, and the rest still reads well."""

from __future__ import annotations

import numpy as np
import pytest

from robustness.perturb.prompt.drop import Drop
from robustness.types import NotApplicable
from tests.perturb.prompt_cases import FAMILIES, context_of, make_case

RNG = np.random.default_rng(0)


def dropped(text: str, kind: str) -> str:
    params = Drop(kind=kind).propose(make_case(text), 0, RNG)
    return params.reason if isinstance(params, NotApplicable) else params["text"]


@pytest.mark.parametrize(
    ("text", "kind", "left"),
    [
        ("One  small polyp ", "number", "Small polyp "),
        (" one  small polyp", "number", " small polyp"),
        ("one small polyp  located in the top left", "location", "one small polyp"),
    ],
)
def test_doubled_blanks_leave_none_at_an_edge(text: str, kind: str, left: str) -> None:
    """A model that heeds blanks would react to " small polyp", and the verdict would say to the number."""
    assert dropped(text, kind) == left


@pytest.mark.parametrize(
    ("family", "kind", "gone", "left"),
    [
        ("polyp", "location", ", located in top right of the image", ""),
        ("polyp with description", "location", " located in top left, center of the image", ""),
        ("polyp with description", "description", " which is a small lump in the lining of colon", ""),
        ("polyp with description", "shape", "a thumb ", ""),
        ("breast", "location", " at the top left, center", ""),
        ("breast", "shape", "circle-shaped ", ""),
        ("breast", "number", "Two s", "S"),
        ("echo", "shape", " of oval shape", ""),
        ("echo", "view", " in four-chamber view", ""),
        ("echo", "phase", " at end of the systole cycle", ""),
        ("echo", "age", "fifty-six-year-old ", ""),
        ("echo", "sex", " female", ""),
        ("echo", "quality", " with good image quality", ""),
        ("chest", "shape", " of shape x-rays", ""),
        ("chest", "location", ", and located in top left, left of", " in"),
        ("chest", "view", "of the lateral view of ", "of "),
        ("chest", "pathology", " Lung Opacity, Atelectasis are present.", ""),
        ("brain", "side", "left ", ""),
        ("brain", "view", "axial ", ""),
        ("brain", "location", ", located in the top of the image", ""),
        ("brain both", "side", "left and right ", ""),
        ("ct", "number", " in two separate regions", ""),
    ],
)
def test_the_carrier_goes_with_the_value(family: str, kind: str, gone: str, left: str) -> None:
    assert FAMILIES[family].count(gone) == 1
    assert dropped(FAMILIES[family], kind) == FAMILIES[family].replace(gone, left)


def test_articles_fit_the_word_that_follows() -> None:
    assert dropped("an oval polyp", "shape") == "a polyp"
    assert dropped("one small a circle polyp", "shape") == "one small polyp"
    assert dropped("an oval red polyp", "colour") == "an oval polyp"
    assert dropped("a small oval polyp", "size") == "an oval polyp"


def test_what_must_stay_is_not_dropped() -> None:
    assert "absent" in dropped(FAMILIES["no tumor"], "number")
    assert "nothing but" in dropped("small", "size")
    assert "states no view" in dropped("polyp", "view")
    names = [p.name for p in Drop.expand(context_of([make_case(FAMILIES["polyp"])]))]
    assert names == ["drop:number", "drop:size", "drop:colour", "drop:shape", "drop:location"]


def test_a_word_that_tells_two_targets_apart_is_needed() -> None:
    left, right = make_case("left hippocampus", case_id="l"), make_case("right hippocampus", case_id="r")
    alone = make_case("left hippocampus", case_id="x", image_id="another")
    change = Drop(context=context_of([left, right, alone]), kind="side")
    assert change.expect(left, {}) == "none"
    assert change.expect(alone, {}) == "invariant"


@pytest.mark.parametrize(
    ("text", "kind", "new"),
    [
        ("TI-RADS 4 nodule measuring 12 x 9 mm", "measure", "TI-RADS 4 nodule"),
        ("Paris 0-IIa lesion, 15 mm", "measure", "Paris 0-IIa lesion"),
        ("the longest segment of the enhancing lesion", "size", "a segment of the enhancing lesion"),
        ("the largest enhancing nodules", "size", "enhancing nodules"),
        ("A sessile polyp about 6 mm in size is seen.", "measure", "A sessile polyp is seen."),
        (
            "A stone, approximately 9 mm, lies in the gallbladder neck.",
            "measure",
            "A stone lies in the gallbladder neck.",
        ),
        ("A necrotic wound, 4 cm by 3 cm, with erythema", "measure", "A necrotic wound with erythema"),
        ("Endotracheal tube tip 4 cm above the carina", "relation", "Endotracheal tube tip"),
        ("Segment both lungs on this PA chest radiograph.", "side", "Segment the lungs on this PA chest radiograph."),
        ("Haemorrhages in all four quadrants", "place", "Haemorrhages"),
        ("An irregular mass is seen at the left.", "shape", "A mass is seen at the left."),
        (
            "A Dieulafoy lesion, which is a large vessel, is visible on the lesser curve.",
            "description",
            "A Dieulafoy lesion is visible on the lesser curve.",
        ),
    ],
)
def test_what_is_dropped_is_of_the_kind_named(text: str, kind: str, new: str) -> None:
    assert dropped(text, kind) == new


@pytest.mark.parametrize(
    ("text", "kind", "reason"),
    [
        ("BI-RADS 5 mass", "measure", "is a category"),
        ("two moles, one at the top and one in the middle of the picture", "number", "still counts"),
        ("Two enhancing nodules, the larger 9 mm", "number", "still counts"),
        ("A cystic lesion sits between the tibia and the fibula.", "relation", "no verb"),
        ("The pacing lead overlies the right ventricular apex.", "relation", "no verb"),
        ("The abscess lies posterior to the rectum.", "relation", "no verb"),
        ("superficial burn covering most of the forearm", "direction", "how deep"),
        ("superficial burn covering most of the forearm", "measure", "the place goes with the extent"),
        ("Both kidneys are normal in size.", "pathology", "would say nothing"),
        ("Segment all metastases larger than 1 cm.", "measure", "what is measured"),
        ("Outline every polyp in this image.", "number", "needs it"),
        ("Ovary with a dominant follicle of 22 mm", "description", "speak of it"),
        ("Chiari malformation with tonsils 8 mm below the foramen magnum", "relation", "of another thing"),
        ("Give me a mask of the cerebellum.", "place", "named by it"),
        ("Neovascularisation at the disc (NVD)", "place", "named by it"),
        ("The lesion has an irregular border.", "margin", "cannot stand"),
        ("irregularly shaped lesion, dark brown to black", "colour", "one end of a range"),
        ("Parasternal long-axis view showing the aortic root", "view", "cannot stand"),
        ("Microaneurysms are scattered throughout the posterior pole.", "place", "cannot stand"),
        ("The snare is positioned around the polyp.", "relation", "cannot stand"),
        ("the wound on the viewer's left", "location", "cannot stand"),
        ("A large wound sits at the very bottom of the photo.", "location", "cannot stand"),
        ("an ulcer near the image border, bottom left", "location", "more than once"),
    ],
)
def test_a_drop_that_would_leave_a_torso_or_the_value_itself_is_not_made(text: str, kind: str, reason: str) -> None:
    assert reason in dropped(text, kind)


@pytest.mark.parametrize(
    ("text", "kind", "left"),
    [
        ("large left gray matter in one region", "number", "large left gray matter"),
        (
            "one large region: left and right lateral ventricles",
            "size",
            "one region: left and right lateral ventricles",
        ),
        ("two regions: left and right lateral ventricles", "number", "regions: left and right lateral ventricles"),
        ("two parts of the liver", "number", "'two' cannot be left out: it alone says which"),
        ("Segment the dark area.", "signal", "'dark' cannot be left out: it alone says which"),
        ("segment the small one", "size", "'small' cannot be left out: it alone says which"),
    ],
)
def test_a_word_of_a_region_that_is_named_elsewhere_may_go(text: str, kind: str, left: str) -> None:
    assert dropped(text, kind) == left


# Prompt; the kind that is left out; what is expected of a model without it; what else the picture holds.
NEEDED = """
left ovary; side; none; right ovary
left ovary; side; none; uterus
large drusen; size; none; small drusen
large drusen; size; invariant; small exudate
hyperechoic nodule; signal; none; hypoechoic nodule
round spiculated mass; margin; none; round smooth mass
round spiculated mass; margin; none; oval smooth mass
pink polyp in the top left of the image; location; none; pink polyp in the center of the image
calcified aneurysm on CT; texture; invariant; vertebra
bleeding ulcer; pathology; none; healed ulcer
"""


@pytest.mark.parametrize("row", NEEDED.strip().splitlines())
def test_nothing_is_expected_without_words_where_another_thing_of_that_name_is_on_the_picture(row: str) -> None:
    text, kind, expected, other = row.split("; ")
    meant, beside = make_case(text, case_id="meant"), make_case(other, case_id="other")
    change = Drop(context=context_of([meant, beside]), kind=kind)
    params = change.propose(meant, 0, RNG)
    assert isinstance(params, dict), params
    assert change.expect(meant, params) == expected
