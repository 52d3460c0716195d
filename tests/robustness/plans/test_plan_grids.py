"""Plan keys of joint grids and matrices: what they take, and that a plan without them is the plan it was."""

from __future__ import annotations

from typing import Any

import pytest

from robustness.errors import InputError
from robustness.plans.audit import load_plan, parse_plan

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
