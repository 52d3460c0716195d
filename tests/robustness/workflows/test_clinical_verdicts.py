"""Verdicts on clinical prompts: a model that does what the words say is never found fault with, a blind one is."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image

import robustness as rb
from robustness.metrics.reliance.directional import directional_tests
from robustness.plans.audit import PROMPT_DEFAULT

SIDE, PATIENTS = 16, 120


def dataset(folder: Path, prompt: str, target: str, *, modality: str) -> Any:
    """Write one picture for each patient with one bright square and open it."""
    rows = []
    for n in range(PATIENTS):
        mask = np.zeros((SIDE, SIDE), dtype=np.uint8)
        row, column = 2 + n % 4, 3 + n % 3
        mask[row : row + 9, column : column + 9] = 255
        pixels = np.random.default_rng(n).integers(0, 40, (SIDE, SIDE, 3), dtype=np.uint8)
        pixels[mask > 0] = 220
        Image.fromarray(pixels).save(folder / f"p{n}.png")
        Image.fromarray(mask).save(folder / f"m{n}.png")
        row_of = {"image": f"p{n}.png", "mask": f"m{n}.png", "prompt": prompt, "target": target}
        rows.append({**row_of, "subject_id": f"s{n}", "modality": modality, "split": "test", "case_id": f"c{n}"})
    path = folder / "data.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return rb.load_dataset(path, prompt="prompt", subject="subject_id")


def model(answers: Callable[[str], bool] | None) -> Any:
    """Return a model that outlines the bright square where `answers` holds of the prompt, and nothing elsewhere.

    None reads no word: how well it outlines the square differs from picture to picture, and by nothing else.
    """

    def predict(images: Sequence[np.ndarray], prompts: Sequence[str]) -> list[np.ndarray]:
        masks = []
        for image, prompt in zip(images, prompts, strict=True):
            square, total = (image[..., 0] > 128).astype(np.float32), int(image.sum(dtype=np.int64))
            # One picture in nine stays empty, the others are off by up to three columns.
            unread = np.roll(square, total % 4, axis=1) * (total % 9 > 0)
            masks.append(unread if answers is None else square * answers(prompt.lower()))
        return masks

    return rb.segmenter(predict, name="hand-made")


def verdicts(data: Any, answers: Callable[[str], bool] | None, names: list[str], out: Path) -> dict[str, str]:
    run = rb.audit(model(answers), data, perturbations=names, out=out, report=False)
    rows = run.verdicts().to_dict("records")
    return {f"{r['claim']}:{r['condition']}": str(r["verdict"]) for r in rows}


INFECTION = "Unilateral pulmonary infection, one infected area, upper left lung."
WRONG: tuple[tuple[str, str, str, Callable[[str], bool]], ...] = (
    (INFECTION, "pulmonary infection", "CT", lambda text: "infection" in text),
    ("a breast cancer", "breast cancer", "ultrasound", lambda text: "cancer" in text),
    ("adenoma", "adenoma", "endoscopy", lambda text: any(w in text for w in ("adenoma", "polyp", "lesion"))),
    ("lesion", "lesion", "dermoscopy", lambda text: any(w in text for w in ("lesion", "melanoma", "nevus", "mole"))),
    ("consolidation", "consolidation", "x-ray", lambda text: any(w in text for w in ("consolid", "opac", "pneumon"))),
    ("left ventricle", "left ventricle", "echocardiography", lambda text: "ventric" in text or "myocard" in text),
    ("thrombus in the left atrium", "thrombus", "echocardiography", lambda text: "thrombus" in text),
    ("stone in the right kidney", "stone", "ultrasound", lambda text: "stone" in text),
    # The two sentences of the talk that the project began with.
    (
        "Inferior Vena Cava in the center of the image, oval in shape, close to liver",
        "inferior vena cava",
        "CT",
        lambda text: "vena cava" in text,
    ),
    (
        "This endoscopic image contains a polyp in the top right side, which is roughly circular in shape and has some "
        "reddish texture.",
        "polyp",
        "endoscopy",
        lambda text: "polyp" in text,
    ),
)


@pytest.mark.parametrize(("prompt", "target", "modality", "faithful"), WRONG, ids=[row[0][:20] for row in WRONG])
@pytest.mark.slow
def test_a_faithful_model_is_not_blind_to_the_class_and_a_blind_one_is(
    tmp_path: Path, prompt: str, target: str, modality: str, faithful: Callable[[str], bool]
) -> None:
    data = dataset(tmp_path, prompt, target, modality=modality)
    good = verdicts(data, faithful, ["wrong_class", "paraphrase"], tmp_path / "good")
    assert "IGNORES" not in good["prompt:wrong_class"]
    blind = verdicts(data, None, ["wrong_class", "paraphrase"], tmp_path / "blind")
    assert blind["prompt:wrong_class"].startswith("IGNORES")


DROPS: tuple[tuple[str, str, Callable[[str], bool]], ...] = (
    ("An opacity is present in the center region of the breast.", "opacity", lambda text: "opacity" in text),
    ("left kidney", "kidney", lambda text: "left kidney" in text),
    ("largest tumor", "tumor", lambda text: "largest tumor" in text),
)


@pytest.mark.slow
@pytest.mark.parametrize(("prompt", "target", "faithful"), DROPS, ids=[row[0][:20] for row in DROPS])
def test_a_faithful_model_is_not_fragile_under_drops(
    tmp_path: Path, prompt: str, target: str, faithful: Callable[[str], bool]
) -> None:
    data = dataset(tmp_path, prompt, target, modality="ultrasound")
    found = verdicts(data, faithful, ["drop"], tmp_path / "run")
    assert not any("FRAGILE" in verdict for verdict in found.values()), found


# A sentence that only says that something is there, a measure, and words that choose one of two.
READ: tuple[tuple[str, str, Callable[[str], bool], str], ...] = (
    ("An opacity is present in the center region of the breast.", "opacity", lambda t: "opacity" in t, "wrong_class"),
    ("5 mm polyp", "polyp", lambda t: "polyp" in t, "wrong_class"),
    ("BI-RADS 4 mass", "mass", lambda t: "mass" in t, "wrong_class"),
    ("left kidney", "kidney", lambda t: "left kidney" in t, "antonym:side"),
    ("largest tumor", "tumor", lambda t: "largest tumor" in t, "antonym:size"),
)


@pytest.mark.slow
@pytest.mark.parametrize(("prompt", "target", "faithful", "change"), READ, ids=[row[0][:20] for row in READ])
def test_a_blind_model_ignores_what_a_faithful_one_reads(
    tmp_path: Path, prompt: str, target: str, faithful: Callable[[str], bool], change: str
) -> None:
    data = dataset(tmp_path, prompt, target, modality="ultrasound")
    names = [change, "drop", "paraphrase"]
    good = verdicts(data, faithful, names, tmp_path / "good")
    assert good[f"prompt:{change}"] == "REACTS"
    assert not any("FRAGILE" in verdict or "HALLUCINATES" in verdict for verdict in good.values()), good
    blind = verdicts(data, None, names, tmp_path / "blind")
    assert blind[f"prompt:{change}"].startswith(("IGNORES", "INCONCLUSIVE"))
    # Who answers to nothing is called robust to nothing.
    assert not any("REACTS" in verdict for verdict in blind.values()), blind


@pytest.mark.slow
def test_a_side_in_the_patient_gives_no_direction_that_a_faithful_model_could_break(tmp_path: Path) -> None:
    data = dataset(tmp_path, INFECTION, "pulmonary infection", modality="CT")
    readers: dict[str, Callable[[str], bool] | None] = {"good": lambda text: "upper left" in text, "blind": None}
    for name, answers in readers.items():
        run = rb.audit(model(answers), data, perturbations=["antonym", "paraphrase"], out=tmp_path / name, report=False)
        table = directional_tests(run.results()).set_index("condition")
        assert table.loc["antonym:side", "n_images"] == 0
        assert not (table["breaks"] > 0).any()
        assert "antonym:location" not in table.index


@pytest.mark.slow
@pytest.mark.parametrize(
    ("prompt", "target", "modality"),
    [
        ("one small polyp in the top left and one large polyp in the bottom right", "polyp", "endoscopy"),
        ("optic disc and optic cup", "optic", "fundus"),
    ],
)
def test_a_model_of_two_targets_abstains_when_neither_is_asked_for(
    tmp_path: Path, prompt: str, target: str, modality: str
) -> None:
    data = dataset(tmp_path, prompt, target, modality=modality)
    names = ["absent", "wrong_class", "paraphrase"]
    good = verdicts(data, lambda text: target in text, names, tmp_path / "good")
    assert not {v for v in good.values() if v.startswith(("IGNORES", "HALLUCINATES"))}, good
    blind = verdicts(data, None, names, tmp_path / "blind")
    assert blind["prompt:absent"].startswith(("IGNORES", "HALLUCINATES")), blind


@pytest.mark.slow
def test_a_place_in_the_patient_is_followed_or_ignored_as_the_model_does(tmp_path: Path) -> None:
    data = dataset(tmp_path, INFECTION, "pulmonary infection", modality="CT")
    names = ["antonym:place", "antonym:side", "paraphrase"]
    # Wherever the patient's upper left lies in the picture, who answers to these words alone is at no fault.
    good = verdicts(data, lambda text: "unilateral" in text and "upper left" in text, names, tmp_path / "good")
    assert not {v for v in good.values() if v.startswith(("IGNORES", "FRAGILE", "BREAKS", "HALLUCINATES"))}, good
    blind = verdicts(data, None, names, tmp_path / "blind")
    assert blind["prompt:antonym:place"].startswith("IGNORES"), blind


@pytest.mark.slow
@pytest.mark.parametrize("prompt", ["5 mm polyp", "BI-RADS 4 polyp", "grade 3 polyp"])
def test_a_measure_gives_no_claim_on_numbers(tmp_path: Path, prompt: str) -> None:
    data = dataset(tmp_path, prompt, "polyp", modality="endoscopy")
    found = verdicts(data, lambda text: "polyp" in text, ["drop", "antonym:measure", "paraphrase"], tmp_path / "run")
    assert not any("number" in name for name in found)
    assert not any("FRAGILE" in verdict for verdict in found.values()), found


class Scene(NamedTuple):
    """A prompt that is true of the bright square, and what its words tell a model that reads them."""

    construction: int
    prompt: str
    target: str
    modality: str
    # Words of which one must stand in the prompt, and words that tell of another thing than the bright square.
    names: str
    others: str
    # The changes of words that the scene decides: whoever reads these must not be called blind to them.
    read: str


# Construction; prompt; target; modality; names; others; read.
SCENES = [
    Scene(int(row.split("; ")[0]), *row.split("; ")[1:])
    for row in r"""
