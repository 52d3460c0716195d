"""Joint conditions: every image change of a grid meets every prompt change, each drawn as it is drawn alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from robustness.errors import InputError
from robustness.perturb.joint import select_all
from robustness.runners.data.load import load_dataset
from robustness.types import DataContext
from tests.synthetic import write_dataset

GRID = {"image": ["gaussian_blur@3", "jpeg"], "prompt": ["antonym:side", "empty"]}


@pytest.fixture
def context(tmp_path: Path) -> DataContext:
    return load_dataset(write_dataset(tmp_path)).context(0)


def test_a_grid_is_every_image_change_with_every_prompt_change(context: DataContext) -> None:
    chosen = select_all([], {"kinds": [], "severities": [2, 4]}, [GRID], context)
    images, prompts = ["gaussian_blur@3", "jpeg@2", "jpeg@4"], ["antonym:side", "empty"]
    assert [j.condition for j in chosen.joint] == [f"image:{i}+{p}" for i in images for p in prompts]


def test_what_a_grid_needs_alone_is_run_alone_once(context: DataContext) -> None:
    chosen = select_all(["empty"], {"kinds": ["jpeg"], "severities": [2]}, [GRID, GRID], context)
    assert [s.condition for s in chosen.single] == ["empty", "image:jpeg@2", "image:gaussian_blur@3", "antonym:side"]
    assert len(chosen.joint) == 4
    held = {s.condition: s for s in chosen.single}
    assert all(j.image is held[j.image.condition] and j.prompt is held[j.prompt.condition] for j in chosen.joint)
    assert chosen.conditions[-1] == "image:jpeg@2+empty"


def test_one_condition_may_be_written_as_it_is_named(context: DataContext) -> None:
    chosen = select_all([], [], ["image:gaussian_blur@3+antonym:side"], context)
    assert chosen.conditions == ["image:gaussian_blur@3", "antonym:side", "image:gaussian_blur@3+antonym:side"]


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ("antonym:side+empty", "expected image:NAME@SEVERITY"),
        ("image:jpeg@1+image:gamma_up@1", "expected image:NAME@SEVERITY"),
        ("image:jpeg@1+empty+typo@1", "expected image:NAME@SEVERITY"),
        ({"image": ["empty"], "prompt": ["empty"]}, "'empty' changes the prompt"),
        ({"image": ["jpeg"], "prompt": ["jpeg"]}, "'jpeg' changes the image"),
        ({"image": ["jpeg"], "prompt": ["worst_case"]}, "'worst_case' is a search"),
        ({"image": ["jpeg"], "prompt": ["other"]}, "asks for another target"),
    ],
)
def test_what_no_grid_can_hold_is_refused(grid: object, message: str, context: DataContext) -> None:
    with pytest.raises(InputError, match=message):
        select_all([], [], [grid], context)  # type: ignore[list-item]
