"""``robustness finetune``: a plan in, a checkpoint out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from robustness.cli.echo import echo, is_quiet
from robustness.cli.options import OutDir, Overrides


def add_to(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(finetune)


def finetune(
    plan: Annotated[Path, typer.Argument(help="The finetuning plan (TOML).")],
    out: OutDir = None,
    overrides: Overrides = None,
) -> None:
    """Finetune the model that PLAN describes; calling it again resumes."""
    from robustness.workflows.finetune import finetune_plan

    folder = finetune_plan(plan, out=out, overrides=overrides or (), quiet=is_quiet())
    echo(f"Checkpoint: {Path(folder).resolve()}")
