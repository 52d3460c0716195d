"""``robustness demo``: two small networks on embedded images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from robustness.cli.echo import note
from robustness.cli.options import progress_bar


def add_to(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(demo)


def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder for the two runs and the page.")] = Path("robustness-demo"),
) -> None:
    """Audit two small networks on embedded brain MRI slices: one reads its prompt, one cannot."""
    from robustness.reports.data.run_tables import read_runs
    from robustness.reports.exports.console import run_summary
    from robustness.workflows.demo import RUNS, run_demo

    typer.echo("Auditing two small networks on 62 embedded brain MRI slices (one to three minutes) ...", err=True)
    with progress_bar("demo: audit") as progress:
        progress(0, 2)
        report = run_demo(out, progress=progress, say=lambda line: note(f"demo: {line}"))
    for line in run_summary(read_runs([out / which for which in RUNS])):
        typer.echo(line)
    typer.echo(f"Report: {report.resolve()}")
