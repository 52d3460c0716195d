"""The ontology: size, soundness, the user's own file, and what is kin to what."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from robustness.errors import InputError
from robustness.perturb.language.ontology import terms as module
from robustness.perturb.language.ontology.relatives import is_other, organ_at, others, regions_of
from robustness.perturb.language.ontology.terms import CATEGORIES, extend, find_term, terms
from robustness.perturb.modality import MODALITIES


@pytest.fixture
def shipped_only() -> Iterator[None]:
    yield
    module._EXTRA.clear()
    for cached in (module.terms, module.term_index, *module._LISTENERS):
        cached.cache_clear()  # type: ignore[attr-defined]


def test_there_are_hundreds_of_terms_over_every_modality_each_with_a_source() -> None:
    assert len(terms()) >= 600
    assert {m for t in terms() for m in t.modalities} == set(MODALITIES)
    assert all(t.source and t.category in CATEGORIES and t.plural for t in terms())
    assert len({t.name for t in terms()}) == len(terms())


@pytest.mark.parametrize(
    ("a", "b", "other"),
    [
        ("adenoma", "polyp", False),
        ("nevus", "skin melanoma", False),
        ("foot ulcer", "wound", False),
        ("myocardium", "left ventricle", False),
        ("pneumonia", "consolidation", False),
        ("rib", "fracture", False),
        ("surgical instrument", "polyp", True),
        ("clavicle", "consolidation", True),
        ("spleen", "liver", True),
        ("hair", "melanoma", True),
    ],
)
def test_what_may_be_the_same_thing_is_never_another(a: str, b: str, other: bool) -> None:
    assert is_other(a, b) is other


def test_others_are_plausible_in_the_modality() -> None:
    for target, modality in (("polyp", "endoscopy"), ("optic disc", "fundus"), ("prostate", "MRI")):
        found = others(target, modality)
        assert len(found) >= 3
        assert all(modality in t.modalities for t in found)


def test_a_finding_of_no_region_is_swapped_within_the_field_of_the_image() -> None:
    # An endoscope that sees the liver is a laparoscope.
    assert {t.region for t in others("nodule", "endoscopy")} <= {"bowel lumen", "any"}
    assert {t.region for t in others("nodule", "endoscopy", regions=("abdomen",))} <= {"bowel lumen", "any"}
    assert "gallbladder" in {t.name for t in others("liver", "endoscopy")}
    assert all("ultrasound" in t.modalities for t in others("cyst", "ultrasound"))
    here = others("nodule", "CT", regions=regions_of(["RUL"]))
    assert all("chest" in t.region.split("/") for t in here if t.region != "any")


def test_an_organ_is_told_from_a_part_of_a_finding() -> None:
    parts = frozenset({"neck", "head", "wall"})
    assert organ_at(["gallbladder", "neck", "small"], parts) == 2
    assert organ_at(["head", "of", "pancreas"], parts) == 3
    assert [organ_at([word], parts) for word in ("neck", "cortex", "cells", "femur")] == [0, 0, 0, 1]


def test_a_users_file_adds_terms(tmp_path: Path, shipped_only: None) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("name,plural,synonyms,category\nquux body,quux bodies,QB,anatomy\n", encoding="utf-8")
    extend(path)
    found = find_term("QB")
    assert found is not None
    assert (found.name, found.plural, found.category) == ("quux body", "quux bodies", "anatomy")


@pytest.mark.parametrize(
    ("text", "message"),
    [("plural\nx\n", "column 'name'"), ("name,plurl\na,b\n", "did you mean"), ("name,category\na,b\n", "category")],
)
def test_a_users_file_that_is_wrong_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        extend(path)
