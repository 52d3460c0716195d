"""The example repository and the recipes, as written: only the wheel is installed, and the pipelines' commands are run.

Two things are replaced, because they would need a network: lines that begin with `pip install` (the environment has the
wheel and pytest already), and the actions that GitHub brings (checkout, setup-python, cache, upload).
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from tests.robustness.test_packaging import Environment, installed, tree, wheel  # noqa: F401 - fixtures

ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = ROOT / "examples" / "gate"
RECIPES = ROOT / "docs" / "recipes.md"
REPLACED = re.compile(r"^pip install\b")


class Project(NamedTuple):
    """A copy of the example in a folder of its own, with an environment with nothing else of ours than the wheel."""

    environment: Environment
    folder: Path

    def shell(self, command: str, **env: str) -> subprocess.CompletedProcess[str]:
        binaries = self.environment.home / "bin"
        path = f"{binaries}:/usr/local/bin:/usr/bin:/bin"
        whole = {"PATH": path, "HOME": str(self.folder), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", **env}
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=self.folder,
            env=whole,
            capture_output=True,
            text=True,
            check=False,
        )

    def checked(self, command: str, **env: str) -> str:
        done = self.shell(command, **env)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout


def _copy(environment: Environment, folder: Path) -> Project:
    ignored = shutil.ignore_patterns("data", "runs", "__pycache__", ".pytest_cache", ".ruff_cache")
    return Project(environment, Path(shutil.copytree(EXAMPLE, folder / "repository", ignore=ignored)))


@pytest.fixture(scope="module")
def project(installed: Environment, tmp_path_factory: pytest.TempPathFactory) -> Project:  # noqa: F811
    return _copy(installed, tmp_path_factory.mktemp("example"))


def github_commands(text: str) -> list[str]:
    """Return the commands of a workflow in order, also those under a condition; every other step is an action."""
    steps = [step for job in yaml.safe_load(text)["jobs"].values() for step in job["steps"]]
    assert all(("run" in step) != ("uses" in step) for step in steps)
    return [step["run"] for step in steps if "run" in step]


def gitlab_commands(text: str) -> list[str]:
    """Return the commands of a pipeline, stage by stage."""
    tree: dict[str, Any] = yaml.safe_load(text)  # noqa: F811
    jobs = [job for name, job in tree.items() if name not in ("stages", "default")]
    assert {job["stage"] for job in jobs} == set(tree["stages"])
    jobs.sort(key=lambda job: tree["stages"].index(job["stage"]))
    return [*tree["default"]["before_script"], *(line for job in jobs for line in job["script"])]


PIPELINES = {
    ".github/workflows/robustness.yml": (github_commands, ["gates.xml", "gates.md", "assertions.md", "runs/model"]),
    ".gitlab-ci.yml": (gitlab_commands, ["tests.xml", "gates.xml", "gates.md", "release.xml", "runs/model"]),
}


@pytest.mark.parametrize("name", PIPELINES)
def test_every_file_that_a_pipeline_names_is_made_or_there(name: str):
    read, _ = PIPELINES[name]
    commands = read((EXAMPLE / name).read_text("utf-8"))
    assert sum(bool(REPLACED.match(command)) for command in commands) == 1
    used = set(re.findall(r"[\w/.-]+\.(?:toml|py|txt)\b", "\n".join(commands)))
    assert {"plan.toml", "pictures.py", "baselines/main.toml", "release.toml"} <= used
    assert [file for file in used if not (EXAMPLE / file).is_file()] == []


@pytest.mark.slow
def test_the_projects_own_tests_pass_with_only_the_wheel(project: Project):
    where = "import robustness, metrics; print(robustness.__file__); print(metrics.OWNER)"
    origin, owner = project.checked(f"python -c '{where}'").splitlines()
    assert Path(origin).is_relative_to(project.environment.home.resolve())
    assert owner == "this example"
    # The baseline that lies beside the example is older than the code under test, and the suite tells so.
    filters = "-W error -W default::robustness.gates.judge.OtherRulesWarning"
    shown = project.checked(f"python -m pytest -q -p no:cacheprovider {filters}")
    assert "7 passed" in shown
    assert "baseline does not record the rules" in shown


@pytest.mark.slow
@pytest.mark.parametrize("name", PIPELINES)
def test_a_pipelines_commands_hold_for_the_model_that_is_there(name: str, installed, tmp_path):  # noqa: F811
    project = _copy(installed, tmp_path)
    read, made = PIPELINES[name]
    summary = tmp_path / "summary.md"
    for command in read((EXAMPLE / name).read_text("utf-8")):
        if not REPLACED.match(command):
            project.checked(command, GITHUB_STEP_SUMMARY=str(summary))
    assert [file for file in made if not (project.folder / file).exists()] == []
    assert summary.is_file() is name.startswith(".github")


@pytest.mark.slow
def test_merge_gate_and_registry_hook_stop_a_model_that_forgets_size_words(project: Project):
    project.checked("python pictures.py")
    told = "--set 'model.options.arguments={ images = 2, change = 1, forgets = 0.1 }'"
    project.checked("robustness audit plan.toml --out runs/good")
    project.checked(f"robustness audit plan.toml --out runs/worse {told}")
    gate = "robustness gate runs/worse --baseline baselines/main.toml"
    done = project.shell(gate)
    assert done.returncode == 1
    assert "size words move the mask as much as before" in done.stdout
    assert project.shell("python promote.py runs/worse --version 2").returncode == 1
    assert not (project.folder / "registry.json").exists()
    assert "version 1 is production" in project.checked("python promote.py runs/good --version 1")
    assert project.shell("python promote.py runs/absent --version 3").returncode == 2
    assert json.loads((project.folder / "registry.json").read_text())["production"] == "1"
    part = project.folder / "runs" / "good" / "results" / "part-00000.parquet"
    part.write_bytes(part.read_bytes() + b" ")
    assert "robustness verify ended with 1" in project.shell("python promote.py runs/good --version 4").stderr


@pytest.mark.slow
def test_the_gate_is_as_often_right_from_audits_as_from_tables(project: Project):
    done = project.shell("python how_often.py --tables 60 --audits 4")
    found = json.loads(done.stdout.splitlines()[-1])["detail"]
    assert found["drop 0"]["tables"] <= 0.12, done.stderr
    assert 0.7 <= found["drop 0.02"]["tables"] <= 0.98
    for share in found.values():
        assert share["band"][0] <= share["audits"] <= share["band"][1]


@pytest.mark.parametrize("name", [*PIPELINES, "gates.toml", "release.toml", "promote.py", "test_model.py"])
def test_recipes_show_the_files_as_they_are(name: str):
    text = RECIPES.read_text("utf-8")
    if name in ("promote.py", "test_model.py"):
        assert f"examples/gate/{name}" in text
    else:
        assert (EXAMPLE / name).read_text("utf-8") in text, f"{RECIPES.name} shows another {name}"


@pytest.mark.slow
def test_the_recipes_commands_run_as_written(project: Project):
    shutil.rmtree(project.folder / "runs", ignore_errors=True)
    for block in re.findall(r"^```bash\n(.*?)^```", RECIPES.read_text("utf-8"), re.MULTILINE | re.DOTALL):
        lines = [line for line in block.splitlines() if not REPLACED.match(line)]
        project.checked("\n".join(lines))
