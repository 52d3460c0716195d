"""`robustness init`: the plan that it writes names what lies in the folder, and runs as it is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from robustness.cli.main import app
from robustness.errors import InputError
from robustness.plans.audit import load_plan
from robustness.workflows.audit import audit_plan
from robustness.workflows.init_plan import look, write_plan
from tests.synthetic import write_dataset


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "set", images=3)


def table_of(data: Path, **columns: object) -> Path:
    entries = json.loads((data / "anns" / "test.json").read_text(encoding="utf-8"))
    rows = pd.DataFrame({"image": [f"images/{e['img_name']}" for e in entries]})
    rows["mask"] = [f"masks/{e['mask_name']}" for e in entries]
    path = data / "cases.csv"
    rows.assign(**columns).to_csv(path, index=False)
    return path


def test_the_plan_of_a_benchmark_folder_runs_as_it_is(data: Path, tmp_path: Path) -> None:
    plan, dataset = write_plan(data, tmp_path / "plan.toml")
    assert len(dataset) == 6
    small = ["perturbations.prompt=['paraphrase']", "perturbations.image=[]", "statistics.resamples=199"]
    run = audit_plan(load_plan(plan, overrides=small), out=tmp_path / "run", folder=tmp_path, report=False)
    assert len(run.results()) > 6
    text = plan.read_text(encoding="utf-8")
    assert "random" in text
    assert "# Splits: " in text


def test_what_lies_there_is_written_down(data: Path, tmp_path: Path) -> None:
    found = look(data)
    plan = load_plan(write_plan(data, tmp_path / "plan.toml")[0])
    assert found.splits[-1] == "test" == plan.data[0].split
    assert plan.data[0].prompt in found.prompts
    assert Path(plan.data[0].path) == data.resolve()


def test_a_table_is_found_in_its_folder_and_its_patient_column_taken(data: Path, tmp_path: Path) -> None:
    table_of(data, prompt="one polyp", patient_id=list("aabbcc"))
    shutil.rmtree(data / "anns")
    found = look(data)
    assert (found.path.name, found.prompts, found.subject) == ("cases.csv", ("prompt",), "patient_id")
    plan, dataset = write_plan(data, tmp_path / "plan.toml")
    assert dataset.facts()["n_subjects"] == 3
    assert load_plan(plan).data[0].subject == "patient_id"


def test_without_patients_the_plan_says_so(data: Path, tmp_path: Path) -> None:
    path = table_of(data, prompt="one polyp")
    plan, _ = write_plan(path, tmp_path / "plan.toml")
    assert load_plan(plan).data[0].subject == "image"
    assert "No patient is named" in plan.read_text(encoding="utf-8")


def test_a_table_without_prompts_is_one_clear_error(data: Path, tmp_path: Path) -> None:
    path = table_of(data)
    with pytest.raises(InputError, match=r"expected a column prompt in cases.csv, found image, mask; add one text"):
        write_plan(path, tmp_path / "plan.toml")


def test_images_without_prompts_name_the_command_that_makes_them(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    with pytest.raises(InputError, match="robustness prepare generic"):
        look(tmp_path)


def test_two_tables_are_not_guessed_between(data: Path) -> None:
    table_of(data, prompt="x").rename(data / "a.csv")
    table_of(data, prompt="x").rename(data / "b.csv")
    shutil.rmtree(data / "anns")
    with pytest.raises(InputError, match=r"found a.csv, b.csv; pass the one"):
        look(data)


def test_nothing_is_written_over(data: Path, tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match="--out: expected a new file"):
        write_plan(data, tmp_path / "plan.toml")
    assert (tmp_path / "plan.toml").read_text(encoding="utf-8") == "mine"


def test_an_unknown_model_is_refused_with_its_neighbour(data: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="film-unet"):
        write_plan(data, tmp_path / "plan.toml", model="film-unett")


def test_the_command_says_what_comes_next(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "plan.toml"
    result = CliRunner().invoke(app, ["init", str(data), "--out", str(out), "--checkpoint", "weights"])
    assert result.exit_code == 0, result.output
    assert f"next: robustness plan {out}" in result.output
    assert load_plan(out).model[0].checkpoint == "weights"
