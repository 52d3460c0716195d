"""The documents say what is: commands exist, examples run, the reference page is current, words keep to the list."""

from __future__ import annotations

import ast
import doctest
import importlib
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("perturb", "metrics", "runners", "reports")
NOTEBOOK = ROOT / "examples" / "notebook" / "first_audit.ipynb"
LIST = ROOT / "docs" / "words.md"
CODE = re.compile(r"```.*?```|`[^`]*`", re.DOTALL)
DOCUMENTS = [*(ROOT / name for name in ("README.md", "CONTRIBUTING.md")), *sorted((ROOT / "docs").rglob("*.md"))]
# Files that run commands, whose paths nothing else reads.
RECIPES = [ROOT / "Makefile", ROOT / ".ci" / "run"]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)

# What each example of CONTRIBUTING.md must do once it is a module, by the path in its first line.
USES = {
    "perturb/image/intensity/vertical_gradient.py": """
import numpy as np
from robustness import Case, PERTURBATIONS, Prompt
(entry,) = PERTURBATIONS.get("vertical_gradient").expand(None)
image = np.full((8, 8, 3), 100, np.uint8)
case = Case("a", "a", image, np.ones((8, 8), bool), Prompt("one polyp"))
strong = entry.apply(case, entry.draw(case, 5, np.random.default_rng(0))).image
assert strong.shape == image.shape and strong.dtype == image.dtype
assert abs(int(strong[0, 0, 0]) - int(strong[-1, 0, 0])) == 100
assert (entry.apply(case, entry.draw(case, 0, np.random.default_rng(0))).image == image).all()
""",
    "metrics/scores/volume_similarity.py": """
import numpy as np
from robustness import METRICS
from robustness.metrics.scores.pair import MaskPair
metric = METRICS.get("volume_similarity")()
one, two = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
one[0, :2], two[3, :2] = True, True
assert metric(MaskPair(one, two)) == 1
two[2] = True
assert metric(MaskPair(one, two)) == 0.5
""",
    "runners/models/threshold_net.py": """
import numpy as np, torch
from robustness import load_model
model = load_model("threshold-net", image_size=16)
code = model.encode_image([np.zeros((8, 8, 3), np.uint8)])
(map_,) = model.probabilities(code, model.encode_text(["one polyp"]), [(8, 8)])
assert map_.shape == (8, 8) and 0 <= map_.min() <= map_.max() <= 1
assert model.network(torch.zeros(2, 3, 16, 16)).shape == (2, 1, 16, 16)
""",
    "reports/figures/reference_size.py": """
import tempfile
from dataclasses import replace
from pathlib import Path
from robustness.reports.data.frames import merge
from robustness.reports.data.gallery import Gallery
from robustness.reports.data.run_tables import read_runs
from robustness.reports.figures.catalogue import draw
from robustness.reports.figures.plots import plot_kinds
from robustness.reports.html.page import render
from robustness.reports.sections.report import build
from tests.reports.make_run import make_run
(run,) = read_runs(make_run(Path(tempfile.mkdtemp()) / "run", n_images=4, severities=(1, 5), pictures=1))
def page(run, edition="auditor"):
    report = build([run], gallery=Gallery, edition=edition)
    return report, render(report, merge([run]), Gallery())
assert "Small and large references" not in page(run)[1]
sized = replace(run, results=run.results.assign(reference_fraction=0.25))
report, html = page(sized)
assert "Small and large references" in html
for html in (html, page(sized, "regulatory")[1]):
    assert 'data-figure="reference_size"' in html
(figure,) = (f for f in report.figures if f.family == "reference_size")
assert set(draw(figure, merge([sized])).data[0].x) == {0.25}
assert "reference_size" in plot_kinds()
""",
    "robustness/gates/criteria/rare_loss.py": """
import tempfile
from pathlib import Path
from robustness.errors import InputError
from tests.gate_runs import write_run
folder = Path(tempfile.mkdtemp())
run = write_run(folder / "run")
def row(gate):
    (folder / "gates.toml").write_text('[[gate]]\\ntest = "rare_loss"\\n' + gate)
    return run.gate(folder / "gates.toml").iloc[0]
assert row('condition = "antonym:side"\\nmargin = 0.1\\nat_most = 0.1').outcome == "fail"
assert row('condition = "paraphrase"\\nmargin = 0.1\\nat_most = 0.1').outcome == "pass"
try:
    row('condition = "paraphrase"\\nmargin = 0.1')
except InputError as error:
    assert "rare_loss needs at_most" in str(error)
else:
    raise AssertionError("a gate without its limit was judged")
""",
}


