"""`robustness calibrate` as a user runs it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PILImage
from typer.testing import CliRunner

from robustness.cli.main import app
from robustness.errors import InputError
from robustness.plans.audit import load_plan
from robustness.workflows.calibrate import image_set
from robustness.workflows.demo_files import demo_data

DEMO = demo_data("brain")
PLAN = '[model]\nname = "film-unet"\n[data]\npath = "x"\n[perturbations]\nimage = "modality" # all of them\n'


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["calibrate", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


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
