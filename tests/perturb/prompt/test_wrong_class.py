"""Wrong classes: absent from the image, only the target's words change."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

import robustness as rb
from robustness.errors import InputError
from robustness.perturb.language.ontology.relatives import is_akin, is_other
from robustness.perturb.language.ontology.terms import find_term
from robustness.perturb.preview import perturb_prompt
from robustness.perturb.prompt.absent import Absent
from robustness.perturb.prompt.wrong_class import WrongClass
from robustness.seeds import generator
from robustness.types import NotApplicable, Params
from tests.perturb.prompt_cases import FAMILIES, context_of, make_case

RNG = np.random.default_rng(0)


def drawn(change: WrongClass, case: object) -> list[Params]:
    found = [change.propose(case, 0, generator(seed)) for seed in range(20)]  # type: ignore[arg-type]
    assert all(isinstance(params, dict) for params in found)
    return found  # type: ignore[return-value]


def test_a_class_of_the_dataset_that_is_not_on_the_image_is_taken() -> None:
    cases = [
        make_case("left hippocampus", case_id="a"),
        make_case("left thalamus", case_id="b"),
        make_case("gray matter", case_id="c", image_id="second"),
        make_case("putamen", case_id="d", image_id="third"),
    ]
    news = {p["text"] for p in drawn(WrongClass(context=context_of(cases)), cases[0])}
    # Gray matter is no candidate: the hippocampus is a part of it, so that it is in the image too.
    assert news == {"left putamen"}


def test_a_plural_stays_a_plural() -> None:
    cases = [make_case("left and right hippocampi"), make_case("putamen", case_id="b", image_id="second")]
    assert drawn(WrongClass(context=context_of(cases)), cases[0])[0]["text"] == "left and right putamina"


def test_a_dataset_of_one_class_borrows_from_the_ontology_and_says_so() -> None:
    case = make_case(FAMILIES["polyp"], modality="endoscopy")
    change = WrongClass(context=context_of([case]))
    for params in drawn(change, case):
        term = find_term(params["new"])
        assert term is not None
        assert "endoscopy" in term.modalities
        assert is_other(term.name, "polyp")
        assert params["new"] in params["note"]
        assert params["text"] == FAMILIES["polyp"].replace("polyp", params["new"])
        # It may be in the picture, so an empty mask is not asked for.
        assert change.expect(case, params) == "change"


@pytest.mark.parametrize(
    ("target", "modality", "never"),
    [
        ("adenoma", "endoscopy", "polyp lesion"),
        ("lesion", "dermoscopy", "melanoma nevus mole"),
        ("mole", "dermoscopy", "melanoma lesion nevus"),
        ("wound", "photograph", "ulcer burn laceration"),
        ("foot wound", "photograph", "foot ulcer"),
        ("breast cancer", "ultrasound", "breast mass carcinoma"),
        ("nodule", "CT", "tumor mass lesion"),
        ("left ventricle", "echocardiography", "myocardium ventricle heart"),
        ("consolidation", "x-ray", "opacity pneumonia lung"),
        ("inferior vena cava", "CT", "vein vena"),
    ],
)
def test_what_may_be_there_under_another_name_is_never_asked_for(target: str, modality: str, never: str) -> None:
    case = make_case(target, modality=modality)
    for params in drawn(WrongClass(context=context_of([case])), case):
        assert not set(params["text"].lower().split()) & set(never.split())


def test_of_two_things_asked_for_both_are_replaced() -> None:
    case = make_case("optic disc and optic cup", modality="fundus")
    for params in drawn(WrongClass(context=context_of([case])), case):
        assert "optic" not in params["text"]
    pair = make_case("one small polyp in the top left and one large polyp in the bottom right", modality="endoscopy")
    for params in drawn(WrongClass(context=context_of([pair])), pair):
        assert "polyp" not in params["text"]
        assert params["text"].endswith("in the bottom right")


def test_findings_that_the_case_lists_are_present_and_never_wrong() -> None:
    other = make_case("Cardiomegaly in a chest Xray.", case_id="b", image_id="second")
    more = make_case("Edema in a chest Xray.", case_id="c", image_id="third")
    siblings = {
        "p0": None,
        "p1": ["Support Devices", 3],
        "p6": "Support Devices in a Chest Xray. Lung Opacity, Edema are present. ",
    }
    case = make_case("Support Devices in a chest Xray.", siblings=siblings)
    news = {p["new"] for p in drawn(WrongClass(context=context_of([case, other, more])), case)}
    assert news == {"Cardiomegaly"}


@pytest.mark.parametrize("text", ["", "No tumor in the breast ultrasound image."])
def test_without_a_target_there_is_nothing_to_replace(text: str) -> None:
    assert isinstance(WrongClass().propose(make_case(text), 0, RNG), NotApplicable)


def test_a_whole_of_what_is_there_is_never_asked_for_as_absent() -> None:
    """White matter is never seen without its hemisphere: who paints the hemisphere when asked for it is right."""
    assert is_akin("brain hemisphere", "white matter")
    assert is_akin("white matter", "brain hemisphere")
    assert not is_akin("lateral ventricle", "white matter")
    data = [
        make_case("white matter in axial T1 brain MRI", case_id="a", image_id="a"),
        make_case("brain hemisphere in axial T1 brain MRI", case_id="b", image_id="b"),
        make_case("lateral ventricle in axial T1 brain MRI", case_id="c", image_id="c"),
    ]
    change = WrongClass(context=context_of(data, seed=0))
    for seed in range(20):
        params = change.propose(data[0], 0, np.random.default_rng(seed))
        assert isinstance(params, dict)
        assert params["text"] == "lateral ventricle in axial T1 brain MRI"


def test_anatomy_of_the_region_that_the_image_shows_may_be_there_undrawn() -> None:
    """Gray matter is in every brain slice: painting it when asked for it is no hallucination."""
    brain = [
        make_case("brain hemisphere", case_id="a", image_id="a"),
        make_case("gray matter", case_id="b", image_id="b"),
    ]
    change = WrongClass(context=context_of(brain))
    assert {change.expect(brain[0], params) for params in drawn(change, brain[0])} == {"change"}
    chest = [make_case("heart", case_id="a", image_id="a"), make_case("pneumonia", case_id="b", image_id="b")]
    change = WrongClass(context=context_of(chest))
    assert {change.expect(chest[0], params) for params in drawn(change, chest[0])} == {"abstain"}
    assert {change.expect(chest[1], params) for params in drawn(change, chest[1])} == {"change"}


def test_own_scenes_never_draw_what_may_be_the_same_thing() -> None:
    """``wrong_class.jsonl``: 160 targets, 11 modalities, lists made before the first draw.

    20 of the first 1,150 draws were wrong then, 5 of the 450 of the last 45 targets; for
    8 others of these 450 the list was judged too wide afterwards and narrowed.

    `never` is a synonym, kind, whole, part or overlap; `fine` is clearly another thing and plausible, and not complete.
    """
    lines = Path(__file__).with_name("wrong_class.jsonl").read_text(encoding="utf8").splitlines()
    scenes = [json.loads(line) for line in lines]
    assert len({scene["modality"] for scene in scenes}) == 11
    wrong, fine, total = [], 0, 0
    for scene in scenes:
        case = make_case(scene["target"], modality=scene["modality"])
        change = WrongClass(context=context_of([case]))
        for seed in range(10):
            params = change.propose(case, 0, generator(seed))
            assert isinstance(params, dict), scene["target"]
            new = f" {params['text'].lower()} "
            total += 1
            fine += new.strip() in {name.lower() for name in scene["fine"]}
            wrong += [(scene["target"], new) for name in scene["never"] if f" {name.lower()} " in new]
    assert wrong == []
    assert fine >= 0.5 * total


# What one picture holds, its modality; then what must not be asked for there, whichever of it the prompt names.
PRESENT = """
liver, left kidney, gallbladder; ultrasound; kidney|liver|gallbladder|hepatic|renal
polyp, biopsy forceps; endoscopy; polyp|adenoma|forceps|instrument|lesion
optic disc, hard exudate; fundus; disc|cup|exudate|lesion
left ventricle, left atrium, pericardial effusion; echocardiography; ventric|atri|effusion|myocard|septum|heart
caudate nucleus, putamen, lateral ventricle; MRI; caudate|putamen|ventric|ganglia|gray|grey|cerebrospinal|lentiform
meningioma, edema; MRI; meningioma|edema|oedema|tumor|tumour|lesion
heart, pleural effusion, endotracheal tube; x-ray; heart|cardi|effusion|tube|support|mediastin
nucleus, red blood cell; microscopy; nucle|red blood|erythro|chromatin
subretinal fluid, drusen; OCT; fluid|drusen|edema|retinal pigment
wound, slough, ruler; photograph; wound|ulcer|slough|ruler|lesion
melanoma, hair; dermoscopy; melanoma|hair|lesion|nevus|mole
liver, spleen, aorta, hepatocellular carcinoma; CT; liver|hepat|spleen|aorta|carcinoma|tumor|vessel
"""


@pytest.mark.parametrize("row", PRESENT.strip().splitlines())
def test_what_is_drawn_on_the_same_picture_is_never_asked_for(row: str) -> None:
    names, modality, never = row.split("; ")
    cases = [make_case(n, modality=modality, case_id=n, target=n) for n in names.split(", ")]
    change = WrongClass(context=context_of(cases))
    for case in cases:
        for params in drawn(change, case):
            assert not re.search(rf"\b(?:{never})", params["text"].lower()), (case.prompt.text, params["text"])


def test_a_denial_of_another_thing_leaves_the_target_to_be_changed() -> None:
    change = WrongClass(kind="target")
    asked = change.propose(make_case("no ulcer but an erosion in the antrum"), 0, RNG)
    assert isinstance(asked, dict)
    assert asked["text"].startswith("no ulcer but a")
    assert isinstance(change.propose(make_case("no section contains a polyp"), 0, RNG), NotApplicable)


@pytest.mark.parametrize("text", ["There is a polyp in the colon.", "a small polyp"])
def test_behind_an_article_stands_one_thing(text: str) -> None:
    case = make_case(text, modality="endoscopy")
    for change in (Absent(), WrongClass(kind="target")):
        texts = [str(params["text"]) for params in drawn(change, case)]
        assert not [t for t in texts if "devices" in t or "cardiomegaly" in t.lower()]


def test_another_class_is_of_the_breast_that_the_prompt_names() -> None:
    in_breast = {"breast", "nipple", "areola", "fibroglandular tissue", "pectoral muscle", "pectoralis minor muscle"}
    in_breast |= {"Cooper's ligament", "axillary lymph node"}
    for seed in range(8):
        table = perturb_prompt("irregular mass, R breast", modality="ultrasound", seed=seed)
        new = table.loc[table["perturbation"] == "wrong_class", "new"].item()
        assert new in in_breast


def test_another_class_is_of_the_part_of_the_body_that_a_landmark_tells() -> None:
    text = "T2 bright lesion abutting the left lateral ventricle"
    tables = [perturb_prompt(text, modality="MRI", seed=seed) for seed in range(6)]
    drawn = {table.loc[table["perturbation"] == "wrong_class", "note"].item().rpartition("(")[2] for table in tables}
    # What stands behind the parenthesis is what an audit expects.
    assert {region.partition(")")[0].split("/")[0] for region in drawn} == {"head"}


@pytest.mark.parametrize(
    ("text", "modality"),
    [("a pedunculated polyp", "endoscopy"), ("a benign nevus", "dermoscopy"), ("grade 2 varices", "endoscopy")],
)
def test_what_only_findings_are_is_said_of_another_finding(text: str, modality: str) -> None:
    for seed in range(12):
        params = WrongClass().propose(make_case(text, modality=modality), 0, generator(seed))
        assert isinstance(params, dict)
        term = find_term(params["new"])
        assert term is not None
        assert term.category == "finding", params["text"]


class TestClassesOfADataset:
    """`perturb_prompt(..., classes=)`: what else the data draw, on other images."""

    @staticmethod
    def wrong(text: str, **options: object) -> tuple[str, str]:
        table = perturb_prompt(text, modality="endoscopy", **options)  # type: ignore[arg-type]
        row = table[table["perturbation"] == "wrong_class"].iloc[0]
        return row["text"], row["note"]

    def test_the_class_is_drawn_from_them_as_an_audit_of_the_data_does(self) -> None:
        seen = {self.wrong("a small polyp", classes=["ulcer", "esophagitis"], seed=seed) for seed in range(12)}
        assert seen == {("a small ulcer", ""), ("a small esophagitis", "")}

    def test_the_number_of_the_old_words_is_kept(self) -> None:
        assert self.wrong("two small polyps", classes=["gastric ulcer"]) == ("two small gastric ulcers", "")

    def test_the_class_that_is_asked_for_is_none_of_them(self) -> None:
        text, note = self.wrong("a small polyp", classes=["polyp", "polyps"])
        assert "polyp" not in text
        assert note.startswith("no class of this dataset is absent")

    @pytest.mark.parametrize("classes", ["ulcer", [""], [3]])
    def test_what_is_no_list_of_names_is_refused(self, classes: object) -> None:
        with pytest.raises(InputError, match="classes"):
            rb.perturb_prompt("a polyp", classes=classes)
