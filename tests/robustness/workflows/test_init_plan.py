"""`robustness init`: the plan that it writes names what lies in the folder, and runs as it is."""

from __future__ import annotations

import json
import shutil
from collections import namedtuple
from importlib import metadata
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from robustness.cli.main import app
from robustness.errors import InputError
from robustness.perturb.language import wordnet
from robustness.plans.audit import load_plan
from robustness.reports.html import pdf
from robustness.runners.audit import worker_count
from robustness.workflows import doctor
from robustness.workflows.audit import audit_plan
from robustness.workflows.doctor import diagnose
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
    table_of(data, prompt="one polyp", patient_number=list("aabbcc"))
    shutil.rmtree(data / "anns")
    found = look(data)
    assert (found.path.name, found.prompts, found.subject) == ("cases.csv", ("prompt",), "patient_number")
    plan, dataset = write_plan(data, tmp_path / "plan.toml")
    assert dataset.facts()["n_subjects"] == 3
    assert load_plan(plan).data[0].subject == "patient_number"


def test_without_patients_the_plan_says_so(data: Path, tmp_path: Path) -> None:
    """`subject = "image"` says that images are independent, which nobody but the user can know."""
    path = table_of(data, prompt="one polyp")
    plan, dataset = write_plan(path, tmp_path / "plan.toml")
    text = plan.read_text(encoding="utf-8")
    assert load_plan(plan).data[0].subject is None
    assert dataset.subject_is_image
    assert "No patient is named" in text
    stated = tmp_path / "stated.toml"
    stated.write_text(text.replace("# subject = ", "subject = "), encoding="utf-8")
    assert load_plan(stated).data[0].subject == "image"


def test_one_patient_is_no_reason_to_count_images(data: Path, tmp_path: Path) -> None:
    path = table_of(data, prompt="one polyp", patient_id="p1")
    plan, dataset = write_plan(path, tmp_path / "plan.toml")
    assert load_plan(plan).data[0].subject is None
    assert dataset.facts()["n_subjects"] == 1
    assert '# subject = "image"' in plan.read_text(encoding="utf-8")


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


Usage = namedtuple("Usage", "total used free")


def found(name: str, folder: Path = Path()) -> doctor.Finding:
    return next(f for f in diagnose(folder) if f.name == name)


def test_everything_that_is_not_ok_has_a_fix() -> None:
    findings = diagnose(Path())
    names = {f.name for f in findings}
    assert {"robustness", "device", "memory", "WordNet", "Chromium", "disk", "temporary files"} <= names
    assert all(bool(f.fix) == (f.state != "ok") for f in findings)


def test_a_missing_wordnet_is_a_note_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wordnet, "missing_for_rarity", lambda: wordnet.NOT_INSTALLED)
    assert found("WordNet").fix == "python -m nltk.downloader wordnet"
    monkeypatch.setattr(wordnet, "missing_for_rarity", lambda: wordnet.NO_FREQUENCIES)
    assert found("WordNet").fix == "pip install wordfreq"
    monkeypatch.setattr(wordnet, "missing_for_rarity", lambda: "")
    assert found("WordNet").state == "ok"


def test_a_missing_browser_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf, "find_browser", lambda: None)
    assert (found("Chromium").state, "install one of chromium" in found("Chromium").fix) == ("note", True)


def test_a_full_disk_and_little_memory_are_seen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda place: Usage(1, 1, 10**9))
    monkeypatch.setattr(worker_count, "free_gib", lambda: 1.0)
    disk = found("disk", tmp_path / "not" / "there" / "yet")
    assert (disk.state, disk.found) == ("problem", f"1.0 GB free at {tmp_path}")
    assert found("memory").state == "note"


def test_an_old_and_a_missing_package_are_problems(monkeypatch: pytest.MonkeyPatch) -> None:
    needs = ["numpy>=9999", "no-such-package>=1", 'another-missing; extra == "x"', 'old; python_version < "3"']
    monkeypatch.setattr(metadata, "requires", lambda name: needs)
    findings = {f.name: f for f in diagnose(Path())}
    assert findings["numpy"].fix == "pip install 'numpy>=9999'"
    assert findings["no-such-package"].fix == "pip install no-such-package"
    assert findings["extras"].found == "not installed: another-missing"
    assert "old" not in findings


def test_the_command_exits_1_on_a_problem_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "diagnose", lambda folder: (doctor.Finding("WordNet", "note", "none", "install it"),))
    result = CliRunner().invoke(app, ["doctor"])
    assert (result.exit_code, result.stdout) == (0, "note    WordNet: none\n        fix: install it\n")
    monkeypatch.setattr(doctor, "diagnose", lambda folder: (doctor.Finding("disk", "problem", "full", "free some"),))
    assert CliRunner().invoke(app, ["doctor"]).exit_code == 1
