"""The documents keep to the word list of docs/words.md, and the notebook runs from its first to its last cell."""

import os
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "examples" / "notebook" / "first_audit.ipynb"
LIST = ROOT / "docs" / "words.md"
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
CODE = re.compile(r"```.*?```|`[^`]*`", re.DOTALL)


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