1; Trace the IVC at the level of the renal veins on axial CT.; IVC; CT; ivc|vena cava; -; -
1; please mark the SMA and the SMV; SMA and SMV; CT; sma|smv|mesenteric; -; -
2; abscess extending from the psoas into the thigh; abscess; CT; abscess; separate|apart; relation
2; thyroid nodule close to the carotid artery; nodule; ultrasound; nodule; away|far|remote; relation
3; cyst in the upper left quadrant of the frame; cyst; ultrasound; cyst; lower|bottom|right|centre; location
4; Consolidation in the upper left lung zone; consolidation; x-ray; consolid; lower|right; place side
4; bulla LUL anterior segment; bulla; CT; bulla; rul|lll|rll|posterior|right|lower; place
5; Large left-sided pleural effusion; pleural effusion; x-ray; effusion; right|small|tiny; side size
5; OS disc haemorrhage; disc haemorrhage; fundus; haemorrhage; od|right; side
6; lymph node posterior to the left renal vein; lymph node; CT; node; anterior; direction
6; the more cranial of the two nodules; nodules; CT; nodule; caudal; direction
7; Two 6-mm stones in the distal ureter; stones; CT; stone; proximal|one|several|\d\d; measure place
8; round hyperdense nodule; nodule; CT; nodule; square|irregular|hypodense|isodense; shape signal
9; the larger of the two meningiomas; meningiomas; MRI; meningioma; smaller|small; size
10; thyroid without nodules; thyroid; ultrasound; thyroid; with|has|containing; negation
10; A probably benign breast lesion is noted.; breast lesion; ultrasound; lesion; malignant; pathology
11; optic disc in a blurred fundus photograph of a 67-year-old woman; optic disc; fundus; disc; -; -
12; LARGE RIGHT-SIDED SUBPHRENIC ABSCESS; subphrenic abscess; CT; abscess; left|small|tiny; side size
12; target=cerebellum, view=midsagittal, seq=T1; cerebellum; MRI; cerebell; -; -
""".strip().splitlines()
]


def reader(scene: Scene) -> Callable[[str], bool]:
    """Return a model of one scene: it outlines what is there unless the words name, deny or describe another thing."""
    denied = r"\b(?:no|not|absent|absence|never|neither)\b" + ("" if scene.construction == 10 else r"|\bwithout\b")

    def answers(text: str) -> bool:
        told = re.search(rf"\b(?:{scene.names})", text) and not re.search(rf"(?<![\w-])(?:{scene.others})\b", text)
        return bool(told) and not re.search(denied, text)

    return answers


def judge(scene: Scene, data: Any, out: Path) -> None:
    """Audit a model that reads the scene and one that reads nothing; assert that neither gets a wrong verdict."""
    names = list(PROMPT_DEFAULT)
    good = verdicts(data, reader(scene), names, out / "good")
    assert not {k: v for k, v in good.items() if v.startswith(("FRAGILE", "HALLUCINATES", "BREAKS"))}, good
    for change in ("wrong_class", *(f"antonym:{kind}" for kind in scene.read.split() if kind != "-")):
        assert not good[f"prompt:{change}"].startswith("IGNORES"), (change, good)
    blind = verdicts(data, None, names, out / "blind")
    assert not {k: v for k, v in blind.items() if v.startswith(("FOLLOWS", "REACTS"))}, blind


@pytest.mark.slow
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: f"{scene.construction}-{scene.prompt[:20]}")
def test_no_construction_gives_a_reader_or_a_blind_model_a_wrong_verdict(tmp_path: Path, scene: Scene) -> None:
    judge(scene, dataset(tmp_path, scene.prompt, scene.target, modality=scene.modality), tmp_path)


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: f"{scene.construction}-{scene.prompt[:20]}")
def test_a_reader_of_the_scene_answers_every_change_as_it_is_expected(scene: Scene) -> None:
    answers, table = reader(scene), rb.perturb_prompt(scene.prompt, modality=scene.modality)
    texts = {row["perturbation"]: row for row in table[table["applicable"]].to_dict("records")}
    assert answers(scene.prompt.lower())
    assert {f"antonym:{kind}" for kind in scene.read.split() if kind != "-"} <= set(texts)
    for name, row in texts.items():
        is_read = name.startswith("antonym:") and name.removeprefix("antonym:") in scene.read.split()
        if is_read or name in ("wrong_class", "absent", "negation"):
            assert not answers(row["text"].lower()), (name, row["text"])
        elif name == "paraphrase":
            assert answers(row["text"].lower()), (name, row["text"])


def test_every_construction_has_a_scene() -> None:
    assert {scene.construction for scene in SCENES} == set(range(1, 13))
