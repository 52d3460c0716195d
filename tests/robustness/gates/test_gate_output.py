"""`robustness gate`: its table, files, annotations and exit codes."""

import json
import os
import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image as PILImage

from robustness.cli import main as cli
from tests.gate_runs import write_run

GATES = """
inconclusive = "warn"
[[gate]]
name = "size words stay harmless"
test = "drop_below"
condition = "antonym:size"
margin = 0.05
[[gate]]
name = "no | pipe, 100%: colon"
test = "drop_below"
condition = "antonym:*"
margin = 0.05
[[gate]]
test = "ignores"
attribute = "size"
[[gate]]
name = "only a warning"
test = "minimum"
at_least = 0.95
severity = "warn"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gate")
    write_run(folder / "old")
    write_run(folder / "new", seed=1, clean_shift=0.05)
    return folder


@pytest.fixture
def call(monkeypatch, capsys, folder, tmp_path):
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["robustness", "gate", str(folder / "new"), *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        captured = capsys.readouterr()
        return stopped.value.code, captured.out, captured.err

    return run


@pytest.fixture
def gates(tmp_path):
    (tmp_path / "gates.toml").write_text(GATES)


def test_the_table_is_aligned_and_explains_what_does_not_pass(call, gates):
    code, out, _ = call()
    assert code == 1
    lines = out.splitlines()
    heads = ["outcome", "gate", "condition", "estimate", "interval", "level", "margin", "subjects", "certified"]
    assert lines[0].split() == heads
    column = lines[0].index("condition")
    rows = [line for line in lines if line.startswith(("PASS", "FAIL", "INCONCLUSIVE"))]
    assert [row[column:].split()[0] for row in rows] == ["antonym:size", "antonym:side", "antonym:size", "clean"]
    assert [row.split("  ")[0] for row in rows] == ["PASS", "FAIL", "INCONCLUSIVE (warning)", "FAIL (warning)"]
    assert "    1 of 2 conditions fails; this is the worst" in lines
    assert any(line.startswith("    worst cases: c") for line in lines)
    assert lines[-1].startswith("next: robustness report ")


def test_json_holds_every_finding_of_every_gate(call, gates, tmp_path):
    assert call("--json", "out/gates.json")[0] == 1
    found = json.loads((tmp_path / "out" / "gates.json").read_text())
    assert found["holds"] is False
    assert [gate["outcome"] for gate in found["gates"]] == ["pass", "fail", "inconclusive", "fail"]
    assert [gate["blocks"] for gate in found["gates"]] == [False, True, False, False]
    cells = found["gates"][1]["found"]
    # Of two cells a pass has the interval of 1 - 2 alpha and a failure that of 1 - 2 alpha / 2.
    assert [(cell["outcome"], cell["level"]) for cell in cells] == [("fail", 0.95), ("pass", 0.9)]
    assert found["gates"][0]["found"][0]["level"] == 0.9
    assert [cell["condition"] for cell in cells] == ["antonym:side", "antonym:size"]
    assert cells[0]["n_subjects"] == 40
    assert found["gates"][2]["found"][0]["needed"] > 40


def test_every_interval_that_is_shown_says_its_level(call, gates):
    _, out, _ = call("--junit", "gates.xml")
    # Two claims share the error rate of the verdict that the third gate reads.
    rows = [line for line in out.splitlines() if line.startswith(("PASS", "FAIL", "INCONCLUSIVE"))]
    assert [re.search(r"\]  +(\S+)", row)[1] for row in rows] == ["90%", "95%", "95%", "90%"]
    sentences = re.findall(r"dice[^\n]*? (\[.*?\]) (.{0,16})", out + Path("gates.xml").read_text())
    assert {more for _, more in sentences} == {"(95% interval) (", "(90% interval) (", "(90% interval), "}


def test_github_annotations_escape_what_would_end_them(call, gates, tmp_path, monkeypatch):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    (tmp_path / "summary.md").write_text("before\n")
    _, out, _ = call("--github")
    commands = [line for line in out.splitlines() if line.startswith("::")]
    assert [command.split(" ")[0] for command in commands] == ["::error", "::warning", "::warning"]
    assert commands[0].startswith("::error title=fail%3A no | pipe%2C 100%25%3A colon::antonym:side: dice effect")
    assert "%0A" in commands[0]
    summary = (tmp_path / "summary.md").read_text()
    assert summary.startswith("before\n### Robustness gates: 1 of 4 gates do not hold\n")


@pytest.mark.parametrize("place", ["folder", "nothing/summary.md", "file/summary.md", "/dev/full", "pipe"])
def test_a_step_summary_that_cannot_be_written_is_one_line_after_the_verdict(place, call, gates, tmp_path, monkeypatch):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("x")
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / place))
    code, out, err = call("--github")
    assert code == 2
    assert "no | pipe, 100%: colon" in out
    assert "::error title=fail" in out
    (line,) = err.strip().splitlines()
    assert line.startswith("error: GITHUB_STEP_SUMMARY: expected a file that can be written to")


def test_without_a_step_summary_nothing_is_written(call, gates, tmp_path, monkeypatch):
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    call("--github")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["gates.toml"]


def test_markdown_is_one_table_whose_cells_hold_their_pipes(call, gates, tmp_path, folder):
    call("--markdown", "comment.md")
    lines = (tmp_path / "comment.md").read_text(encoding="utf-8").splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert len(table) == 2 + 4
    assert {line.replace("\\|", "").count("|") for line in table} == {10}
    assert any(line.startswith("**no \\| pipe, 100%: colon**: antonym:side") for line in lines)


def test_junit_says_what_was_skipped(call, gates, tmp_path):
    call("--junit", "gates.xml")
    suite = ElementTree.parse(tmp_path / "gates.xml").getroot()
    assert {k: suite.get(k) for k in ("tests", "failures", "skipped")} == {
        "tests": "4",
        "failures": "1",
        "skipped": "2",
    }


def test_exit_codes(call, tmp_path, folder):
    gate = '[[gate]]\ntest = "no_proven_drop"\n'
    (tmp_path / "gates.toml").write_text(gate)
    code, _, err = call("--baseline", folder / "new")
    assert (code, err.count("the baseline is the run itself")) == (0, 1)
    code, _, err = call("--baseline", folder / "old")
    assert (code, err.count("the baseline is the run itself")) == (1, 0)
    code, _, err = call()
    assert (code, err.count("\n")) == (2, 1)
    assert err.startswith("error: gate 'no_proven_drop': it compares with a baseline; use --baseline RUN")
    code, _, err = call("--baseline", "nowhere")
    assert (code, err.count("\n")) == (2, 1)
    assert call("--gates", "none.toml")[0] == 2


def test_save_baseline_then_compare_with_the_file(call, tmp_path, folder):
    code, out, _ = call("--save-baseline", "baselines/release")
    assert code == 0
    assert out.startswith("Baseline: ")
    assert sorted(p.name for p in (tmp_path / "baselines").iterdir()) == ["release.parquet", "release.toml"]
    (tmp_path / "gates.toml").write_text('[[gate]]\ntest = "noninferior"\nmargin = 0.02\n')
    code, out, _ = call("--baseline", "baselines/release.toml")
    assert code == 0
    assert out.splitlines()[1].startswith("PASS")


@pytest.mark.parametrize(
    ("command", "there", "says"),
    [
        ("report {run} --out {run}/manifest.json", "run/manifest.json", "which is a run's record"),
        ("report {run} --out {run}/plan.toml", "run/plan.toml", "which is a run's record"),
        ("report {run} --out plan.toml", "plan.toml", "a new file or one that ends in .html or .htm"),
        (
            "compare {run} again --out {run}/results/part-00000.parquet",
            "run/results/part-00000.parquet",
            "a run's record",
        ),
        ("gate {run} --json {run}/manifest.json", "run/manifest.json", "which is a run's record"),
        ("gate {run} --junit gates.toml", "gates.toml", "a new file or one that ends in .xml"),
        ("gate {run} --markdown plan.toml", "plan.toml", "one that ends in .md or .txt"),
        ("gate {run} --save-baseline {run}/effects", "run/effects.parquet", "which is a run's record"),
        ("gate {run} --save-baseline plan", "plan.toml", "a new name or that of a baseline"),
        ("split data.csv --folds 3 --out plan.toml", "plan.toml", "one that ends in .json"),
        ("check data.csv --html plan.toml", "plan.toml", "one that ends in .html"),
    ],
)
def test_no_output_replaces_a_record_or_another_kind(folder, tmp_path, monkeypatch, capsys, command, there, says):
    """`report RUN --out RUN/manifest.json` wrote a page over what the run's hashes stand in."""
    monkeypatch.chdir(tmp_path)
    for name in ("run", "again"):
        shutil.copytree(folder / "new", tmp_path / name)
    (tmp_path / "run/results/x.parquet").write_text("rows")
    (tmp_path / "gates.toml").write_text(GATES)
    (tmp_path / "plan.toml").write_text("seed = 1")
    names = [f"{n}.png" for n in range(12)]
    rows = "".join(f"{name},{name},a polyp,{name}\n" for name in names)
    (tmp_path / "data.csv").write_text("image,mask,prompt,subject\n" + rows)
    for name in names:
        PILImage.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / name)
    before = (tmp_path / there).read_bytes()
    monkeypatch.setattr("sys.argv", ["robustness", *command.format(run="run").split()])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 2
    assert says in " ".join(capsys.readouterr().err.split())
    assert (tmp_path / there).read_bytes() == before
