"""Annotation files written from masks, read again as a dataset; what a label's name gives of structure and side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from robustness.errors import CaseError, InputError
from robustness.perturb.language.measured import COLOURS
from robustness.perturb.language.truth import judge_prompt
from robustness.plans.audit import DataSpec
from robustness.runners.data.annotate import annotate
from robustness.runners.data.label_words import label_of, label_words, qualifies_only
from robustness.runners.data.load import load_dataset
from robustness.workflows.loading import load_data
from tests.synthetic import write_dataset


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two images of 60 x 90: a red disc at the top right, and nothing."""
    rows, columns = np.mgrid[:60, :90]
    disc = np.hypot(rows - 10, columns - 80) < 6
    for name, mask in (("a", disc), ("b", np.zeros_like(disc))):
        image = np.zeros((60, 90, 3), dtype=np.uint8)
        image[mask] = COLOURS["red"]
        for sub, array in (("images", image), ("masks", (mask * 255).astype(np.uint8))):
            (tmp_path / "set" / sub).mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(tmp_path / "set" / sub / f"{name}.png")
    return tmp_path / "set"


def written(folder: Path, **options: Any) -> list[dict[str, Any]]:
    out = folder / "anns" / "new.json"
    count = annotate(folder, out, **options)
    entries: list[dict[str, Any]] = json.loads(out.read_text("utf-8"))
    assert count == len(entries)
    return entries


def test_a_folder_without_annotations_is_described_from_its_pixels(folder: Path) -> None:
    first, second = written(folder, target="polyp")
    assert first["prompts"]["p6"] == "one medium red round polyp, located in top right of the image"
    assert first["bbox"] == [75, 5, 85, 15]
    assert len(first["prompts"]["p9"]) == 5
    assert set(second["prompts"].values()) == {"", "no polyp"}


def test_what_was_written_is_a_dataset_whose_prompts_are_true(folder: Path) -> None:
    written(folder, target="polyp")
    for prompt in ("p6", "p9"):
        for case in load_dataset(folder, split="new", prompt=prompt):
            found = judge_prompt(case)
            assert found
            assert "false" not in found.values()


def test_stated_attributes_come_from_the_entries(folder: Path) -> None:
    entries = [
        {
            "img_name": "a.png",
            "mask_name": "a.png",
            "subject": "s1",
            "prompts": {"p0": "", "p1": "myocardium"},
            "attributes": {"view": "two-chamber", "phase": "systole", "sex": "male", "age": 81, "quality": "good"},
        }
    ]
    (folder / "anns").mkdir()
    (folder / "anns" / "test.json").write_text(json.dumps(entries), "utf-8")
    (found,) = written(folder, modality="echocardiography")
    assert found["subject"] == "s1"
    assert found["prompts"]["p6"] == (
        "Myocardium in two-chamber view of the heart at end of the systole cycle of an eighty-one-year-old male "
        "with good image quality."
    )


def test_free_templates_take_the_place_of_a_family(folder: Path) -> None:
    first, _ = written(folder, target="polyp", templates={"mine": "{target}[ in {location}]"})
    assert first["prompts"] == {"p0": "", "mine": "polyp in top right"}


def test_what_cannot_be_written_is_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="target"):
        written(folder)
    with pytest.raises(InputError, match="family"):
        written(folder, target="polyp", family="photo")
    with pytest.raises(InputError, match="'images'"):
        annotate(folder / "images", folder / "x.json")
    Image.new("L", (5, 5)).save(folder / "masks" / "a.png")
    with pytest.raises(CaseError, match="mask is"):
        written(folder, target="polyp")
    assert not (folder / "anns" / "new.json").exists()


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ("anterior hippocampus", {"target": "hippocampus", "direction": "anterior"}),
        ("Right Lung", {"target": "Lung", "side": "right"}),
        ("left anterior hippocampus", {"target": "hippocampus", "side": "left", "direction": "anterior"}),
        ("hippocampus", {"target": "hippocampus"}),
    ],
)
def test_qualifiers_are_taken_off(label: str, words: dict[str, str]) -> None:
    assert label_words(label) == {**words, **({"label": label} if len(words) > 1 else {})}


@pytest.mark.parametrize(
    "label",
    [
        "left atrium",
        "left ventricular cavity",
        "anterior cruciate ligament",
        "superior vena cava",
        "lateral ventricle",
        "upper lobe of the left lung",
        "left and right lungs",
        "hippocampus_left",
        "anterior",
        "non-enhancing tumor",
        "x",
    ],
)
def test_names_that_hold_such_words_stay_whole(label: str) -> None:
    assert label_words(label) == {"target": label}


def test_a_name_may_be_nothing_but_a_qualifier() -> None:
    assert [name for name in ("Anterior", "left", "left kidney", "PZ", "") if qualifies_only(name)] == [
        "Anterior",
        "left",
    ]


def test_a_label_that_attributes_state_counts_where_it_names_the_target() -> None:
    stated = {"label": "Anterior Hippocampus", "direction": "anterior"}
    assert label_of("hippocampus", stated) == "Anterior Hippocampus"
    assert label_of("kidney", stated) == ""
    assert label_of("left atrium", {"label": "left atrium"}) == ""
    assert label_of("hippocampus", None) == ""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("data") / "set", images=2)


def _texts(data, template):
    dataset = load_data(DataSpec(path=str(data), prompt="p2", template=template), seed=0)
    return [case.prompt for case in dataset]


def test_a_plan_s_template_makes_every_prompt(data):
    prompts = _texts(data, "a {size} {side} {target}[ seen in {phase}]")
    assert [p.text for p in prompts][:2] == ["a medium left caudate nucleus", "a medium right caudate nucleus"]
    assert prompts[0].get("side").value == "left"


def test_what_the_data_do_not_state_is_measured(data):
    (first, *_) = _texts(data, "{number} {target} of {shape} shape")
    assert first.text.startswith("one caudate nucleus of ")
    assert first.text.split()[4] in ("round", "circular", "oval")


@pytest.mark.parametrize(
    ("template", "message"), [("{colr} {target}", "got 'colr'"), ("{phase} {target}", "phase is not known")]
)
def test_templates_that_cannot_be_filled_are_one_clear_line(data, template, message):
    with pytest.raises(InputError, match=message):
        _texts(data, template)
