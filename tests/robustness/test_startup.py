"""What is loaded when: a look at `sys.modules` of a fresh process, which no machine's speed can blur."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAVY = {
    "IPython",
    "lightning",
    "matplotlib",
    "monai",
    "nltk",
    "open_clip",
    "plotly",
    "ray",
    "scipy",
    "sklearn",
    "segmentation_models_pytorch",
    "statsmodels",
    "torch",
    "torchvision",
    "transformers",
    "wordfreq",
}


def loaded_by(code: str) -> set[str]:
    """Return the top-level modules that a fresh interpreter holds after `code`."""
    script = f"import sys, json\n{code}\nprint(json.dumps(sorted({{m.split('.')[0] for m in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_importing_the_package_loads_nothing_but_the_standard_library():
    # What a bare interpreter holds is left out: editable installs of other packages hook in at its start.
    assert loaded_by("import robustness") - loaded_by("") <= {"robustness", *sys.stdlib_module_names}


@pytest.mark.parametrize(
    "code",
    [
        "from robustness import Case, Prompt, PERTURBATIONS, METRICS, MODELS",
        "from robustness import Plan, load_plan",
        "from robustness import PERTURBATIONS; PERTURBATIONS.names()",
        "from robustness import METRICS; METRICS.names()",
        "from robustness import parse_prompt; parse_prompt('one small polyp')",
    ],
)
def test_light_work_loads_no_heavy_library(code: str):
    assert loaded_by(code) & HEAVY == set()


def test_help_loads_neither_heavy_libraries_nor_tables():
    code = (
        "from typer.testing import CliRunner\nfrom robustness.cli.main import app\nCliRunner().invoke(app, ['--help'])"
    )
    assert loaded_by(code) & (HEAVY | {"pandas", "pyarrow"}) == set()


def test_every_public_name_can_be_had_and_no_other():
    code = """
import robustness
missing = [name for name in robustness.__all__ if getattr(robustness, name, None) is None]
assert not missing, missing
assert set(robustness.__all__) <= set(dir(robustness))
try:
    robustness.no_such_name
except AttributeError as error:
    assert "no_such_name" in str(error)
else:
    raise AssertionError("an unknown name was found")
"""
    assert "torch" in loaded_by(code)


def test_public_names_are_unique():
    import robustness

    # ruff's RUF022 keeps them sorted.
    assert len(robustness.__all__) == len(set(robustness.__all__))
