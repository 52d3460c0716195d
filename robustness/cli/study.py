"""``robustness study``: models, data, prompts, folds and seeds, each finetuned and audited."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from robustness.cli.echo import echo, is_quiet, note, warn
from robustness.cli.options import OutDir, Overrides
from robustness.errors import counted


def add_to(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(study)


def study(
    plan: Annotated[Path, typer.Argument(help="The study plan (TOML).")],
    out: OutDir = None,
    overrides: Overrides = None,
    dry: Annotated[bool, typer.Option("--dry", help="List the cells and stop.")] = False,
) -> None:
    """Finetune and audit every cell of PLAN; calling it again goes on; exit 1 where a cell failed."""
    from robustness.plans.study import load_study
    from robustness.workflows.study import run_study

    loaded = load_study(plan, overrides=overrides or ())
    folder = out or Path("studies") / plan.stem
    if dry:
        for cell in loaded.cells(folder.resolve()):
            echo(cell.name)
        return
    done = run_study(loaded, out=folder, base_dir=plan.resolve().parent, quiet=is_quiet(), say=note)
    for row in done.groups.to_dict("records"):
        spread = f" +- {row['dice_sd']:.3f}" if row["cells"] > 1 else ""
        echo(
            f"{row['model']:24}{row['trained_on']:20}{row['prompt']:10}{row['stage']:12}on {row['tested_on']:20}"
            f"Dice {row['dice_mean']:.3f}{spread} ({counted(row['cells'], 'cell')})"
        )
    echo(f"Study: {done.folder.resolve()}")
    if done.page is not None:
        echo(f"Report: {done.page.resolve()}")
    for name in done.failed:
        reason = done.cells.loc[done.cells["cell"] == name, "error"].iloc[0]
        warn(f"error: {name}: {reason}")
    if done.failed:
        raise typer.Exit(1)
