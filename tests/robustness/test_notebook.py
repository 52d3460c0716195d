"""The notebook runs from its first to its last cell, as a reader would run it."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "examples" / "notebook" / "first_audit.ipynb"


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
