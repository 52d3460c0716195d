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


def test_listing_models_with_their_preparation_loads_no_transformers():
    code = (
        "from typer.testing import CliRunner\nfrom robustness.cli.main import app\n"
        "assert CliRunner().invoke(app, ['list', 'models']).exit_code == 0"
    )
    assert loaded_by(code) & {"transformers", "sklearn", "scipy", "monai", "open_clip"} == set()


# torch stays: image changes are computed with it, and predictions are cut and resized by it.
OF_NETWORKS = HEAVY - {"torch", "scipy", "plotly", "statsmodels"} | {"timm", "huggingface_hub"}

AUDIT = """
import csv, tempfile
from pathlib import Path
import numpy as np
import robustness as rb
from PIL import Image

folder = Path(tempfile.mkdtemp())
plan = folder / "plan.toml"
plan.write_text(f'''
[model]
name = "vendor"
threshold = 0.5
[data]
path = "{rb.demo_data("brain")}"
prompt = "p6"
subject = "image"
limit = 3
[perturbations]
image = {{ kinds = "modality", severities = [3] }}
[statistics]
resamples = 99
''')
def bright(images, prompts):
    return [(image.mean(axis=2) > 127).astype(np.float32) for image in images]
"""
DOORS = {
    "a function": """
kinds = ["antonym", "rare", "drop", "paraphrase", "other", "empty", "wrong_class", "image"]
data = rb.load_dataset(rb.demo_data("brain"), prompt="p6", subject="image", limit=3)
options = {"severities": [3], "statistics": {"resamples": 99}, "out": folder / "run"}
rb.audit(rb.segmenter(bright, name="vendor"), data, perturbations=kinds, **options)
""",
    "stored predictions": """
rb.export(plan, folder / "out")
(folder / "answers").mkdir()
for row in csv.DictReader((folder / "out/public/manifest.csv").open()):
    image = np.asarray(Image.open(folder / "out/public" / row["image"]).convert("RGB"))
    answer = bright([image], [row["prompt"]])[0].astype(np.uint8) * 255
    Image.fromarray(answer).save(folder / "answers" / (row["id"] + ".png"))
rb.score(folder / "out", folder / "answers", out=folder / "run", label="vendor")
""",
}


@pytest.mark.slow
@pytest.mark.parametrize("door", DOORS)
def test_an_audit_without_a_network_loads_no_library_of_networks(door: str, tmp_path: Path, monkeypatch):
    # Every default prompt change and every MRI shift. WordNet, where a machine has it, is read through nltk.
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.delenv("NLTK_DATA", raising=False)
    check = "\nassert (folder / 'run' / 'manifest.json').is_file()"
    loaded = loaded_by(AUDIT + DOORS[door] + check)
    system = any(Path(place, "nltk_data", "corpora").is_dir() for place in ("/usr/share", "/usr/local/share"))
    assert loaded & (OF_NETWORKS - ({"nltk", "wordfreq", "sklearn"} if system else set())) == set()
    assert "torch" in loaded


@pytest.mark.slow
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
