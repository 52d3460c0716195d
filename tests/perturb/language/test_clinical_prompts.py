"""Clinical prompts: those beside the checkout, scored as their own scorer does (absent: skipped), and short notes."""

from __future__ import annotations

import importlib.util
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from robustness.perturb.language.parse import parse_prompt
from robustness.perturb.prompt.drop import Drop
from robustness.perturb.prompt.wrong_class import WrongClass
from robustness.seeds import generator
from robustness.types import NotApplicable
from tests.perturb.prompt_cases import context_of, make_case, values

PROMPTS = Path(__file__).parents[3].parent / "shared" / "clinical_prompts"
_labelled = pytest.mark.skipif(not PROMPTS.is_dir(), reason="the clinical prompts are not beside the checkout")


def scorer() -> ModuleType:
    spec = importlib.util.spec_from_file_location("clinical_score", PROMPTS / "score.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def items(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (PROMPTS / name).read_text(encoding="utf8").splitlines()]


@pytest.fixture(scope="module")
def counts() -> dict[str, Counter[str]]:
    score, by = scorer(), {"all": Counter[str](), "target": Counter[str]()}
    for item in items("prompts.jsonl"):
        rows, made = score.judge(item, parse_prompt(item["text"]).attributes, [])
        for status, kind, _, _ in rows:
            by["all"][status] += 1
            if kind == "target":
                by["target"][status] += 1
        by["all"]["forbidden"] += len(made)
    return by


@_labelled
def test_most_attributes_are_read_exactly_and_hardly_any_wrongly(counts: dict[str, Counter[str]]) -> None:
    read = counts["all"]
    total = read["exact"] + read["partial"] + read["missed"]
    assert total > 500
    assert read["exact"] >= 0.95 * total
    assert read["false"] <= 8
    assert read["forbidden"] <= 2


@_labelled
def test_the_target_is_found(counts: dict[str, Counter[str]]) -> None:
    read = counts["target"]
    assert read["exact"] >= 0.95 * (read["exact"] + read["partial"] + read["missed"])


@_labelled
def test_wrong_classes_are_other_things_and_plausible() -> None:
    drawn = Counter[str]()
    for item in items("wrong_class.jsonl"):
        case = make_case(item["target"], modality=item["modality"])
        change = WrongClass(context=context_of([case]))
        never = [*item["never"], item["target"]]
        for seed in range(10):
            params = change.propose(case, 0, generator(seed))
            assert isinstance(params, dict)
            words = f" {params['text'].lower()} "
            assert not any(f" {name.lower()} " in words for name in never), (item["target"], params["text"])
            drawn["fine" if params["text"].lower() in {f.lower() for f in item["fine"]} else "unlisted"] += 1
    assert drawn["fine"] >= 0.6 * drawn.total()


@_labelled
@pytest.mark.parametrize("item", items("needed.jsonl") if PROMPTS.is_dir() else [], ids=lambda item: item["text"])
def test_a_model_is_held_to_a_prompt_without_words_only_where_they_are_not_needed(item: dict[str, Any]) -> None:
    case = make_case(item["text"], case_id="meant", modality=item["modality"])
    others = [r for r in item["referents"] if not r["meant"]]
    scene = [case, *(replace(case, case_id=f"other-{i}", target=r["target"]) for i, r in enumerate(others))]
    change = Drop(context=context_of(scene), kind=item["drop_kind"])
    params = change.propose(case, 0, generator(0))
    expected = "none" if isinstance(params, NotApplicable) else change.expect(case, params)
    assert expected in (("none",) if item["needed"] else ("none", "invariant"))


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("Ill-def. lesion adj. to the post wall", "ill-defined lesion adjacent to the posterior wall"),
        ("irreg macule, asc colon", "irregular macule, ascending colon"),
        ("haemorrhage inf to the disc", "haemorrhage inferior to the disc"),
        ("cyst b/w the bladder and uterus", "cyst between the bladder and uterus"),
        ("cyst w thick septa", "cyst with thick septa"),
        ("thrombus isn't seen, LV dilated", "thrombus is not seen, LV dilated"),
        ("thrombus can't be ruled out", "thrombus cannot be ruled out"),
        ("undisplaced # of the radius", "undisplaced fracture of the radius"),
    ],
)
def test_a_short_form_is_read_as_what_it_stands_for(text: str, full: str) -> None:
    found, whole = parse_prompt(text).attributes, parse_prompt(full).attributes
    assert [(a.kind, a.role) for a in found] == [(a.kind, a.role) for a in whole]
    assert any(a.kind == "target" for a in found)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("papule on the ala, ?BCC", "target:papule place:ala certainty:? pathology:BCC"),
        ("? fracture of the ulna", "certainty:? target:fracture place:ulna"),
        ("Is this a cyst? Mark it.", "target:cyst"),
        ("brain tumour??? outline pls", "target:brain tumour"),
        ("Pressure ulcer, Sacral PU cat 3", "target:Pressure ulcer measure:cat 3"),
        ("lesion seg VI, 18 x 14 mm", "target:lesion place:seg VI measure:18 x 14 mm"),
        ("blister on the heel, next to it 2 cm of slough", "target:blister place:heel measure:2 cm"),
        ("blister next to it 2x1 cm", "target:blister relation:next to it measure:2x1 cm"),
        ("veg on AMVL, trivial MR", "target:veg place:AMVL"),
        ("Prep poor; flat lesion", "quality:Prep poor shape:flat target:lesion"),
        ("tractional RD sup-temp", "target:tractional RD direction:sup-temp"),
        ("LST-G ascending colon 3cm", "target:LST-G place:ascending colon measure:3cm"),
        ("the haemorrhage has resolved, still 3 cm", "target:haemorrhage negation:has resolved measure:3 cm"),
        ("Undermining 2cm at 6 o'clock", "target:Undermining measure:2cm location:6 o'clock"),
        ("mod diff adenocarcinoma", "pathology:mod diff target:adenocarcinoma"),
        ("no more than a handful of drusen", "number:no more than a handful of target:drusen"),
        ("area with comet-tail artefacts", "target:area description:with comet-tail artefacts"),
        ("the eczematous, atelectatic lobe", "pathology:eczematous pathology:atelectatic target:lobe"),
        ("whatever bright band", "signal:bright target:band"),
        ("devoid of haemorrhage, the infarct core", "negation:devoid of target:infarct core"),
        ("RK 10 cm, mild hydronephrosis", "size:mild target:hydronephrosis"),
        ("Liver 18 cm. Cyst in segment 4.", "target:Cyst place:segment 4"),
        ("Kidney 10 cm. No stones.", "target:Kidney measure:10 cm negation:No"),
        ("Thickened terminal ileum, fat stranding", "size:Thickened target:terminal ileum"),
        ("Clips x2 placed, ulcer in the bulb", "target:ulcer place:bulb"),
        ("hairs removed. Papule with a bluish tinge", "target:Papule colour:bluish"),
        ("aortic valve stenotic", "target:aortic valve pathology:stenotic"),
        ("LV apex hypokinetic, base normal", "target:LV apex pathology:hypokinetic"),
        (
            "MRI brain - meningioma in the left frontal lobe",
            "modality:MRI target:meningioma side:left place:left frontal lobe",
        ),
        ("CT kidney - tumour excluded", "modality:CT target:kidney negation:excluded"),
        ("US thyroid - nodule", "modality:US target:nodule"),
        ("Can you show us the polyp?", "target:polyp"),
        ("lesion in segment VII/VIII.", "target:lesion place:segment VII/VIII"),
    ],
)
def test_marks_and_figures_of_notes_keep_to_themselves(text: str, expected: str) -> None:
    assert " ".join(f"{kind}:{value}" for kind, value in values(text)) == expected


def test_a_part_of_an_organ_behind_a_finding_is_one_place() -> None:
    found = [(a.kind, a.value) for a in parse_prompt("mass head of pancreas").attributes]
    assert found == [("target", "mass"), ("place", "head of pancreas")]
