"""The dataset that an argument names: itself, or the first of a plan."""

from __future__ import annotations

from pathlib import Path

import pytest

from robustness.errors import InputError
from robustness.plans.data_source import DataSource, data_source


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
