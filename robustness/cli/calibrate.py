"""``robustness calibrate``: severities that cost equal similarity on one's own images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from robustness.errors import InputError, counted


def add_to(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(calibrate)


def calibrate(
    data: Annotated[Path, typer.Argument(help="A dataset folder, a manifest, or a folder of images.")],
    plan: Annotated[Optional[Path], typer.Option("--plan", help="Write the table into this plan.")] = None,  # noqa: UP045
    kinds: Annotated[
        str, typer.Option("--kinds", help="Names with commas between, modality, all or pipeline.")
    ] = "modality",
    images: Annotated[int, typer.Option("--images", min=1, help="How many images, evenly through the data.")] = 16,
    split: Annotated[str, typer.Option("--split", help="Of a dataset: whose images.")] = "train",
    prompt: Annotated[str, typer.Option("--prompt", help="Of a dataset: the prompt key.")] = "p6",
    modality: Annotated[
        Optional[str],  # noqa: UP045 - typer reads this form on every version
        typer.Option("--modality", help="endoscopy, ultrasound, MRI, ... where the data do not say."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of what is drawn: noise, places, directions.")] = 0,
) -> None:
    """Find parameters of image shifts at which severities 1 to 5 cost one similarity (SSIM) on the images of DATA."""
    from robustness.cli.options import progress_bar
    from robustness.plans.parameters import table_text, write_parameters
    from robustness.plans.toml import read_toml
    from robustness.workflows.calibrate import calibrated, image_set, report_lines

    if plan is not None:
        # Before the minutes that a calibration takes.
        read_toml(plan, what="--plan")
    chosen = image_set(data, split=split, prompt=prompt, modality=modality, limit=images)
    with progress_bar("calibrate: kind") as progress:
        outcome = calibrated(chosen, kinds=kinds.split(","), seed=seed, progress=progress)
    for line in report_lines(outcome):
        typer.echo(line)
    table = {one.kind: one.values for one in outcome.calibrations}
    if not table:
        raise InputError("kinds: expected at least one kind that can be calibrated; see the reasons above")
    if plan is None:
        typer.echo(f"\n{table_text(table)}")
    else:
        write_parameters(plan, table)
        typer.echo(f"\nPlan: {counted(len(table), 'kind')} in [perturbations.image.parameters] of {plan.resolve()}")
