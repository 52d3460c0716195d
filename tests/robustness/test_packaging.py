"""The package as users get it: a wheel or an editable install in a new environment, used outside the checkout."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = ("pyproject.toml", "README.md", "LICENSE")
ROOMS = ("perturb", "metrics", "runners", "reports")

IMPORT_EVERYTHING = """
import importlib, pathlib, pkgutil
import robustness
import metrics, perturb, runners, reports
assert metrics.OWNER == perturb.OWNER == runners.OWNER == reports.OWNER == "the user"
home = [str(pathlib.Path(robustness.__file__).parent)]
names = {m.name for m in pkgutil.walk_packages(home, prefix="robustness.")}
for room in ("perturb", "metrics", "runners", "reports"):
    package = importlib.import_module(f"robustness.{room}")
    walked = pkgutil.walk_packages(package.__path__, prefix=f"{package.__name__}.")
    names |= {package.__name__, *(m.name for m in walked)}
for name in sorted(names):
    if not name.endswith(".__main__"):
        importlib.import_module(name)
print(pathlib.Path(robustness.__file__).resolve())
print(*sorted(names))
"""


class Environment(NamedTuple):
    """A new environment with nothing of this project but what was installed, and a user's folder."""

    python: Path
    home: Path
    work: Path

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PYTEST", "COV_"))}
        return subprocess.run(command, cwd=self.work, env=env, capture_output=True, text=True, check=False)

    def checked(self, *command: str) -> str:
        done = self.run(*command)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout


def source_files() -> dict[str, str]:
    """Return every module of the checkout by its name in the package, with its file in the wheel."""
    files = {}
    for room in ("robustness", *ROOMS):
        for file in (ROOT / room).rglob("*.py"):
            inside = file.relative_to(ROOT).as_posix()
            path = inside if room == "robustness" else f"robustness/{inside}"
            files[path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")] = path
    return files


def source_modules() -> set[str]:
    """Return every module of the checkout but the package itself."""
    return source_files().keys() - {"robustness"}


def data_files() -> set[str]:
    """Return every file of the rooms that is no Python source, by its name in the wheel; no unpacked demo image."""
    found = set()
    for folder in ("robustness", *ROOMS):
        for file in (ROOT / folder).rglob("*"):
            if file.is_file() and file.suffix not in {".py", ".pyc", ".png"}:
                inside = file.relative_to(ROOT).as_posix()
                found.add(inside if folder == "robustness" else f"robustness/{inside}")
    return found


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources, so that no stale `build` folder leaks into the wheel."""
    copy = tmp_path_factory.mktemp("source") / "tree"
    copy.mkdir()
    for name in FILES:
        shutil.copy(ROOT / name, copy / name)
    for room in ("robustness", *ROOMS):
        shutil.copytree(ROOT / room, copy / room, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


@pytest.fixture(scope="module")
def wheel(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(out), str(tree))
    (built,) = out.glob("*.whl")
    return built


def pip(*arguments: str) -> None:
    # In a folder of its own: `python -m` would otherwise import from the checkout.
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-cache-dir", *arguments]
    done = subprocess.run(command, cwd=sys.prefix, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def new_environment(folder: Path, *install: str) -> Environment:
    """Make an environment, install the project alone, and borrow the dependencies of the running one."""
    home = folder / "env"
    venv.create(home, with_pip=False, symlinks=True)
    python = home / "bin" / "python"
    site = home / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    # A line in a .pth file only appends to sys.path: the hooks that lie there (an editable install of this very
    # project among them) do not run.
    site.joinpath("borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n", "utf-8")
    # --ignore-installed: an installation of this project in the running environment is neither used nor touched.
    options = ("--no-deps", "--no-index", "--no-build-isolation", "--ignore-installed")
    pip("--python", str(python), "install", *options, *install)
    work = folder / "a user's folder"
    work.mkdir()
    for room in ROOMS:
        (work / f"{room}.py").write_text('OWNER = "the user"\n', "utf-8")
    return Environment(python, home, work)


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return new_environment(tmp_path_factory.mktemp("installed"), str(wheel))


@pytest.mark.slow
def test_wheel_holds_every_module_and_data_file_and_nothing_else(wheel: Path):
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    modules = {name for name in names if name.endswith(".py")}
    assert modules == set(source_files().values())
    assert names - modules == data_files()


@pytest.mark.slow
def test_wheel_states_licence_command_and_python(wheel: Path):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    with zipfile.ZipFile(wheel) as archive:
        (info,) = {name.split("/")[0] for name in archive.namelist() if ".dist-info/" in name}
        metadata = archive.read(f"{info}/METADATA").decode()
        entry_points = archive.read(f"{info}/entry_points.txt").decode()
        assert archive.read(f"{info}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
    assert "License-Expression: Apache-2.0" in metadata
    assert f"Requires-Python: {project['requires-python']}" in metadata
    assert "robustness = robustness.__main__:run_command" in entry_points


@pytest.mark.slow
def test_wheel_is_imported_whole_outside_the_checkout_beside_a_users_own_modules(installed: Environment):
    origin, modules = installed.checked(str(installed.python), "-c", IMPORT_EVERYTHING).splitlines()[-2:]
    assert Path(origin).is_relative_to(installed.home.resolve())
    assert set(modules.split()) == source_modules()


@pytest.mark.slow
def test_command_line_of_the_wheel_runs_outside_the_checkout(installed: Environment):
    command = str(installed.home / "bin" / "robustness")
    assert "audit" in installed.checked(command, "--help")
    assert "film-unet" in installed.checked(command, "list", "models")
    wrong = installed.run(command, "list", "no-such-registry")
    assert wrong.returncode == 2
    assert "Traceback" not in wrong.stderr


@pytest.mark.slow
def test_wheel_registers_the_pytest_plugin_which_costs_a_suite_less_than_fifty_milliseconds(installed: Environment):
    (installed.work / "test_nothing.py").write_text(
        "import sys\ndef test_it():\n    assert 'robustness.pytest_plugin' in sys.modules\n"
        "    assert not {'torch', 'pandas', 'numpy', 'pydantic'} & set(sys.modules)\n",
        "utf-8",
    )
    command = (str(installed.python), "-m", "pytest", "-q", "-p", "no:hypothesispytest", "test_nothing.py")
    assert "1 passed" in installed.checked(*command)
    assert "robustness(run=None, plan=None" in installed.checked(str(installed.python), "-m", "pytest", "--markers")
    timed = (
        "import time, pytest; t = time.perf_counter(); import robustness.pytest_plugin; print(time.perf_counter() - t)"
    )
    assert min(float(installed.checked(str(installed.python), "-c", timed)) for _ in range(5)) < 0.05


@pytest.mark.slow
def test_editable_install_is_imported_whole_outside_the_checkout(tree: Path, tmp_path: Path):
    editable = new_environment(tmp_path, "--editable", str(tree))
    origin, modules = editable.checked(str(editable.python), "-c", IMPORT_EVERYTHING).splitlines()[-2:]
    assert Path(origin) == tree.resolve() / "robustness" / "__init__.py"
    assert set(modules.split()) == source_modules()


OUTSIDE_PROJECT = """
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

import robustness as rb
from robustness.metrics import MaskMetric, MaskPair
from robustness.perturb import ImagePerturbation, PromptPerturbation


@rb.METRICS.add("covered")
class Covered(MaskMetric):
    definition = "|P and G| / |G|"

    def compute(self, pair: MaskPair) -> float:
        return pair.n_predicted / pair.n_reference


def predict(images: Sequence[npt.NDArray[np.uint8]], prompts: Sequence[str]) -> list[npt.NDArray[np.float32]]:
    return [np.zeros(image.shape[:2], np.float32) for image in images]


def audited(folder: Path) -> str:
    data = rb.load_dataset(folder, split="test", prompt="p6")
    run = rb.audit(rb.segmenter(predict, name="vendor"), data, perturbations=["antonym"], out=folder / "run", seed=1)
    try:
        run.assert_invariant("image:*", margin=0.1)
    except rb.GateError as error:
        print(error.judged.outcome)
    trained: Path = rb.finetune("film-unet", data=folder, out=folder / "weights", epochs=1, lr=1e-3)
    higher: bool | None = rb.METRICS.get("dice").higher_is_better
    scores: dict[str, float | bool] = rb.mask_metrics([[True]], [[True]])
    words: rb.Prompt = rb.parse_prompt("one small polyp")
    print(trained, higher, scores, words.get("size"), issubclass(ImagePerturbation, PromptPerturbation))
    return str(run.path)
"""
WRONG_CALLS = {
    "rb.audit(1, 2, nonsense=3)": "call-arg",
    "rb.load_dataset('data', splitt='test')": "call-arg",
    "rb.finetune('clipseg', data='data', out='out', epochs='many')": "arg-type",
    "rb.mask_metrics([[True]], [[True]], spacing_mm=2.0)": "arg-type",
    "rb.segmenter('not a function', name='vendor')": "arg-type",
    "rb.open_run('run').no_such_table()": "attr-defined",
    "rb.parse_prompt('polyp').replace('size')": "call-arg",
    "rb.no_such_name": "attr-defined",
    "rb.load_model('clipseg', device=0)": "arg-type",
    "rb.load_predictions(['preds'])": "arg-type",
    "rb.perturb_prompt(['one polyp'])": "arg-type",
    "rb.check_dataset('data', 'test', 'p6')": "call-arg",
    "rb.effects()": "call-arg",
    "rb.verdicts(margin=0.1)": "call-arg",
    "rb.forecast(rb.load_plan('plan.toml'), batch=3)": "call-arg",
    "rb.load_plan()": "call-arg",
    "rb.export('plan.toml')": "call-arg",
    "rb.score('out', 'predictions', nonsense=3)": "call-arg",
    "rb.demo_data('brain', 'test', 1)": "call-arg",
    "rb.demo_checkpoint(1)": "arg-type",
    "rb.Run()": "call-arg",
    "rb.Plan.no_such_field": "attr-defined",
    "rb.Prompt('polyp').value": "attr-defined",
    "rb.Case('case')": "call-arg",
    "rb.Attribute('size', 'small')": "call-arg",
    "rb.GateError.no_such_field": "attr-defined",
    "rb.InputError(nonsense=3)": "call-arg",
    "rb.RobustnessError(nonsense=3)": "call-arg",
    "rb.METRICS.get(1)": "arg-type",
    "rb.MODELS.get('clipseg').higher_is_better": "attr-defined",
    "rb.PERTURBATIONS.add()": "call-arg",
    "rb.open_run('run').check(1)": "call-arg",
    "rb.open_run('run').effects('dice')": "call-arg",
    "rb.open_run('run').gate(gate='gates.toml')": "call-arg",
    "rb.open_run('run').manifest()": "operator",
    "rb.open_run('run').measured.no_such_field": "attr-defined",
    "rb.open_run('run').plan.no_such_field": "attr-defined",
    "rb.open_run('run').plot(1)": "arg-type",
    "rb.open_run('run').replay('first')": "arg-type",
    "rb.open_run('run').report(edition='summary')": "arg-type",
    "rb.open_run('run').results('clean')": "call-arg",
    "rb.open_run('run').save_baseline()": "call-arg",
    "rb.open_run('run').verdicts(alpha=0.1)": "call-arg",
    "rb.open_run('run').verify(strict=True)": "call-arg",
    "rb.open_run('run').assert_abstains(metric='dice')": "call-arg",
    "rb.open_run('run').assert_directional('*', 'down')": "arg-type",
    "rb.open_run('run').assert_drop_below('*')": "call-arg",
    "rb.open_run('run').assert_follows()": "call-arg",
    "rb.open_run('run').assert_ignores('size', margin=0.1)": "call-arg",
    "rb.open_run('run').assert_invariant('*', 'none')": "arg-type",
    "rb.open_run('run').assert_minimum(atleast=0.8)": "call-arg",
    "rb.open_run('run').assert_no_proven_drop(direction='down')": "arg-type",
    "rb.open_run('run').assert_noninferior(direction='down')": "arg-type",
    "rb.open_run('run').assert_retention('*')": "call-arg",
}


def test_the_wrong_calls_reach_every_public_name_and_every_method_of_a_run():
    import robustness as rb

    calls = "\n".join(WRONG_CALLS)
    names = [f"rb.{name}" for name in rb.__all__ if name != "__version__"]
    names += [f"rb.open_run('run').{name}" for name in dir(rb.Run) if not name.startswith("_")]
    assert [name for name in names if not re.search(rf"{re.escape(name)}\b", calls)] == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_an_outside_project_is_checked_against_the_wheel_and_wrong_calls_are_refused(
    installed: Environment, tmp_path: Path
):
    good, wrong = tmp_path / "good.py", tmp_path / "wrong.py"
    good.write_text(OUTSIDE_PROJECT, "utf-8")
    wrong.write_text("import robustness as rb\n" + "".join(f"{call}\n" for call in WRONG_CALLS), "utf-8")
    command = (sys.executable, "-m", "mypy", "--strict", "--python-executable", str(installed.python))
    options = ("--cache-dir", str(tmp_path / "cache"), "--config-file", os.devnull, "--no-error-summary")
    done = installed.run(*command, *options, str(good), str(wrong))
    lines = [line for line in done.stdout.splitlines() if ": error:" in line]
    assert [line for line in lines if "good.py" in line] == []
    for number, (call, code) in enumerate(WRONG_CALLS.items(), 2):
        assert any(f"wrong.py:{number}:" in line and f"[{code}]" in line for line in lines), f"{call}\n{done.stdout}"
