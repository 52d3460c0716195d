"""`robustness calibrate` as a user runs it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL import Image as PILImage
from typer.testing import CliRunner

from robustness.cli.main import app
from robustness.errors import InputError, UnknownNameError
from robustness.perturb.modality import MODALITIES
from robustness.plans.audit import load_plan
from robustness.workflows import contact_sheets as sheets
from robustness.workflows.calibrate import image_set
from robustness.workflows.demo_files import demo_data

DEMO = demo_data("brain")
PLAN = '[model]\nname = "film-unet"\n[data]\npath = "x"\n[perturbations]\nimage = "modality" # all of them\n'


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["calibrate", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.slow
def test_it_prints_a_table_and_writes_it_into_the_plan(tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text(PLAN, "utf-8")
    kinds = "brightness_down,hue,channel_swap"
    out = run(DEMO, "--images", 2, "--kinds", kinds, "--prompt", "p5", "--plan", plan)
    assert "severity" in out
    assert "10% to 90% of images" in out
    assert "hue: not calibrated: the image is gray" in out
    assert "channel_swap: not calibrated: it has no severity levels" in out
    image = load_plan(plan).perturbations.image
    assert image.kinds == "modality"
    assert image.parameters is not None
    (values,) = image.parameters.values()
    assert list(image.parameters) == ["brightness_down"]
    assert values == sorted(values, reverse=True)


def test_without_a_plan_the_table_is_printed_to_be_pasted() -> None:
    out = run(DEMO / "images", "--images", 1, "--kinds", "brightness_down")
    assert "[perturbations.image.parameters]\nbrightness_down = [" in out


def test_pictures_of_a_folder_are_read_evenly_and_the_broken_one_is_left_out(tmp_path: Path) -> None:
    for number in range(5):
        PILImage.fromarray(np.full((40, 40), 50 * number, np.uint8)).save(tmp_path / f"{number}.png")
    (tmp_path / "2.png").write_bytes(b"no image")
    found = image_set(tmp_path, split="train", prompt="p6", modality="CT", limit=3)
    assert [case.case_id for case in found.cases] == ["0", "4"]
    assert found.cases[1].image.max() == 200


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--kinds", "jpg"], "got 'jpg'; did you mean 'jpeg'"),
        (["--kinds", "antonym"], "expected changes of the image, got 'antonym'"),
        (["--kinds", "channel_swap"], "expected at least one kind that can be calibrated"),
        (["--plan", "nowhere.toml"], "found none at 'nowhere.toml'"),
        (["--modality", "radar"], "modality: expected one of"),
    ],
)
def test_mistakes_are_named(arguments: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        CliRunner().invoke(
            app, ["calibrate", str(DEMO / "images"), "--images", "1", *arguments], catch_exceptions=False
        )


def test_a_folder_without_pictures_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected a dataset .* or images"):
        image_set(tmp_path, split="train", prompt="p6", modality=None, limit=3)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[dict]:
    """Note what would be drawn; drawing itself is tested beside `contact_sheet`."""
    found: list[dict] = []

    def written(path, modality, cases, stand_ins, note, tile):
        found.append({"path": path, "modality": modality, "cases": cases, "stand_ins": stand_ins, "note": note})
        return path

    monkeypatch.setattr(sheets, "_written", written)
    return found


def test_without_a_modality_each_gets_its_own_sheet(drawn: list[dict], tmp_path: Path) -> None:
    paths = sheets.write_sheets(tmp_path / "s.png")
    assert [path.name for path in paths] == [f"s-{modality}.png" for modality in MODALITIES]


def test_a_phantom_is_called_one(drawn: list[dict], tmp_path: Path) -> None:
    sheets.write_sheets(tmp_path / "s.png", modality="fundus")
    assert "drawn in code" in drawn[0]["note"]
    assert drawn[0]["path"] == tmp_path / "s.png"


def test_embedded_pictures_are_real_and_the_phantom_beside_them_is_marked(drawn: list[dict], tmp_path: Path) -> None:
    sheets.write_sheets(tmp_path / "s.png", modality="MRI")
    assert [case.case_id for case in drawn[0]["cases"]][1:] == ["phantom"]
    assert drawn[0]["stand_ins"] == ("phantom",)


def test_data_are_shown_in_their_own_modality(drawn: list[dict], tmp_path: Path) -> None:
    sheets.write_sheets(tmp_path / "s.png", data=demo_data("brain"))
    assert drawn[0]["modality"] == "MRI"
    assert len(drawn[0]["cases"]) == 1


def test_a_single_picture_needs_a_modality(drawn: list[dict], tmp_path: Path) -> None:
    Image.fromarray(np.full((40, 40, 3), 90, np.uint8)).save(tmp_path / "scan.png")
    sheets.write_sheets(tmp_path / "s.png", data=tmp_path / "scan.png", modality="chest x-ray")
    assert drawn[0]["modality"] == "x-ray"
    with pytest.raises(InputError, match="--modality: expected one of"):
        sheets.write_sheets(tmp_path / "s.png", data=tmp_path / "scan.png")


def test_what_cannot_be_shown_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no image")
    with pytest.raises(InputError, match="--from: expected an image that can be read"):
        sheets.write_sheets(tmp_path / "s.png", data=tmp_path / "broken.png", modality="MRI")
    with pytest.raises(UnknownNameError, match="--modality: expected one of"):
        sheets.write_sheets(tmp_path / "s.png", modality="sonar")


@pytest.mark.slow
def test_a_sheet_holds_a_row_for_each_kind_of_the_modality(tmp_path: Path) -> None:
    (path,) = sheets.write_sheets(tmp_path / "s.png", modality="OCT", tile=64)
    with Image.open(path) as sheet:
        assert sheet.height > 64 * 8
