"""Denials: what they leave out of a prompt, and which prompts have none."""

from __future__ import annotations

import numpy as np
import pytest

from robustness.perturb.language.edit import splice
from robustness.perturb.language.parse import parse_prompt
from robustness.perturb.prompt.denial import denial
from robustness.perturb.prompt.negation import Negation
from robustness.types import NotApplicable
from tests.perturb.prompt_cases import make_case


def denied(text: str) -> str | None:
    edits = denial(parse_prompt(text))
    return None if edits is None else splice(text, edits)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Testis on the right, heterogeneous echotexture", "No testis on the right"),
        ("at least two blisters, each about 1 cm", "no blisters"),
        ("Diminutive sessile polyps, covering the whole fold", "No sessile polyps"),
        ("enhancing lesion, likely metastatic", "no enhancing lesion"),
        ("CARDIOMEGALY, MILD", "NO CARDIOMEGALY"),
        ("Kidneys normal. Pleural effusion.", "Kidneys normal. No pleural effusion."),
        ("thyroid: left lobe nodule, hypoechoic", "thyroid: no left lobe nodule"),
        ("Paris 0-IIa lesion, 15 mm", "No lesion"),
        ("Two enhancing nodules, the larger 9 mm", "No enhancing nodules"),
        ("FLAIR-hyperintense plaques, ovoid in shape", "No FLAIR-hyperintense plaques"),
        (
            "small-volume pericardial collection, tracking behind the left ventricle",
            "no pericardial collection",
        ),
        ("kidney stone, 1.5 cm, coronal reformat", "no kidney stone, coronal reformat"),
    ],
)
def test_a_denial_leaves_out_what_a_comma_behind_still_says_of_the_target(text: str, expected: str) -> None:
    assert denied(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "kidneys, nephrographic phase, coronal reformat",
        "glomeruli, Masson trichrome, 10x",
        "pancreas, portal venous phase, 58-year-old man",
    ],
)
def test_what_is_of_the_picture_stays_beside_a_denial(text: str) -> None:
    assert denied(text) == f"no {text}"


@pytest.mark.parametrize("text", ["possible abscess in the psoas muscle", "questionable fracture of the radial neck"])
def test_a_hedge_is_not_denied(text: str) -> None:
    assert denied(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "ejection fraction 35%: outline the left ventricle",
        "Cobb angle of 32 degrees: outline the vertebral column",
        "CRL 45 mm, single live fetus",
    ],
)
def test_an_organ_with_a_reported_measure_is_not_denied(text: str) -> None:
    assert denied(text) is None


def test_neither_a_need_nor_a_property_is_denied() -> None:
    assert denied("The satellite lesions close to the main plaque need outlining.") is None
    assert denied("The nodule is isoechoic, oval and smoothly marginated.") is None
    assert denied("A cyst lies beside the aorta.") == "No cyst lies beside the aorta."


def test_a_heading_and_a_closing_comma_are_read_as_such() -> None:
    prompt = parse_prompt("A Dieulafoy lesion, which is a large vessel, is visible on the lesser curve.")
    edits = denial(prompt)
    assert edits is not None
    assert splice(prompt.text, edits) == "No Dieulafoy lesion is visible on the lesser curve."
    heading = Negation().propose(make_case("Right eye: epiretinal membrane"), 0, np.random.default_rng(0))
    assert not isinstance(heading, NotApplicable)
    assert heading["text"] == "Right eye: no epiretinal membrane"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Three 2-4 mm hyperplastic polyps in the rectum", "No hyperplastic polyps in the rectum"),
        ("TI-RADS 4 nodule measuring 12 x 9 mm", "No nodule"),
        ("PI-RADS 5 lesion in the left peripheral zone", "No lesion in the left peripheral zone"),
        ("a 55 mm infrarenal aortic aneurysm", "no infrarenal aortic aneurysm"),
        ("A pericardial effusion of 1.2 cm is seen.", "No pericardial effusion is seen."),
        ("A sessile polyp about 6 mm in size is seen.", "No sessile polyp is seen."),
        ("Endotracheal tube tip 4 cm above the carina", "No endotracheal tube tip"),
        ("Small bilateral pleural effusions in the chest", "No pleural effusions in the chest"),
        ("Outline every polyp in this image.", "There is no polyp in this image."),
        ("A necrotic wound, 4 cm by 3 cm, with surrounding erythema", "No necrotic wound"),
    ],
)
def test_neither_a_number_nor_a_size_nor_a_grade_is_what_is_denied(text: str, expected: str) -> None:
    assert denied(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("There are multiple lesions in both lobes of the liver.", "There are no lesions in either lobe of the liver."),
        ("Please delineate the hippocampus on both sides.", "There is no hippocampus on either side."),
        ("Haemorrhages in all four quadrants", "No haemorrhages in any of the four quadrants"),
    ],
)
def test_a_denial_leaves_no_half_of_a_pair(text: str, expected: str) -> None:
    assert denied(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A nasogastric tube and a central line are seen.", "Neither a nasogastric tube nor a central line is seen."),
        (
            "Cardiomegaly and bilateral pleural effusions are present.",
            "Neither cardiomegaly nor pleural effusions are present.",
        ),
        ("The meniscal tear extends to the inferior articular surface.", "There is no meniscal tear."),
        ("The abscess lies posterior to the rectum and displaces the seminal vesicles.", "There is no abscess."),
        ("The cyst lies left of centre in the image.", "No cyst lies left of centre in the image."),
        ("An ulcerated mass, probably malignant, occupies the fundus.", "No ulcerated mass occupies the fundus."),
        ("Count and outline the neutrophils.", "There are no neutrophils."),
        ("Trace the right atrium in an apical view.", "There is no right atrium in the apical view."),
    ],
)
def test_a_statement_and_a_request_become_one_statement_of_absence(text: str, expected: str) -> None:
    assert denied(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Two polyps, the first in the centre and the second at the lower left",
        "Instruments: grasper, hook and clipper",
        "Enhancing tumour, necrotic core and surrounding oedema",
        "BI-RADS 3 lesion, parallel orientation",
        "Please trace the outer border of the lesion.",
        "The lesion has an irregular border and two colours.",
        "Show me where the surgical scar is.",
        "Cup-to-disc ratio 0.8; segment the optic cup.",
        "Widened mediastinum in a 72-year-old man",
        "gallbladder being retracted by the grasper",
    ],
)
def test_what_would_deny_something_else_has_no_denial(text: str) -> None:
    assert denied(text) is None


@pytest.mark.parametrize(
    ("text", "denied"),
    [
        ("highly suspicious for a perforated ulcer", "negative for a perforated ulcer"),
        ("findings highly suspicious for an ulcer", "findings negative for an ulcer"),
    ],
)
def test_what_is_only_suspected_is_denied_whole(text: str, denied: str) -> None:
    params = Negation().propose(make_case(text), 0, np.random.default_rng(0))
    assert isinstance(params, dict)
    assert params["text"] == denied