def blocks(document: Path, language: str) -> list[str]:
    return [body for found, body in BLOCK.findall(document.read_text("utf-8")) if found == language]


def examples() -> dict[str, str]:
    return {body.splitlines()[0].removeprefix("# "): body for body in blocks(ROOT / "CONTRIBUTING.md", "python")}


def modules() -> list[str]:
    """Return the modules whose docstrings hold examples."""
    names = []
    for folder in ("robustness", *ROOMS):
        for file in sorted((ROOT / folder).rglob("*.py")):
            if ">>>" in file.read_text("utf-8"):
                inside = file.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
                names.append(inside if folder == "robustness" else f"robustness.{inside}")
    return [name.removesuffix(".__init__") for name in names]


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_make_command_of_a_document_is_a_target(document: Path):
    shell = "\n".join([*blocks(document, "bash"), *re.findall(r"`(make [^`]*)`", document.read_text("utf-8"))])
    named = set(re.findall(r"\bmake (?:[A-Z]+=\S+ )*([a-z][a-z-]*)", shell))
    assert named <= make_targets()


def test_every_target_is_shown_by_help_and_declared_phony():
    text = (ROOT / "Makefile").read_text("utf-8")
    shown = set(re.findall(r"^([a-z-]+):.*##", text, re.MULTILINE))
    phony = set(re.search(r"^\.PHONY: (.*)", text, re.MULTILINE)[1].split())
    assert shown == phony == make_targets()
    assert {"demo", "test", "check", "docs", "clean", "help"} <= shown


def test_continuous_integration_calls_the_readmes_test_command():
    assert any("make test" in block for block in blocks(ROOT / "README.md", "bash"))
    assert "make test" in (ROOT / ".ci" / "run").read_text("utf-8").splitlines()


@pytest.mark.parametrize("document", [*RECIPES, *DOCUMENTS], ids=lambda path: path.name)
def test_every_script_that_a_recipe_or_document_names_is_there(document: Path):
    named = re.findall(
        r"(?<![\w/.-])(?:tests|benchmarks|findings|\.ci)/[\w./-]*\w\.(?:py|sh)", document.read_text("utf-8")
    )
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_the_classes_that_continuous_integration_selects_are_there():
    runs = re.findall(r"(tests/\S+\.py) -k (\w+)", (ROOT / ".ci" / "run").read_text("utf-8"))
    assert runs
    assert [name for path, name in runs if f"class {name}:" not in (ROOT / path).read_text("utf-8")] == []


