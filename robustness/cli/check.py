"""``robustness check``: validate a dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from robustness.cli.echo import echo


def add_to(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(check)


def check(
    data: Annotated[Path, typer.Argument(help="A dataset folder or a manifest.")],
    split: Annotated[Optional[str], typer.Option("--split", help="One split; default: all.")] = None,  # noqa: UP045
    prompt: Annotated[str, typer.Option("--prompt", help="The prompt key that an audit would use.")] = "p6",
) -> None:
    """Validate a dataset: missing files, masks, duplicates, splits; exit 1 where there is an error."""
    from robustness.runners.data.check.dataset import check_dataset

    findings = check_dataset(data, split, prompt=prompt)
    for row in findings.to_dict("records"):
        where = " ".join(str(row[key]) for key in ("split", "case_id", "file") if row[key])
        echo(f"{row['level']:8}{row['code']}{f' [{where}]' if where else ''}: {row['message']}")
    echo(f"{len(findings)} findings, {int((findings['level'] == 'error').sum())} errors")
    if (findings["level"] == "error").any():
        raise typer.Exit(1)
