"""``robustness doctor``: what an audit needs of this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from robustness.cli.echo import echo


def add_to(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(doctor)


def doctor(
    folder: Annotated[Path, typer.Option("--out", help="Where runs would be written.")] = Path(),
) -> None:
    """Check versions, device, memory, WordNet, Chromium and disk, each with its fix; exit 1 where audits cannot run."""
    from robustness.workflows.doctor import diagnose

    findings = diagnose(folder)
    for finding in findings:
        echo(f"{finding.state:8}{finding.name}: {finding.found}")
        if finding.fix:
            echo(f"        fix: {finding.fix}")
    if any(finding.state == "problem" for finding in findings):
        raise typer.Exit(1)
