"""``robustness plan``: what an audit and its gates can show, and what they cost, before anything runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Optional

import typer

from robustness.cli.options import Overrides, progress_bar


def add_to(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(plan)


def plan(
    plan: Annotated[Path, typer.Argument(help="The plan (TOML).")],
    overrides: Overrides = None,
    gates: Annotated[Optional[Path], typer.Option("--gates", help="A gates file to look at.")] = None,  # noqa: UP045
    like: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads this form on every version
        typer.Option("--like", help="A finished run: how much its subjects differ replaces the assumptions."),
    ] = None,
    measure: Annotated[
        bool, typer.Option("--measure/--no-measure", help="Audit a few batches to tell the time.")
    ] = True,
    batches: Annotated[int, typer.Option("--batches", min=1, help="How many, after one to warm up.")] = 3,
    to_json: Annotated[Optional[Path], typer.Option("--json", help="Write the forecast here as well.")] = None,  # noqa: UP045
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 where a gate can never pass.")] = False,
) -> None:
    """Say before running what PLAN can show: power of claims and gates, encodes and decodes, time."""
    from robustness.files import check_output, write_text
    from robustness.forecasts.forecast import forecast
    from robustness.forecasts.text import as_json, lines
    from robustness.gates.judge import load_gates
    from robustness.plans.audit import load_plan

    with progress_bar("plan: rows") as progress:
        expected = forecast(
            load_plan(plan, overrides=overrides or ()),
            folder=plan.resolve().parent,
            gates=load_gates(gates) if gates else None,
            like=like,
            batches=batches if measure else 0,
            progress=progress,
        )
    for line in lines(expected):
        typer.echo(line)
    if to_json is not None:
        check_output(to_json, "--json", ".json")
        write_text(to_json, json.dumps(as_json(expected), indent=1, ensure_ascii=False) + "\n")
    if strict and expected.undecidable:
        raise typer.Exit(1)
