"""Writing calibrated parameters into plans that people wrote."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from robustness.errors import InputError
from robustness.plans.audit import load_plan
from robustness.plans.parameters import table_text, with_parameters, write_parameters

FIVE = {"gaussian_noise": (0.01, 0.02, 0.03, 0.04, 0.05)}
LINES = {"motion_blur": ((1.0, 2.0), (2.0, 3.0), (3.0, 4.0), (4.0, 5.0), (5.0, 6.0))}
HEAD = '# My plan\nseed = 3 # why three\n\n[model]\nname = "clipseg"\n\n[data]\npath = "data"\n\n'
TAIL = '\n[metrics]\nnames = ["dice"] # the one\n'


def tree_of(text: str) -> dict:
    return tomllib.loads(text)


@pytest.mark.parametrize(
    ("written", "image"),
    [
        ("", {}),
        ("[perturbations]\nprompt = []\n", {}),
        ('[perturbations]\nimage = { kinds = "all", severities = [1, 5] }\n', {"kinds": "all", "severities": [1, 5]}),
        ('[perturbations]\nimage = [\n  "jpeg",\n  "hue@3", # turned\n]\nprompt = []\n', {"kinds": ["jpeg", "hue@3"]}),
        ('[perturbations]\nimage = "modality"\n', {"kinds": "modality"}),
        ('[perturbations.image]\nkinds = ["jpeg"]\n', {"kinds": ["jpeg"]}),
        ('[perturbations.image]\npreset = "medmnist-c" # as published\n', {"preset": "medmnist-c"}),
    ],
)
def test_the_table_is_added_and_every_other_key_stays(written: str, image: dict) -> None:
    text = HEAD + written + TAIL
    changed = with_parameters(text, FIVE)
    expected = tree_of(text)
    expected.setdefault("perturbations", {})["image"] = {
        **image,
        "parameters": {"gaussian_noise": list(FIVE["gaussian_noise"])},
    }
    assert tree_of(changed) == expected
    for comment in ("# My plan", "# why three", "# the one"):
        assert comment in changed


def test_a_second_table_replaces_the_kinds_that_it_has_and_keeps_the_others() -> None:
    once = with_parameters(HEAD + TAIL, {**FIVE, **LINES})
    other = {"gaussian_noise": (0.1, 0.2, 0.3, 0.4, 0.5)}
    twice = with_parameters(once, other)
    held = tree_of(twice)["perturbations"]["image"]["parameters"]
    assert held == {
        "gaussian_noise": list(other["gaussian_noise"]),
        "motion_blur": [list(v) for v in LINES["motion_blur"]],
    }
    assert twice.count("[perturbations.image.parameters]") == 1
    assert with_parameters(twice, other) == twice


def test_a_table_in_the_middle_is_replaced_and_what_follows_stays() -> None:
    text = HEAD + "[perturbations.image.parameters]\njpeg = [5, 4, 3, 2, 1]\n# about the metrics\n" + TAIL
    changed = with_parameters(text, {"jpeg": (9, 8, 7, 6, 5)})
    assert tree_of(changed)["perturbations"]["image"]["parameters"] == {"jpeg": [9, 8, 7, 6, 5]}
    assert tree_of(changed)["metrics"] == {"names": ["dice"]}
    assert "# about the metrics" in changed


def test_the_written_plan_is_a_plan(tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text(HEAD + '[perturbations]\nimage = { kinds = ["motion_blur"], severities = [2] }\n', "utf-8")
    write_parameters(plan, LINES)
    read = load_plan(plan).perturbations.image
    assert (read.kinds, read.severities) == (["motion_blur"], [2])
    assert read.parameters == {"motion_blur": [list(v) for v in LINES["motion_blur"]]}


def test_what_cannot_be_extended_safely_is_left_alone(tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text('perturbations = { image = "all" }\n' + HEAD, "utf-8")
    before = plan.read_text("utf-8")
    with pytest.raises(InputError, match="cannot be extended safely"):
        write_parameters(plan, FIVE)
    assert plan.read_text("utf-8") == before
    with pytest.raises(InputError, match="not valid TOML"):
        with_parameters("seed = = 3", FIVE)
    with pytest.raises(InputError, match="found none"):
        write_parameters(tmp_path / "none.toml", FIVE)


def test_the_printed_table_is_toml() -> None:
    assert tree_of(table_text({**FIVE, **LINES}))["perturbations"]["image"]["parameters"]["motion_blur"][1] == [
        2.0,
        3.0,
    ]
