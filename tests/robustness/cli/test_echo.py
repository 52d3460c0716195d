"""What commands print: a name cannot begin a line of its own; --quiet and --verbose everywhere."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from robustness.cli import echo
from robustness.cli.main import app
from robustness.gates.judge import judge_gates, load_gates
from robustness.gates.output import github_lines, markdown, text_table
from tests.gate_runs import write_run


@pytest.fixture(autouse=True)
def normal_again():
    yield
    echo.set_verbosity(echo.NORMAL)


@pytest.mark.parametrize(
    "command", ["audit", "finetune", "study", "gate", "report", "verify", "replay", "split", "check"]
)
def test_every_command_takes_both(command):
    text = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"}).output
    assert "--quiet" in text
    assert "--verbose" in text


@pytest.mark.parametrize("print_line", [echo.echo, echo.warn, echo.note])
@pytest.mark.parametrize(
    "text", ["a\n::error::b", "a\r::error::b", "a\u2028::error::b", "a\x1b[2Jb", "a\x85b", "\ud800"]
)
def test_one_line_is_printed_as_one(print_line, text, capfd):
    print_line(text)
    out, err = capfd.readouterr()
    assert len((out + err).splitlines()) == 1
    assert "\x1b" not in out + err


def test_quiet_leaves_out_notes_but_no_result_and_no_warning(capfd):
    echo.set_verbosity(echo.QUIET)
    echo.echo("result")
    echo.warn("warning")
    echo.note("note")
    assert capfd.readouterr() == ("result\n", "warning\n")


def test_a_case_id_with_a_line_break_forges_no_annotation(tmp_path):
    run = write_run(tmp_path / "run")
    table = run.results().assign(case_id=lambda t: t["case_id"] + "\n::error::forged")
    run.folder.write_table(run.folder.part(0), table)
    (tmp_path / "gates.toml").write_text('[[gate]]\ntest = "drop_below"\ncondition = "image:blur@3"\nmargin = 0.001\n')
    judged = judge_gates(run, load_gates(tmp_path / "gates.toml"))
    assert judged[0].outcome != "pass"
    printed = "\n".join([*text_table(judged), *github_lines(judged), markdown(judged, run=tmp_path / "run")])
    assert "forged" in printed
    assert not [line for line in printed.splitlines() if line.strip().startswith("::error::forged")]
