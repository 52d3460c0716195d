"""The same content as Markdown and JSON."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

from robustness.reports.data.datatable import inert
from robustness.reports.data.run_tables import read_runs
from robustness.reports.exports.console import WIDTH, run_summary, run_warnings
from robustness.reports.exports.summary import write_summary
from robustness.reports.html.page import write_report
from robustness.workflows.run import open_run
from tests.gate_runs import seal
from tests.reports.make_run import IGNORES_ALL, make_run


@pytest.mark.slow
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


@pytest.mark.slow
def test_the_regulatory_summary_has_fifteen_sections_and_its_blanks(run_folders: list[Path], tmp_path: Path) -> None:
    text = write_summary(run_folders, tmp_path / "s", edition="regulatory")[0].read_text(encoding="utf-8")
    assert [f"\n## {n} " in text for n in range(1, 16)] == [True] * 15
    assert text.count("To be filled in by the submitter") > 15
    assert "compliant with" not in text


@pytest.mark.slow
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


def test_it_says_score_counts_verdicts_and_the_worst_finding(run_folders: list[Path]) -> None:
    lines = run_summary(read_runs(run_folders[0]))
    text = "\n".join(lines)
    rows = pd.concat([pd.read_parquet(p) for p in (run_folders[0] / "results").glob("*.parquet")])
    clean = rows[rows["condition"] == "clean"].groupby("subject_id")["dice"].mean().mean()
    score = float(re.search(r"clean Dice ([\d.]+) \[", text).group(1))
    assert abs(score - clean) < 6e-4
    assert re.search(r"\d+ as expected( \(\d+\*\))?, \d+ not as expected", text)
    assert "follows side" in text
    assert "breaks by Dice from severity 3 under gaussian noise" in " ".join(text.split())
    assert "untested made by the test: UNTESTABLE (1 claim)" in text
    assert "worst    FRAGILE under gaussian noise, severity 5 (Dice lost 0." in text
    assert len(lines) <= 12


@pytest.mark.slow
def test_it_stays_short_for_many_models(tmp_path: Path) -> None:
    sizes = {"n_images": 4, "severities": (1,), "pictures": 0}
    runs = [make_run(tmp_path / str(i), IGNORES_ALL, model=f"net-{i}", **sizes) for i in range(4)]
    lines = run_summary(read_runs(runs))
    assert len(lines) <= 20
    assert sum("clean Dice" in line for line in lines) == 4


def test_lines_are_cut_for_a_terminal(run_folders: list[Path]) -> None:
    assert all(len(line) <= WIDTH + 40 for line in run_summary(read_runs(run_folders)))


def test_warnings_are_few_and_name_how_many_more_there_are(run_folders: list[Path]) -> None:
    assert len(run_warnings(read_runs(run_folders[0]))) == 3
    lines = run_warnings(read_runs(run_folders[0]), most=2)
    assert len(lines) == 2
    assert lines[-1] == "2 more stand on the report's first screen"


def test_printing_a_run_is_its_summary(run_folders: list[Path]) -> None:
    run = open_run(run_folders[0])
    assert str(run).splitlines() == [repr(run), *run_summary(read_runs(run_folders[0]))]


def test_an_unfinished_run_can_be_printed(tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text('[model]\nname = "x"\n[data]\npath = "y"\n', encoding="utf-8")
    assert "expected a finished run" in str(open_run(tmp_path))


def test_a_class_that_is_not_heeded_is_said_once_and_not_called_undecided(
    run_folders: list[Path], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(run_folders[0], folder)
    effects, verdicts = (pd.read_parquet(folder / name) for name in ("effects.parquet", "verdicts.parquet"))
    at = (effects["condition"] == "wrong_class") & (effects["metric"] == "dice")
    effects.loc[at, ["effect", "ci_low", "ci_high"]] = 0.004, 0.002, 0.006
    verdicts.loc[verdicts["condition"] == "wrong_class", "verdict"] = "INCONCLUSIVE"
    effects.to_parquet(folder / "effects.parquet")
    verdicts.to_parquet(folder / "verdicts.parquet")
    seal(folder)
    words = re.search(r"  words (.*?)  changes", " ".join(run_summary(read_runs(folder))))
    assert words is not None
    assert "does not heed the class that is asked for, by Dice" in words[1]
    assert "target" not in words[1]


def changed_run(source: Path, folder: Path, which: str) -> Path:
    """Copy a run and make it odd: `which` names how."""
    shutil.copytree(source, folder)
    tables = [folder / "effects.parquet", folder / "verdicts.parquet", *sorted((folder / "results").glob("*.parquet"))]
    for path in tables:
        table = pd.read_parquet(path)
        rows, verdicts = path.parent.name == "results", path.name == "verdicts.parquet"
        if which == "all untestable" and verdicts:
            table = table.assign(verdict="UNTESTABLE")
        elif which == "one patient" and rows:
            table = table.assign(subject_id="p1")
        elif which == "every row failed" and rows:
            table = table.assign(error="out of memory", dice=float("nan"), iou=float("nan"), mask_change=float("nan"))
        elif which == "a name that turns the line":
            table = table.assign(model="net \u202e of \u05d7\u05d9\u05e4\u05d4\n::error::x")
        elif which == "a very long name":
            table = table.assign(model="checkpoint-" * 30)
        if (which == "no verdicts" and verdicts) or (which == "every row failed" and not rows):
            table = table.iloc[:0]
        table.to_parquet(path)
    return seal(folder)


@pytest.mark.slow
@pytest.mark.parametrize(
    "which",
    [
        "no verdicts",
        "all untestable",
        "one patient",
        "every row failed",
        "a name that turns the line",
        "a very long name",
    ],
)
def test_odd_runs_say_the_same_on_the_page_in_the_terminal_and_in_json(
    run_folders: list[Path], tmp_path: Path, which: str
) -> None:
    run = changed_run(run_folders[0], tmp_path / "run", which)
    first = next(line for line in run_summary(read_runs(run)) if ": clean Dice " in line)
    page = write_report(run, tmp_path / "page.html").read_text(encoding="utf-8")
    stored = json.loads(write_summary([run], tmp_path / "page.html")[1].read_text(encoding="utf-8"))
    (overview,) = stored["overviews"]
    counts = {o["words"]: (o["n"], o["uncertified"]) for o in overview["outcomes"] if o["name"]}
    strip = page.partition('<div class="strip">')[2].partition('<p class="fine">')[0]
    strip = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", strip))
    assert overview["score"] in first
    assert overview["score"] in strip
    assert "\u202e" not in first + page
    assert "\n" not in first
    if any(n for n, _ in counts.values()):
        for words, (n, uncertified) in counts.items():
            told = f"{n} {words}" + (f" ({uncertified}*)" if uncertified else "")
            assert told in first
            assert told in strip
    else:
        assert which in ("no verdicts", "every row failed")
        assert "nothing was judged" in first
        assert "nothing was judged" in strip
        assert "0 not as expected" not in first + strip
    if which == "one patient":
        assert overview["score"].endswith("(no interval), 1 image")
