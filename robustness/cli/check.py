"""``robustness check``: validate a dataset, or the data of a plan."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from robustness.cli.echo import echo
from robustness.errors import counted


def add_to(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(check)


def check(
    data: Annotated[
        Path, typer.Argument(help="A dataset folder, a manifest, or a plan (TOML) whose data are checked.")
    ],
    split: Annotated[Optional[str], typer.Option("--split", help="One split; default: all.")] = None,  # noqa: UP045
    prompt: Annotated[
        Optional[str],  # noqa: UP045 - typer reads this form on every version
        typer.Option("--prompt", help="The prompt key that an audit would use; default: the plan's, else p6."),
    ] = None,
    html: Annotated[Optional[Path], typer.Option("--html", help="Write the findings as a page, too.")] = None,  # noqa: UP045
    overrides: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--set", metavar="KEY=VALUE", help='A key of \\[data], e.g. --set groups=["sex"]. May repeat.'),
    ] = None,
) -> None:
    """Validate a dataset: files, masks, words, splits, subjects, identifiers; exit 1 where there is an error."""
    from robustness.workflows.check import check_path

    tables = check_path(data, split=split, prompt=prompt, overrides=overrides or ())
    for name, findings in tables.items():
        if len(tables) > 1:
            echo(f"# {name}")
        for row in findings.to_dict("records"):
            where = " ".join(str(row[key]) for key in ("split", "case_id", "file") if row[key])
            echo(f"{row['level']:8}{row['code']}{f' [{where}]' if where else ''}: {row['message']}")
        echo(f"{counted(len(findings), 'finding')}, {counted(int((findings['level'] == 'error').sum()), 'error')}")
    if html is not None:
        from robustness.reports.html.check_page import write_check_page

        echo(f"Page: {write_check_page(tables, html).resolve()}")
    if any((findings["level"] == "error").any() for findings in tables.values()):
        raise typer.Exit(1)
