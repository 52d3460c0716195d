"""``robustness init``: a first plan for a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from robustness.cli.echo import echo, note


def add_to(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(init)


def init(
    folder: Annotated[Path, typer.Argument(help="A dataset folder, or a table of cases.")],
    out: Annotated[Path, typer.Option("--out", help="The plan to write.")] = Path("plan.toml"),
    model: Annotated[str, typer.Option("--model", help="A registered model; robustness list models.")] = "film-unet",
    checkpoint: Annotated[Optional[str], typer.Option("--checkpoint", help="Its weights.")] = None,  # noqa: UP045
) -> None:
    """Look at FOLDER and write a commented plan that runs as it is."""
    from robustness.runners.data.resplit import rows_without_split
    from robustness.workflows.init_plan import write_plan

    plan, dataset = write_plan(folder, out, model=model, checkpoint=checkpoint)
    echo(f"Looked at: {dataset}")
    for text in dataset.notes:
        note(f"note: {text}")
    if left_out := rows_without_split(Path(dataset.spec()["path"])):
        note(f"note: {left_out}")
    if dataset.subject_is_image:
        note("note: no patient is known, so each image counts as one; the plan says how to name them")
    echo(f"Plan: {plan.resolve()}")
    echo(f"next: robustness plan {plan}")
