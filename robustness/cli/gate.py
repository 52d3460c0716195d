"""``robustness gate``: judge a run by a gates file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from robustness.cli.echo import echo, warn

if TYPE_CHECKING:
    from robustness.gates.judge import Judged

File = Optional[Path]  # noqa: UP045 - typer reads this form on every version


def add_to(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(gate)


def gate(
    run: Annotated[Path, typer.Argument(help="A run's folder.")],
    baseline: Annotated[File, typer.Option("--baseline", help="The run or baseline file to compare with.")] = None,
    gates: Annotated[File, typer.Option("--gates", help="The gates file; default gates.toml.")] = None,
    junit: Annotated[File, typer.Option("--junit", help="Write JUnit XML here as well.")] = None,
    json: Annotated[File, typer.Option("--json", help="Write every finding here as JSON.")] = None,
    markdown: Annotated[File, typer.Option("--markdown", help="Write a pull-request comment here.")] = None,
    github: Annotated[
        bool, typer.Option("--github", help="Print GitHub annotations; add to the step's summary where there is one.")
    ] = False,
    save: Annotated[
        File,
        typer.Option("--save-baseline", help="Save the scores as FILE.toml and FILE.parquet; alone: judge nothing."),
    ] = None,
) -> None:
    """Judge a run by a gates file; one line per gate; exit 1 where one does not hold."""
    from robustness.files import check_output
    from robustness.gates.baselines import open_earlier, save_baseline
    from robustness.workflows.run import open_run

    outputs = (("--junit", junit, (".xml",)), ("--json", json, (".json",)), ("--markdown", markdown, (".md", ".txt")))
    for option, file, suffixes in outputs:
        if file is not None:
            check_output(file, option, *suffixes)
    opened = open_run(run)
    if save is not None:
        echo(f"Baseline: {save_baseline(opened, save).resolve()}")
        if gates is None and baseline is None:
            return
    from robustness.gates.judge import as_table, judge_gates, load_gates
    from robustness.gates.junit import write_junit
    from robustness.gates.output import write_json
    from robustness.run_integrity import other_rules

    spec = load_gates(gates or Path("gates.toml"))
    earlier = open_earlier(baseline) if baseline else None
    if earlier is not None and (other := other_rules(opened.manifest, earlier.manifest, names=("run", "baseline"))):
        warn(f"warning: {other}")
    if baseline is not None and baseline.resolve() == run.resolve():
        warn("warning: the baseline is the run itself: every difference is 0, so that gates which compare show nothing")
    judged = judge_gates(opened, spec, baseline=earlier)
    _show(judged, run, baseline, github=github, markdown=markdown)
    if junit is not None:
        write_junit(as_table(judged), junit)
    if json is not None:
        write_json(judged, json, run=run, earlier=baseline)
    if any(one.blocks for one in judged):
        raise typer.Exit(1)


def _show(judged: Sequence[Judged], run: Path, baseline: Path | None, *, github: bool, markdown: Path | None) -> None:
    from robustness.files import write_text
    from robustness.gates.output import github_lines, next_commands, text_table, write_step_summary
    from robustness.gates.output import markdown as as_markdown

    for line in [*text_table(judged), *(f"next: {command}" for command in next_commands(judged, run, baseline))]:
        typer.echo(line)
    comment = as_markdown(judged, run=run, earlier=baseline)
    if markdown is not None:
        write_text(markdown, comment)
    if github:
        for line in github_lines(judged):
            typer.echo(line)
        write_step_summary(comment)
