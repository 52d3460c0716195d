"""Output of the gates: a table for the terminal, Markdown for a pull request, GitHub's annotations, JSON."""

from __future__ import annotations

import json
import math
import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from robustness.errors import InputError, escaped
from robustness.files import write_text
from robustness.gates.criterion import criterion_of
from robustness.gates.findings import Finding
from robustness.gates.judge import Judged
from robustness.metrics.inference.intervals import level_of
from robustness.regular_files import check_regular, shown_path

_SIGNS = {"pass": "✅", "fail": "❌", "inconclusive": "❔", "skip": "⏭️"}


def text_table(judged: Sequence[Judged]) -> list[str]:
    """Return one line per gate, aligned, and under every gate that does not pass what it found."""
    head = ("outcome", "gate", "condition", "estimate", "interval", "level", "margin", "subjects", "certified")
    cells = [head, *(tuple(map(escaped, _cells(one))) for one in judged)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    for one, index in zip(judged, range(1, len(lines)), strict=True):
        if one.outcome != "pass":
            # A line break in a name must not begin a line of its own, which CI servers would read as theirs.
            lines[index] += "\n" + "\n".join(f"    {escaped(line)}" for line in details(one))
    return lines


def details(one: Judged) -> list[str]:
    """Return what a reader needs of a gate that does not pass: the sentence, how many cells, the worst cases."""
    same = sum(finding.outcome == one.worst.outcome for finding in one.findings)
    lines = [one.worst.message]
    if len(one.findings) > 1:
        lines.append(f"{same} of {len(one.findings)} conditions {_ended(one.worst.outcome, same)}; this is the worst")
    if one.worst.worst_cases:
        lines.append(f"worst cases: {', '.join(one.worst.worst_cases)}")
    return lines


def next_commands(judged: Sequence[Judged], run: Path, earlier: Path | None) -> list[str]:
    """Return what to run next; nothing where every gate passes."""
    if all(one.outcome == "pass" for one in judged):
        return []
    lines = [f"robustness report {typed_path(run)}"]
    if earlier is not None and earlier.is_dir():
        lines.append(f"robustness compare {typed_path(earlier)} {typed_path(run)}")
    return lines


def typed_path(path: Path) -> str:
    """Return a path as one would type it here."""
    here = Path.cwd()
    return shlex.quote(str(path.relative_to(here) if path.is_relative_to(here) else path))


def markdown(judged: Sequence[Judged], *, run: Path, earlier: Path | None = None) -> str:
    """Return a comment for a pull request."""
    blocked = sum(one.blocks for one in judged)
    if len(judged) == 1:
        head = "the gate does not hold" if blocked else "the gate holds"
    else:
        head = f"{blocked} of {len(judged)} gates do not hold" if blocked else f"all {len(judged)} gates hold"
    lines = [
        f"### Robustness gates: {head}",
        "",
        "| | gate | condition | estimate | interval | level | margin | subjects | certified |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for one in judged:
        outcome, *rest = _cells(one)
        lines.append(f"| {_SIGNS[one.outcome]} {outcome} | " + " | ".join(_markdown(text) for text in rest) + " |")
    for one in judged:
        if one.outcome != "pass":
            lines += ["", f"**{_markdown(one.gate.title)}**: " + ". ".join(_markdown(text) for text in details(one))]
    commands = next_commands(judged, run, earlier)
    if commands:
        lines += ["", "Next: " + ", ".join(f"`{command}`" for command in commands)]
    return "\n".join(lines) + "\n"


def github_lines(judged: Sequence[Judged]) -> list[str]:
    """Return GitHub workflow commands: an error for what holds the command back, a warning for the rest."""
    lines = []
    for one in judged:
        if one.outcome != "pass":
            level = "error" if one.blocks else "notice" if one.outcome == "skip" else "warning"
            title = _escaped(f"{one.outcome}: {one.gate.title}", more={":": "%3A", ",": "%2C"})
            lines.append(f"::{level} title={title}::{_escaped(chr(10).join(details(one)))}")
    return lines


def write_step_summary(text: str) -> bool:
    """Append `text` to the step's summary where GitHub names a file for it; return whether it does."""
    target = os.environ.get("GITHUB_STEP_SUMMARY")
    if target:
        path = Path(target)
        try:
            if os.path.lexists(path):
                check_regular(path)
            with path.open("a", encoding="utf-8") as handle:
                handle.write(text)
        except OSError as error:
            raise InputError(
                f"GITHUB_STEP_SUMMARY: expected a file that can be written to, got {shown_path(target)!r} "
                f"({error.strerror or error}); the outcome above holds"
            ) from error
    return bool(target)


def write_json(judged: Sequence[Judged], path: Path, *, run: Path, earlier: Path | None) -> None:
    """Write every gate with all that it found."""
    write_text(path, json.dumps(as_json(judged, run=run, earlier=earlier), indent=1, ensure_ascii=False) + "\n")


def as_json(judged: Sequence[Judged], *, run: Path, earlier: Path | None) -> dict[str, Any]:
    """Return every gate with all that it found, as JSON values; a number that does not exist is null."""
    gates = []
    for one in judged:
        spec = one.gate.model_dump(exclude_none=True)
        findings = [{k: _plain(v) for k, v in finding._asdict().items() if k != "badness"} for finding in one.findings]
        gates.append(
            {
                "name": one.gate.title,
                "outcome": one.outcome,
                "blocks": one.blocks,
                "message": one.message,
                "certified": one.certified,
                "certified_if": one.certified_if,
                "gate": spec,
                "found": findings,
            }
        )
    return {
        "holds": not any(one.blocks for one in judged),
        "run": str(run),
        "baseline": None if earlier is None else str(earlier),
        "gates": gates,
    }


def _cells(one: Judged) -> tuple[str, ...]:
    worst, sign = one.worst, "+" if criterion_of(one.gate).signed else ""
    outcome = one.outcome.upper() + (" (warning)" if one.outcome in ("fail", "inconclusive") and not one.blocks else "")
    return (
        outcome,
        one.gate.title,
        _place(worst),
        _number(worst.estimate, sign),
        _interval(worst, sign),
        level_of(worst.level),
        f"{worst.margin:g}",
        str(worst.n_subjects),
        _certificate(one),
    )


def _certificate(one: Judged) -> str:
    """Return whether a distribution-free test agrees, and if what; "-" where nothing was decided."""
    if one.worst.outcome == "inconclusive":
        return "-"
    return f"yes, if {one.certified_if}" if one.certified_if else "yes" if one.certified else "no"


def _place(finding: Finding) -> str:
    return f"{finding.condition} [{finding.group}]" if finding.group else finding.condition


def _number(value: float, sign: str) -> str:
    return "-" if math.isnan(value) else f"{value:{sign}.4f}"


def _interval(finding: Finding, sign: str) -> str:
    return "-" if math.isnan(finding.low) else f"[{_number(finding.low, sign)}, {_number(finding.high, sign)}]"


def _ended(outcome: str, count: int) -> str:
    return {"fail": "fail", "pass": "pass"}.get(outcome, "are open") + ("s" if count == 1 and outcome == "fail" else "")


def _markdown(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*").replace("<", "&lt;").replace("\n", " ")


def _escaped(text: str, more: dict[str, str] | None = None) -> str:
    for char, code in {"%": "%25", "\r": "%0D", "\n": "%0A", **(more or {})}.items():
        text = text.replace(char, code)
    return text


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
