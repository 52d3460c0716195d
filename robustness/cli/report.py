"""``robustness report`` and ``robustness compare``: pages of finished runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Optional, cast

import typer

from robustness.cli.echo import echo, warn
from robustness.errors import InputError


def add_to(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command()(report)
    app.command()(compare)


def report(
    run: Annotated[Path, typer.Argument(help="A run's folder.")],
    out: Annotated[Optional[Path], typer.Option("--out", help="The page; default RUN/report.html.")] = None,  # noqa: UP045
    edition: Annotated[str, typer.Option("--edition", help="auditor, or regulatory (fifteen sections).")] = "auditor",
    no_images: Annotated[bool, typer.Option("--no-images", help="Leave every image out.")] = False,
    pdf: Annotated[bool, typer.Option("--pdf", help="Print the page to PDF as well (needs Chromium).")] = False,
    summary: Annotated[bool, typer.Option("--summary", help="Markdown, JSON and CSV beside the page.")] = False,
    answers: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads this form on every version
        typer.Option("--answers", help="A TOML file whose \\[report] fills blanks of the regulatory edition."),
    ] = None,
    published: Annotated[
        bool, typer.Option("--published", help="Add the benchmark's published figures, labelled and apart.")
    ] = False,
) -> None:
    """Write the page of a finished run again."""
    from robustness.workflows.run import open_run

    page = open_run(run).report(
        out, edition=cast("Any", edition), images=not no_images, published=True if published else None, answers=answers
    )
    echo(f"Report: {page.resolve()}")
    if summary:
        from robustness.reports.exports.summary import write_summary

        for path in write_summary(run, page, edition=cast("Any", edition)):
            echo(f"Report: {path.resolve()}")
    if pdf:
        from robustness.reports.html.pdf import write_pdf

        echo(f"Report: {write_pdf(page).resolve()}")


def compare(
    runs: Annotated[list[Path], typer.Argument(help="Two or more runs' folders.")],
    out: Annotated[Path, typer.Option("--out", help="The page.")] = Path("comparison.html"),
) -> None:
    """Write one page over several finished runs: what got worse first; the first run is the baseline.

    Exit 1 where a run was compared with nothing.
    """
    from robustness.reports.data.frames import merge
    from robustness.reports.data.paired import not_compared
    from robustness.reports.data.run_tables import read_runs, refuse_repeated
    from robustness.reports.html.page import write_report
    from robustness.workflows.run import open_run

    if len(runs) < 2:
        raise InputError(f"runs: expected two or more folders, got {len(runs)}; for one run use: robustness report RUN")
    refuse_repeated(runs)
    for run in runs:
        open_run(run).verdicts()
    echo(f"Report: {write_report(runs, out, compare_first=True).resolve()}")
    alone = not_compared(merge(read_runs(runs)))
    if alone:
        warn(f"warning: {alone}")
        raise typer.Exit(1)
