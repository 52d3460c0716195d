"""The same content as Markdown and JSON."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import pandas as pd

from robustness.reports.data.datatable import inert
from robustness.reports.exports.summary import write_summary
from tests.reports.make_run import make_run
from tests.sealed_runs import seal


def test_markdown_and_json_tell_the_same(run_folders: list[Path], tmp_path: Path) -> None:
    text_path, json_path, *tables = write_summary(run_folders, tmp_path / "new" / "summary.html")
    assert (text_path.name, json_path.name) == ("summary.md", "summary.json")
    stored = pd.concat([pd.read_parquet(f / "effects.parquet") for f in run_folders])
    written = pd.read_csv(next(p for p in tables if p.name == "summary-effects.csv"))
    assert written["effect"].tolist() == stored["effect"].tolist()
    report = json.loads(json_path.read_text(encoding="utf-8"))
    text = text_path.read_text(encoding="utf-8")
    for block in report["attributes"]:
        for line in block["lines"]:
            for claim in filter(None, line["claims"]):
                verdict = claim["verdict"].replace("*", "\\*")
                assert f"| {line['words']} | {claim['series']} | {verdict} |" in text
    assert "not the patient" in text


def test_the_regulatory_summary_has_fifteen_sections_and_its_blanks(run_folders: list[Path], tmp_path: Path) -> None:
    text = write_summary(run_folders, tmp_path / "s", edition="regulatory")[0].read_text(encoding="utf-8")
    assert [f"\n## {n} " in text for n in range(1, 16)] == [True] * 15
    assert text.count("To be filled in by the submitter") > 15
    assert "compliant with" not in text


def test_markdown_keeps_markup_as_text(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", n_images=3, severities=(1,), pictures=0, model="<b>n|et</b>")
    text = write_summary(run, tmp_path / "s")[0].read_text(encoding="utf-8")
    assert "<b>" not in text
    assert "&lt;b&gt;n\\|et&lt;/b&gt;" in text


def test_no_cell_of_a_csv_is_a_formula() -> None:
    frame = pd.DataFrame({"text": ["=1+1", "+1", "-x", "@a", "\tb", "plain", None], "number": [-1.5, 0, 1, 2, 3, 4, 5]})
    kept = inert(frame)
    assert list(kept["text"][:5]) == ["'=1+1", "'+1", "'-x", "'@a", "'\tb"]
    assert kept["text"][5] == "plain"
    assert list(kept["number"]) == list(frame["number"])


def test_a_model_with_the_name_of_a_formula_stays_a_text(run_folders: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(run_folders[0], folder)
    for part in (folder / "results").iterdir():
        pd.read_parquet(part).assign(model="=HYPERLINK(1)").to_parquet(part)
    for name in ("effects.parquet", "verdicts.parquet"):
        pd.read_parquet(folder / name).assign(model="=HYPERLINK(1)").to_parquet(folder / name)
    seal(folder)
    tables = [path for path in write_summary(folder, tmp_path / "page.html") if path.suffix == ".csv"]
    assert tables
    cells = [cell for path in tables for row in csv.reader(io.StringIO(path.read_text(), newline="")) for cell in row]
    assert "'=HYPERLINK(1)" in cells
    assert not [cell for cell in cells if cell.startswith("=")]
