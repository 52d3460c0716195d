"""Studies: every cell is trained and audited, cells resume by themselves, and one failure does not stop the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from robustness.cli.main import app
from robustness.errors import InputError
from robustness.plans.audit import parse_plan
from robustness.plans.study import StudyPlan, load_study
from robustness.plans.validation import validated
from robustness.workflows.demo_files import demo_data
from robustness.workflows.study import plan_text, run_study

BRAIN = demo_data("brain")


def tree(**more: Any) -> dict[str, Any]:
    small = {"image_size": 32, "widths": [8, 8, 16, 16, 16], "token_width": 16, "text_width": 32}
    return {
        "model": {"name": "film-unet", "device": "cpu", "config": small},
        "data": {"path": str(BRAIN), "prompt": "p5", "subject": "image", "limit": 8},
        "train": {"epochs": 1, "batch_size": 4, "threads": 1},
        "audit": {
            "perturbations": {"prompt": ["antonym:side", "paraphrase"], "image": []},
            "metrics": {"names": ["dice"]},
            "statistics": {"resamples": 99},
            "engine": {"threads": 1},
        },
        **more,
    }


def study(**more: Any) -> StudyPlan:
    return validated(StudyPlan, tree(**more), source="test")


def test_cells_are_the_product_of_what_is_varied(tmp_path: Path) -> None:
    plan = study(
        model=[{"name": "film-unet"}, {"name": "unet", "finetune": False}],
        sweep={"prompts": ["p2", "p5"], "seeds": [0, 1, 2], "zero_shot": True},
    )
    names = [cell.name for cell in plan.cells(tmp_path)]
    assert len(names) == len(set(names)) == 2 * 2 + 2 * 3
    assert names[0] == "film-unet__brain__p2__zero-shot"
    assert "film-unet__brain__p5__seed2" in names
    assert not any(name.startswith("unet") and "seed" in name for name in names)


def test_a_cell_trains_and_audits_what_its_name_says(tmp_path: Path) -> None:
    plan = study(
        data={"path": "d", "splits": "folds.json", "prompt": "random"}, sweep={"folds": [3], "prompts": ["p4"]}
    )
    (cell,) = plan.cells(tmp_path)
    assert cell.train is not None
    assert (cell.train.data.split, cell.train.data.val_split) == ("fold3-train", "fold3-val")
    assert cell.train.data.prompt == ["p4"]
    assert (cell.audit.data[0].split, cell.audit.data[0].prompt) == ("fold3-test", "p4")
    assert cell.audit.data[0].splits == "folds.json"
    assert cell.audit.model[0].checkpoint == str(tmp_path / cell.name / "checkpoint")


def test_crossing_audits_every_test_set(tmp_path: Path) -> None:
    plan = study(data=[{"path": "a"}, {"path": "b", "test_split": "val"}], sweep={"cross": True})
    assert [[d.path for d in cell.audit.data] for cell in plan.cells(tmp_path)] == [["a", "b"], ["a", "b"]]
    assert [d.split for d in plan.cells(tmp_path)[0].audit.data] == ["test", "val"]


def test_mistakes_name_their_key(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected splits = FILE"):
        study(sweep={"folds": [0]})
    with pytest.raises(InputError, match="seeds"):
        study(sweep={"seed": [0]})
    with pytest.raises(InputError, match="comes twice; give labels"):
        study(model=[{"name": "unet"}, {"name": "unet"}]).cells(tmp_path)


def test_a_study_reads_back_from_its_own_text(tmp_path: Path) -> None:
    plan = study(sweep={"seeds": [1, 2]})
    (tmp_path / "study.toml").write_text(plan_text(plan), encoding="utf-8")
    assert load_study(tmp_path / "study.toml") == plan


@pytest.mark.slow
def test_a_study_runs_resumes_and_survives_a_bad_cell(tmp_path: Path) -> None:
    bad = {"name": "film-unet", "label": "broken", "checkpoint": str(tmp_path / "nowhere")}
    plan = study(model=[tree()["model"], bad], sweep={"zero_shot": False, "seeds": [0, 1]})
    said: list[str] = []
    done = run_study(plan, out=tmp_path / "out", quiet=True, say=said.append)
    assert done.failed == ["broken__brain__p5__seed0", "broken__brain__p5__seed1"]
    assert len(said) == 4
    good = done.cells[done.cells["error"] == ""]
    assert good["dice"].between(0, 1).all()
    assert (good["dice_level"] == 0.95).all()
    assert good["val_dice"].between(0, 1).all()
    assert done.groups["cells"].tolist() == [2]
    assert done.groups["dice_mean"].item() == pytest.approx(good["dice"].mean())
    assert done.page is not None
    assert done.page.is_file()
    files = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*.safetensors")}
    again = run_study(plan, out=tmp_path / "out", quiet=True)
    assert again.cells.equals(done.cells)
    assert files == {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*.safetensors")}


def test_the_command_lists_cells_without_running_them(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(plan_text(study(sweep={"seeds": [4, 5]})), encoding="utf-8")
    shown = CliRunner().invoke(app, ["study", str(tmp_path / "study.toml"), "--dry", "--out", str(tmp_path / "out")])
    assert shown.exit_code == 0, shown.output
    assert shown.output.split() == ["film-unet__brain__p5__seed4", "film-unet__brain__p5__seed5"]
    assert not (tmp_path / "out").exists()


def test_audits_of_a_study_are_ordinary_plans(tmp_path: Path) -> None:
    import tomllib

    (cell,) = study().cells(tmp_path)
    assert parse_plan(tomllib.loads(cell.audit.to_toml())) == cell.audit
