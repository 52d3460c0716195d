"""Plan keys of joint grids and matrices: what they take, and that a plan without them is the plan it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from robustness.errors import InputError
from robustness.plans.audit import load_plan, parse_plan
from robustness.plans.data_source import DataSource, data_source

BASE: dict[str, Any] = {"model": {"name": "unet"}, "data": {"path": "data"}}


def test_a_plan_without_the_new_keys_writes_and_hashes_none_of_them() -> None:
    written = parse_plan(BASE).to_toml()
    for key in ("joint", "trained_on", "published"):
        assert key not in written


def test_a_grid_may_be_one_table_several_or_a_written_condition(tmp_path: Any) -> None:
    grid = {"image": ["jpeg@3"], "prompt": ["empty"]}
    one = parse_plan({**BASE, "perturbations": {"joint": grid}})
    assert one.perturbations.joint == parse_plan({**BASE, "perturbations": {"joint": [grid]}}).perturbations.joint
    both = parse_plan({**BASE, "perturbations": {"joint": [grid, "image:jpeg@1+empty"]}})
    file = tmp_path / "plan.toml"
    file.write_text(both.to_toml(), encoding="utf-8")
    assert load_plan(file) == both
    assert load_plan(file).sha256() == both.sha256() != one.sha256()


@pytest.mark.parametrize(
    ("grid", "near"),
    [({"image": ["jpeg"], "prompts": ["empty"]}, "prompt"), ({"image": [], "prompt": ["empty"]}, "image")],
)
def test_a_grid_that_cannot_be_read_names_the_key(grid: dict[str, Any], near: str) -> None:
    with pytest.raises(InputError, match=near):
        parse_plan({**BASE, "perturbations": {"joint": grid}})


def test_what_a_model_was_finetuned_on_is_one_name_or_several() -> None:
    for value in ("kvasir", ["kvasir", "clinicdb"]):
        plan = parse_plan({**BASE, "model": {"name": "unet", "trained_on": value}})
        assert plan.model[0].trained_on == value


def test_a_folder_is_itself() -> None:
    assert data_source(Path("data/kvasir")) == DataSource(Path("data/kvasir"))


def test_a_plan_names_path_prompt_and_reading(tmp_path: Path) -> None:
    (tmp_path / "cases.csv").write_text("image,mask\n")
    plan = tmp_path / "audit.toml"
    plan.write_text(
        "[[data]]\npath = 'cases.csv'\nprompt = 'p3'\nmodality = 'MRI'\nsplit = 'test'\nslices = { every = 3 }\n"
        "[[data]]\npath = 'other.csv'\n"
    )
    named = data_source(plan)
    assert named == DataSource(tmp_path / "cases.csv", "p3", "MRI", {"slices": {"every": 3}})


@pytest.mark.parametrize("prompt", ["'random'", "['p2', 'p3']"])
def test_several_prompts_name_none(tmp_path: Path, prompt: str) -> None:
    (tmp_path / "a.toml").write_text(f"[data]\npath = 'x'\nprompt = {prompt}\n")
    assert data_source(tmp_path / "a.toml").prompt is None


@pytest.mark.parametrize("text", ["", "[data]\nsplit = 'test'\n", "data = 3\n", "data = []\n"])
def test_a_plan_without_data_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.toml").write_text(text)
    with pytest.raises(InputError, match="path in the plan"):
        data_source(tmp_path / "a.toml")
