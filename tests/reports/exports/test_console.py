"""The summary of a run on the console: short, and with the numbers of its tables."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from robustness.reports.exports.console import WIDTH, run_summary, run_warnings
from robustness.workflows.run import open_run
from tests.reports.make_run import IGNORES_ALL, make_run


def test_it_says_score_counts_verdicts_and_the_worst_finding(run_folders: list[Path]) -> None:
    lines = run_summary(run_folders[0])
    text = "\n".join(lines)
    rows = pd.concat([pd.read_parquet(p) for p in (run_folders[0] / "results").glob("*.parquet")])
    clean = rows[rows["condition"] == "clean"].groupby("subject_id")["dice"].mean().mean()
    score = float(re.search(r"clean Dice ([\d.]+) \[", text).group(1))
    assert abs(score - clean) < 6e-4
    assert re.search(r"\d+ as expected( \(\d+\*\))?, \d+ not as expected", text)
    assert "follows side" in text
    assert "breaks under" in text
    assert "untested made by the test: UNTESTABLE (1 claim)" in text
    assert "worst    FRAGILE under gaussian noise, severity 5 (harm 0." in text
    assert len(lines) <= 12


def test_it_stays_short_for_many_models(tmp_path: Path) -> None:
    sizes = {"n_images": 4, "severities": (1,), "pictures": 0}
    runs = [make_run(tmp_path / str(i), IGNORES_ALL, model=f"net-{i}", **sizes) for i in range(4)]
    lines = run_summary(runs)
    assert len(lines) <= 20
    assert sum("clean Dice" in line for line in lines) == 4


def test_lines_are_cut_for_a_terminal(run_folders: list[Path]) -> None:
    assert all(len(line) <= WIDTH + 40 for line in run_summary(run_folders))


def test_warnings_are_few_and_name_how_many_more_there_are(run_folders: list[Path]) -> None:
    assert len(run_warnings(run_folders[0])) == 3
    lines = run_warnings(run_folders[0], most=2)
    assert len(lines) == 2
    assert lines[-1] == "2 more stand on the report's first screen"


def test_printing_a_run_is_its_summary(run_folders: list[Path]) -> None:
    run = open_run(run_folders[0])
    assert str(run).splitlines() == [repr(run), *run_summary(run_folders[0])]


def test_an_unfinished_run_can_be_printed(tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text('[model]\nname = "x"\n[data]\npath = "y"\n', encoding="utf-8")
    assert "expected a finished run" in str(open_run(tmp_path))
