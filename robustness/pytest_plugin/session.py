"""End of a test session: save, update, compare, report. Only the controlling process does it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from robustness.errors import InputError
from robustness.files import write_text
from robustness.gates.baselines import is_baseline, open_earlier, save_baseline
from robustness.gates.expressions import parse_expression
from robustness.gates.spec import Gates, GateSpec
from robustness.pytest_plugin.settings import ASSERTED, RUNS, UPDATED, baselines_folder, in_root
from robustness.workflows.run import Run

if TYPE_CHECKING:
    from robustness.gates.judge import Judged

_OUTPUT = "robustness"


class RobustnessSession:
    """The runs that a session used, from all workers, and what is done with them."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._lines: list[str] = []
        self._failed = False
        try:
            self._expressions = [parse_expression(text) for text in config.getoption("robustness_compare_fail")]
        except InputError as error:
            raise pytest.UsageError(str(error)) from error
        report = config.getoption("robustness_report")
        if report and Path(report).suffix not in (".html", ".md", ".json"):
            raise pytest.UsageError(f"--robustness-report: expected a file .html, .md or .json, got {report!r}")

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take over what a worker of pytest-xdist used."""
        sent = getattr(node, "workeroutput", {}).get(_OUTPUT, {})
        self._config.stash.setdefault(RUNS, {}).update(sent.get("runs", {}))
        self._config.stash.setdefault(ASSERTED, []).extend(sent.get("asserted", []))
        updated = {Path(file): Path(run) for file, run in sent.get("updated", {}).items()}
        self._config.stash.setdefault(UPDATED, {}).update(updated)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Save, compare and report; an expression that holds fails the session."""
        runs, asserted = self._config.stash.get(RUNS, {}), self._config.stash.get(ASSERTED, [])
        if hasattr(self._config, "workeroutput"):
            updated = {str(file): str(run) for file, run in self._config.stash.get(UPDATED, {}).items()}
            self._config.workeroutput[_OUTPUT] = {"runs": runs, "asserted": asserted, "updated": updated}
            return
        try:
            self._finish({path: runs[path] for path in sorted(runs)}, asserted)
        except InputError as error:
            self._lines.append(f"error: {error}")
            self._failed = True
        if self._failed and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print what was done."""
        if self._lines:
            terminalreporter.section("robustness")
            for line in self._lines:
                terminalreporter.write_line(line)

    def _finish(self, runs: dict[str, str], asserted: list[dict[str, Any]]) -> None:
        option = self._config.getoption
        if not runs and (option("robustness_save") or option("robustness_compare")):
            self._lines.append("no run was used: nothing to save or compare")
        update = option("robustness_compare") if option("robustness_update") else None
        for name in dict.fromkeys(filter(None, (option("robustness_save"), update))):
            for path, label in runs.items():
                saved = save_baseline(Run(path), self._file(name, label, alone=len(runs) == 1))
                self._lines.append(f"saved {label} as {saved}")
        if option("robustness_update"):
            self._say_updated()
        if option("robustness_compare") and not update:
            for path, label in runs.items():
                self._compare(Run(path), label, alone=len(runs) == 1)
        if option("robustness_report"):
            self._report(in_root(self._config, option("robustness_report")), runs, asserted)

    def _say_updated(self) -> None:
        """Say which baselines the assertions wrote, and from which run."""
        from robustness.gates.output import typed_path

        updated = self._config.stash.get(UPDATED, {})
        self._lines += [f"updated {typed_path(file)} from {typed_path(run)}" for file, run in sorted(updated.items())]
        if not self._lines:
            self._lines.append("--robustness-update: no assertion compares with a baseline file, nothing was written")

    def _file(self, name: str, label: str, *, alone: bool) -> Path:
        """Return a baseline's file: NAME where the session has one run, else NAME-LABEL."""
        return baselines_folder(self._config) / (f"{name}.toml" if alone else f"{name}-{label}.toml")

    def _compare(self, run: Run, label: str, *, alone: bool) -> None:
        name = self._config.getoption("robustness_compare")
        file = self._file(name, label, alone=alone)
        if not is_baseline(file):
            raise InputError(
                f"--robustness-compare: expected a baseline, found none at {str(file)!r}; save it with "
                f"--robustness-save {name}"
            )
        from robustness.gates.output import text_table, typed_path
        from robustness.run_integrity import other_rules

        judged = _judged(run, file, [*_shown(), *self._expressions])
        other = other_rules(run.manifest, open_earlier(file).manifest, names=("run", "baseline"))
        self._lines += [f"{typed_path(run.path)} against {typed_path(file)}", *text_table(judged)]
        self._lines += [f"warning: {other}"] if other else []
        self._failed |= any(one.blocks for one in judged)

    def _report(self, file: Path, runs: dict[str, str], asserted: list[dict[str, Any]]) -> None:
        if file.suffix == ".html":
            if not runs:
                raise InputError("--robustness-report: no run was used, so there is nothing to report")
            from robustness.reports.html.page import write_report

            write_report([Path(path) for path in runs], file)
        else:
            write_assertions(asserted, file)
        self._lines.append(f"report: {file}")


def _shown() -> list[GateSpec]:
    """Return the comparisons that are always printed and never fail the session."""
    return [
        GateSpec(name="clean", test="no_proven_drop", severity="warn"),
        GateSpec(name="every condition", test="no_proven_drop", condition="*", severity="warn"),
    ]


def _judged(run: Run, file: Path, gates: list[GateSpec]) -> list[Judged]:
    from robustness.gates.judge import judge_gates

    return judge_gates(run, Gates(inconclusive="warn", gate=gates), baseline=open_earlier(file))


def write_assertions(asserted: Sequence[dict[str, Any]], file: Path) -> None:
    """Write one entry per assertion, in the order of the tests' names."""
    ordered = sorted(asserted, key=lambda row: (row["test"], row["name"]))
    if file.suffix == ".json":
        write_text(file, json.dumps(ordered, indent=1, ensure_ascii=False) + "\n")
        return
    lines = ["| test | assertion | outcome | found |", "|---|---|---|---|"]
    for row in ordered:
        cells = (row["test"], row["gate"]["test"], row["outcome"], row["message"])
        lines.append("| " + " | ".join(_cell(cell) for cell in cells) + " |")
    write_text(file, "\n".join(lines) + "\n")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*").replace("\n", " ")
