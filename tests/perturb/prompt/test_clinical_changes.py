"""What changes of clinical prompts do: each mistake that rows a wrong verdict, by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from robustness.perturb.image.spatial.horizontal_flip import HorizontalFlip
from robustness.perturb.image.spatial.vertical_flip import VerticalFlip
from robustness.perturb.language.measured import measure
from robustness.perturb.language.templates import build_prompts
from robustness.perturb.language.truth import judge_prompt, judge_value
from robustness.perturb.preview import perturb_prompt
from robustness.perturb.prompt.antonym import Antonym
from robustness.perturb.prompt.drop import Drop
from robustness.types import NotApplicable
from tests.perturb.prompt_cases import blob, context_of, make_case

TWO = "one small polyp in the top left and one large polyp in the bottom right"
INFECTION = "Unilateral pulmonary infection, one infected area, upper left lung."


def changes(text: str, *, modality: str = "") -> dict[str, dict[str, Any]]:
    """Return perturbation -> row of every change of a prompt that applies."""
    table = perturb_prompt(text, modality=modality)
    return {str(r["perturbation"]): r for r in table[table["applicable"]].to_dict("records")}


@pytest.mark.parametrize(
    "text",
    [
        "5 mm polyp",
        "1.3 cm lesion",
        "grade 3 tumor",
        "BI-RADS 4 mass",
        "cyst in segment 6",
        "polyp at 6:00",
        "mass in two planes",
    ],
)
def test_a_measure_is_no_number_of_objects(text: str) -> None:
    assert "antonym:number" not in changes(text)
    assert "drop:number" not in changes(text)


@pytest.mark.parametrize("place", [(5, 5), (5, 70), (70, 5), (70, 70)])
def test_the_patients_place_is_never_judged_by_the_picture(place: tuple[int, int]) -> None:
    row, column = place
    case = make_case(INFECTION, mask=blob((row, row + 20), (column, column + 20)), modality="CT")
    truths = judge_prompt(case)
    assert "location" not in truths
    assert truths["place"] == "unknown"
    assert "false" not in truths.values()
    change = Antonym(context=context_of([case]), kind="place")
    params = change.propose(case, 0, np.random.default_rng(0))
    assert isinstance(params, dict)
    assert change.expect(case, params) == "none"


def test_a_landmarks_side_is_judged_by_nothing() -> None:
    case = make_case("cyst in the left kidney", attributes={"side": "right"})
    side = case.prompt.get("side")
    assert side is not None
    assert judge_value(case, side) == "unknown"
    row = changes("cyst in the left kidney")["antonym:side"]
    assert row["expectation"] == "none"
    assert "landmark" in row["note"]


def test_the_side_of_one_of_two_targets_is_judged_by_nothing() -> None:
    # Whose side "left" is stays with the noun behind it; the mask of both does not tell.
    assert [(a.kind, a.value) for a in make_case("left kidney and spleen").prompt.attributes] == [
        ("side", "left"),
        ("target", "kidney"),
        ("target", "spleen"),
    ]
    case = make_case("left kidney and spleen", attributes={"side": "left"})
    params = Antonym(context=context_of([case]), kind="side").propose(case, 0, np.random.default_rng(0))
    assert isinstance(params, dict)
    assert params["text"] == "right kidney and spleen"
    assert params["truth"] == "unknown"
    assert changes("left kidney and spleen")["antonym:side"]["expectation"] == "none"
    assert changes("left kidney")["antonym:side"]["expectation"] == "change"


@pytest.mark.parametrize(
    ("words", "count", "truth"),
    [
        ("at least two", 2, "true"),
        ("no more than one", 2, "false"),
        ("no fewer than two", 2, "true"),
        ("two or three", 2, "true"),
        ("3-4", 2, "false"),
        ("between 3 and 5", 2, "false"),
        ("more than six", 2, "false"),
        ("fewer than six", 2, "true"),
    ],
)
def test_a_bounded_number_is_judged_by_what_is_drawn(words: str, count: int, truth: str) -> None:
    mask = np.zeros((40, 40), dtype=bool)
    for n in range(count):
        mask[4:8, 4 + 10 * n : 8 + 10 * n] = True
    case = make_case(f"{words} polyps", mask=mask)
    number = case.prompt.get("number")
    assert number is not None
    assert (number.value, judge_value(case, number)) == (words, truth)


@pytest.mark.parametrize(("text", "one"), [(TWO, "polyp"), ("optic disc and optic cup", "optic")])
def test_absent_and_wrong_class_leave_neither_of_two_targets(text: str, one: str) -> None:
    modality = "endoscopy" if one == "polyp" else "fundus"
    rows = changes(text, modality=modality)
    assert one not in str(rows["absent"]["text"])
    assert one not in str(rows["wrong_class"]["text"])


def test_of_two_targets_both_are_denied_and_one_place_moves() -> None:
    assert changes("optic disc and optic cup")["negation"]["text"] == "no optic disc and no optic cup"
    moved = str(changes(TWO)["antonym:location"]["text"])
    assert "top left" not in moved
    assert moved.count("bottom right") == 1
    assert moved.endswith("one large polyp in the bottom right")


def test_both_halves_of_a_pair_are_never_made_one() -> None:
    assert "antonym:side" not in changes("left lower lobe and right lower lobe")
    assert changes("left kidney and right ureter")["antonym:side"]["text"] == "right kidney and right ureter"


@pytest.mark.parametrize(
    ("text", "kind", "expected"),
    [
        ("left kidney", "side", "none"),
        ("largest tumor", "size", "none"),
        ("anterior horn of the lateral ventricle", "direction", "none"),
        ("cyst in the left kidney", "side", "invariant"),
        ("small polyp", "size", "invariant"),
    ],
)
def test_a_drop_that_changes_the_referent_expects_nothing(text: str, kind: str, expected: str) -> None:
    case = make_case(text)
    change = Drop(context=context_of([case]), kind=kind)
    params = change.propose(case, 0, np.random.default_rng(0))
    assert isinstance(params, dict)
    assert change.expect(case, params) == expected


@pytest.mark.parametrize("sizes", [((2, 2), (20, 20)), ((4, 4), (9, 9)), ((3, 3), (40, 40)), ((10, 10), (11, 11))])
def test_prompts_that_are_written_from_a_mask_are_true_of_it(sizes: tuple[tuple[int, int], ...]) -> None:
    mask = np.zeros((100, 100), dtype=bool)
    for (height, width), at in zip(sizes, (5, 55), strict=True):
        mask[at : at + height, at : at + width] = True
    image = np.full((100, 100, 3), 120, dtype=np.uint8)
    attributes = {"target": "polyp", **measure(mask, image)}
    text = build_prompts(attributes)["p6"]
    case = make_case(text, mask=mask, attributes=attributes)
    truths = judge_prompt(case)
    assert "size" in truths
    assert "false" not in truths.values(), (text, truths)


@pytest.mark.parametrize(
    ("text", "mirrored"),
    [
        ("nodule in the RLL", "nodule in the LLL"),
        ("LUL nodule", "RUL nodule"),
        ("OD macular hole", "OS macular hole"),
        ("OS: macular hole", "OD: macular hole"),
        ("dextral kidney", "sinistral kidney"),
        ("Sinistral ovary", "Dextral ovary"),
        ("RML nodule", None),
        ("polyp at 3 o'clock", None),
        ("mass at the 10 o'clock position of the right breast", None),
        ("polyp to the left of a fold", None),
        ("both kidneys", "both kidneys"),
    ],
)
def test_a_mirrored_image_has_every_side_rewritten_or_is_not_made(text: str, mirrored: str | None) -> None:
    case = make_case(text, mask=blob())
    params = HorizontalFlip().propose(case, 1, np.random.default_rng(0))
    if mirrored is None:
        assert isinstance(params, NotApplicable)
        assert isinstance(VerticalFlip().propose(case, 1, np.random.default_rng(0)), NotApplicable)
    else:
        assert not isinstance(params, NotApplicable), params
        assert HorizontalFlip().apply(case, params).prompt.text == mirrored


@pytest.mark.parametrize(
    ("text", "name", "new"),
    [
        ("Segment the left lung", "paraphrase", "I would like you to segment the left lung"),
        ("Segment the left lung", "negation", "There is no left lung"),
        ("There is a glioma.", "negation", "There is no glioma."),
        ("grossly distended gallbladder", "paraphrase", "an image of the grossly distended gallbladder"),
        ("both lungs", "antonym:side", "left lung"),
        ("several infected areas, lower right lungs", "antonym:number", "one infected area, lower right lungs"),
        ("Kerley B lines are visible.", "negation", "No Kerley B lines are visible."),
        ("calcified, egg-shaped mass", "drop:shape", "calcified mass"),
        ("A flat, reddish lesion with an ulcerated surface", "drop:texture", "A flat, reddish lesion"),
    ],
)
def test_the_changed_text_is_english(text: str, name: str, new: str) -> None:
    assert changes(text)[name]["text"] == new


def test_a_colour_inside_a_name_is_not_swapped() -> None:
    assert "antonym:colour" not in changes("white matter lesions")


@pytest.mark.parametrize(
    "text",
    [
        "ulcer suspected to be malignant",
        "vesicles on the volar aspect of the wrist",
        "two moles, one at the top and one in the middle of the picture",
    ],
)
def test_no_half_sentence_is_left(text: str) -> None:
    rows = changes(text)
    assert not {"drop:certainty", "drop:pathology", "drop:direction", "drop:location"} & set(rows)


# One case for most kinds of fault that reading 989 swaps of prompts found.
@pytest.mark.parametrize(
    ("text", "name", "changed"),
    [
        ("ASPECTS 6, M2 occlusion", "antonym:measure", "ASPECTS 1, M2 occlusion"),
        ("no hydronephrosis in the left kidney", "antonym:number", "some hydronephrosis in the left kidney"),
        ("seven or eight globules", "antonym:number", "one globule"),
        ("nodule with an area of 4 mm2", "antonym:measure", "nodule with an area of 12 mm2"),
        ("Ki-67 index 30 %, tumour nuclei", "antonym:measure", "Ki-67 index 8 %, tumour nuclei"),
        ("a Kerion on the scalp", "antonym:place", "a Kerion on the forearm"),
        ("The lesion does not enhance.", "antonym:negation", "The lesion does enhance."),
        ("gallbladder wall, not thickened", "antonym:negation", "gallbladder wall, thickened"),
        ("a diverticulum between 3 and 5 o'clock", "antonym:location", "a diverticulum between 9 and 11 o'clock"),
        ("There is a single web.", "antonym:number", "There are several webs."),
        ("A solitary ulcer lies near the valve.", "antonym:number", "Multiple ulcers lie near the valve."),
        ("Two clips are visible.", "antonym:number", "One clip is visible."),
        ("The edge is pushing into the fat.", "antonym:relation", "The edge is sparing the fat."),
        ("abscess extending from the psoas into the thigh", "antonym:relation", None),
        ("spleen + both kidneys + stomach", "antonym:side", "spleen + left kidney + stomach"),
        ("non-bleeding visible vessel", "antonym:pathology", "bleeding visible vessel"),
        ("Dx: pneumonia RLL", "antonym:place", "Dx: pneumonia RUL"),
        ("Bright object, far bottom left", "drop:location", "Bright object"),
    ],
)
def test_a_swap_changes_one_thing_in_grammar_that_holds(text: str, name: str, changed: str | None) -> None:
    new = changes(text)[name]["text"]
    assert new == (changed or "abscess separate from the psoas and the thigh")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("scan of the uterus in a 30-year-old woman", "antonym:sex"),
        ("heart without enlargement", "rare:negation"),
        ("mass pushing the bladder inferiorly", "rare:relation"),
    ],
)
def test_what_no_patient_and_no_word_can_be_is_not_asked(text: str, name: str) -> None:
    assert name not in changes(text)


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("Bullae on both shins", "antonym:side", "Bullae on the left shin"),
        ("lesion at L3-4", "antonym:place", "lesion at L2-3"),
        ("lesion at L1-2", "antonym:place", "lesion at L2-3"),
        ("HER2 3+ clone", "antonym:measure", "HER2 1+ clone"),
        ("sac with fetal pole, no FHR", "antonym:negation", "sac with fetal pole, an FHR"),
        ("Both adrenals thickened, left worse", "drop:size", "Both adrenals, left worse"),
        ("Uterine fibroids x4, largest 6 cm", "drop:number", "Uterine fibroids, largest 6 cm"),
        ("glands beneath it", "drop:relation", "glands"),
        ("Bone bruise: lateral condyle + tibial plateau", "drop:place", None),
        ("Necrosis: 20% of slide", "drop:measure", None),
        ("New vessels, 1/2 of the disc", "antonym:measure", None),
        ("8th rib posteriorly on the right", "synonym:side", None),
        ("Film rotated; heart size cannot be judged", "negation", None),
        ("LV apex ballooned; RA dilated", "wrong_class", None),
    ],
)
def test_a_swap_changes_one_thing_and_leaves_a_sentence(text: str, name: str, expected: str | None) -> None:
    row = changes(text).get(name)
    assert (row["text"] if row else None) == expected


def test_a_list_of_targets_parted_by_semicolons_becomes_one_other_class() -> None:
    assert changes("kidneys; adrenals; spleen", modality="CT")["wrong_class"]["new"] not in ("", "spleen")