def test_reference_page_is_the_commands_own_help(tmp_path: Path):
    page = tmp_path / "cli.md"
    script = ROOT / ".ci" / "cli_docs.py"
    done = subprocess.run(
        [sys.executable, str(script), str(page)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    kept = ROOT / "docs" / "cli.md"
    assert kept.read_text("utf-8") == page.read_text("utf-8"), "run 'make docs'"


def test_every_command_is_documented_and_explains_itself():
    import typer.main

    from robustness.cli.main import app

    text = "\n".join(document.read_text("utf-8") for document in DOCUMENTS)
    for name, command in typer.main.get_command(app).commands.items():
        assert f"robustness {name}" in text
        assert command.help, f"{name} has no help"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_code_of_a_document_is_well_formed_and_names_what_exists(document: Path):
    import robustness

    for code in blocks(document, "python"):
        tree = ast.parse(code)
        used = {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute) and ast.unparse(n.value) == "rb"}
        assert used <= set(robustness.__all__)
    for code in blocks(document, "toml"):
        assert tomllib.loads(code)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_local_link_leads_somewhere(document: Path):
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", document.read_text("utf-8"))
    missing = [link for link in links if "://" not in link and not (document.parent / link).exists()]
    assert missing == []


def test_contributing_shows_one_file_for_each_registry():
    assert examples().keys() == USES.keys()


@pytest.mark.slow
@pytest.mark.parametrize("path", USES)
def test_example_of_contributing_runs_and_is_clean(path: str, tmp_path: Path):
    file = tmp_path / Path(path).name
    file.write_text(examples()[path], "utf-8")
    code = f"import sys; sys.path.insert(1, {str(tmp_path)!r}); import {file.stem}\n{USES[path]}"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lint = [sys.executable, "-m", "ruff", "check", "--no-cache", "--config", str(ROOT / "pyproject.toml"), str(file)]
    done = subprocess.run(lint, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", modules())
def test_examples_in_docstrings_hold(name: str):
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.failed == 0


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path: Path):
    pytest.importorskip("mkdocs", reason="the site is built with the dev extra")
    typed = subprocess.run(
        [sys.executable, str(ROOT / ".ci" / "typed_tree.py"), str(ROOT / "build" / "typed")], check=False
    )
    assert typed.returncode == 0
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    for page in ("index", "tutorials/ten-minutes", "reference/api", "reference/perturbations", "changelog"):
        assert (tmp_path / "site" / f"{page}.html").is_file()
    listed = re.findall(r'<h2 id="([^"]+)"', (tmp_path / "site" / "findings.html").read_text("utf-8"))
    assert [name.replace("-", "_") for name in listed] == sorted(f.stem for f in (ROOT / "findings").glob("*.sh"))
    command = [sys.executable, str(ROOT / ".ci" / "site_check.py"), str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ", broken 0\n" in done.stdout


def avoided():
    """Return the words of the list's last column."""
    rows = [line.strip("| \n").split("|") for line in LIST.read_text(encoding="utf-8").splitlines() if line[:1] == "|"]
    return [word.strip() for row in rows[2:] if len(row) == 3 for word in row[2].split(",") if word.strip()]


def uses(text, words):
    """Return the words of a list that a text uses outside of code."""
    plain = CODE.sub(" ", text)
    return [word for word in words if re.search(rf"\b{re.escape(word)}s?\b", plain, re.IGNORECASE)]


def test_the_list_has_words_and_finds_them():
    words = avoided()
    assert len(words) > 5
    assert uses("A picture of `slack`; two second referents.", words) == ["picture", "second referent"]


def test_no_document_uses_a_word_that_the_list_avoids():
    words = avoided()
    texts = {path.relative_to(ROOT): path.read_text(encoding="utf-8") for path in DOCUMENTS if path != LIST}
    assert {path: used for path, text in texts.items() if (used := uses(text, words))} == {}


@pytest.mark.slow
# Jupyter's own notes about its folders and its transport are no concern of this package.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::RuntimeWarning", "ignore::ResourceWarning")
def test_the_notebook_runs_and_shows_what_it_says(monkeypatch):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells)
    nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3").execute()
    cells = {cell["id"]: cell for cell in notebook.cells}
    text = {name: "".join(output.get("text", "") for output in cell.get("outputs", [])) for name, cell in cells.items()}
    assert "film-unet" in text["load"]
    assert "follows the side words" in text["verdicts"]
    assert "fail" in text["gate"].lower()
    drawn = [output["data"] for name in ("look", "plot") for output in cells[name]["outputs"] if "data" in output]
    assert sum("application/vnd.plotly.v1+json" in data for data in drawn) == 2
