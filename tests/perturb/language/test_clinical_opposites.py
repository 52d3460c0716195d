"""Opposites that stay medicine: bounds, shares, degrees, places of one kind, one axis of an image."""

from __future__ import annotations

import pytest

from robustness.perturb.language.ontology.terms import find_term
from robustness.perturb.language.opposites import half_reflections, opposites
from robustness.perturb.language.parse import parse_prompt
from robustness.perturb.preview import perturb_prompt


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
