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


def denied(text: str, form: str = "no") -> str | None:
    edits = denial(parse_prompt(text), form)
    return None if edits is None else splice(text, edits)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Testis on the right, heterogeneous echotexture", "No testis on the right"),
        ("at least two blisters, each about 1 cm", "no blisters"),
        ("Diminutive sessile polyps, covering the whole fold", "No diminutive sessile polyps"),
        ("enhancing lesion, likely metastatic", "no enhancing lesion"),
        ("CARDIOMEGALY, MILD", "NO CARDIOMEGALY"),
        ("thyroid: left lobe nodule, hypoechoic", "thyroid: no left lobe nodule"),
        ("Paris 0-IIa lesion, 15 mm", "No Paris 0-IIa lesion"),
        ("Two enhancing nodules, the larger 9 mm", "No enhancing nodules"),
        ("FLAIR-hyperintense plaques, ovoid in shape", "No FLAIR-hyperintense plaques"),
        (
            "small-volume pericardial collection, tracking behind the left ventricle",
            "no small-volume pericardial collection",
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
def test_without_any_never_opens_a_list(text: str) -> None:
    assert denied(text, "without any") == f"no {text}"


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
    assert heading["text"] in ("Right eye: no epiretinal membrane", "Right eye: without any epiretinal membrane")
