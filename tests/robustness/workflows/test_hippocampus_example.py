"""The commands of examples/hippocampus run as its README writes them, from volumes to a gate."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import robustness as rb
from robustness.cli.main import app
from robustness.gates.judge import load_gates
from robustness.plans.audit import load_plan
from robustness.plans.finetune import load_train_plan

ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = ROOT / "examples" / "hippocampus"
FOLDERS = [parent / "shared" / "data" / "hippocampus_msd" / "volumes" for parent in (ROOT, ROOT.parent)]
VOLUMES = next((folder for folder in FOLDERS if folder.is_dir()), FOLDERS[0])
# What makes the sequence short; each command takes its own.
SHORT = {
    "finetune": ["--set", "train.steps=3", "--set", "train.validate_every=1", "--set", "train.epochs=1"],
    "audit": ["--set", 'perturbations.prompt=["other"]', "--set", "perturbations.image.kinds=[]"],
}


def commands() -> list[list[str]]:
    """Return the commands of the README's block, without the program's name."""
    block = re.search(r"```bash\n(.*?)```", (EXAMPLE / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert block is not None
    lines = [shlex.split(line) for line in block[1].splitlines() if line.strip()]
    assert all(line[0] == "robustness" for line in lines)
    return [line[1:] for line in lines]


def test_the_plans_are_read_and_the_commands_name_them() -> None:
    plan = load_plan(EXAMPLE / "audit.toml")
    load_train_plan(EXAMPLE / "finetune.toml")
    load_gates(EXAMPLE / "gates.toml")
    named = {word for line in commands() for word in line if word.endswith(".toml")}
    assert named == {path.name for path in EXAMPLE.glob("*.toml")}
    assert plan.data[0].groups == ["direction"]


def _download(folder: Path) -> None:
    """Write the task as its publisher ships it, of every seventh volume and its neighbours."""
    names = sorted(path.name for path in (VOLUMES / "imagesTr").iterdir())
    chosen = [name for place, name in enumerate(names) if place % 7 < 3]
    for kind in ("imagesTr", "labelsTr"):
        (folder / kind).mkdir(parents=True)
        for name in chosen:
            shutil.copyfile(VOLUMES / kind / name, folder / kind / name)
    card = {
        "name": "Hippocampus",
        "modality": {"0": "MRI"},
        "labels": {"0": "background", "1": "Anterior", "2": "Posterior"},
        "training": [{"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"} for name in chosen],
    }
    (folder / "dataset.json").write_text(json.dumps(card))


@pytest.mark.slow
@pytest.mark.skipif(not VOLUMES.is_dir(), reason="needs the shared hippocampus volumes beside the checkout")
def test_the_sequence_runs_as_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _download(tmp_path / "Task04_Hippocampus")
    for plan in EXAMPLE.glob("*.toml"):
        shutil.copyfile(plan, tmp_path / plan.name)
    monkeypatch.chdir(tmp_path)
    for line in commands():
        result: Result = CliRunner().invoke(app, [*line, *SHORT.get(line[0], [])])
        # Three steps teach nothing, so that a gate may fail, but it must be judged.
        assert result.exit_code in ((0, 1) if line[0] == "gate" else (0,)), (line, result.output, result.exception)
    parts = json.loads((tmp_path / "splits.json").read_text())["cases"]
    scans = {name: {(int(case.split("_")[1]) + 1) // 2 for case in cases} for name, cases in parts.items()}
    assert not scans["test"] & scans["train"]
    assert not scans["test"] & scans["val"]
    for name in ("text", "image-only"):
        run = rb.open_run(tmp_path / "runs" / name)
        rows = run.results()
        assert (rows["error"] == "").all()
        assert rows["subject_id"].nunique() == len(scans["test"])
        assert set(rows["direction"]) == {"anterior", "posterior", "unknown"}
        assert "other:direction" in set(rows["condition"])
        assert (tmp_path / "runs" / name / "report.html").stat().st_size > 100_000
