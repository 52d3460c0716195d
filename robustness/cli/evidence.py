"""``robustness verify`` and ``robustness evidence``: check a run, and describe it for others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from robustness.cli.echo import echo


def add_to(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command()(verify)
    app.command()(evidence)


def verify(run: Annotated[Path, typer.Argument(help="A run's folder.")]) -> None:
    """Recompute a run's hashes and derive its effects and verdicts again; exit 1 where something differs."""
    from robustness.workflows.run import open_run

    checks = open_run(run).verify()
    for row in checks.to_dict("records"):
        echo(f"{'ok' if row['ok'] else 'DIFFERS':8}{row['check']}  {row['detail']}")
    if not checks["ok"].all():
        raise typer.Exit(1)


def evidence(run: Annotated[Path, typer.Argument(help="A run's folder.")]) -> None:
    """Describe a run for others: RO-Crate metadata and a model-index block for a model card, in its folder."""
    from robustness.reports.exports.model_index import write_model_index
    from robustness.reports.exports.ro_crate import write_ro_crate
    from robustness.workflows.run import open_run

    open_run(run).verdicts()
    for path in (write_ro_crate(run), write_model_index(run)):
        echo(f"Evidence: {path.resolve()}")
