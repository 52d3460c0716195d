"""``robustness model``: what lies in a checkpoint, which network it is, and what comes of loading it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Optional

import typer

from robustness.errors import counted, plural

if TYPE_CHECKING:
    from robustness.runners.checkpoints.inspection import InspectedSet, Inspection


def add_to(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(model)


def model(
    checkpoint: Annotated[str, typer.Argument(help="A file, a folder or a hub name.")],
    name: Annotated[Optional[str], typer.Option("--name", help="Load it as this model.")] = None,  # noqa: UP045
    prefix: Annotated[Optional[str], typer.Option("--prefix", help="Beginning of the network's keys.")] = None,  # noqa: UP045
    weights: Annotated[Optional[str], typer.Option("--weights", help="Name of the set of weights.")] = None,  # noqa: UP045
    base: Annotated[Optional[str], typer.Option("--base", help="Checkpoint that an adapter changes.")] = None,  # noqa: UP045
) -> None:
    """Say what a checkpoint holds: files, sets of weights, networks and prefixes, and what loading it gives."""
    from robustness.runners.checkpoints.inspection import inspect_checkpoint, trial
    from robustness.runners.models.load import load_model

    inspection = inspect_checkpoint(checkpoint)
    typer.echo(f"files: {', '.join(file.name for file in inspection.files)}")
    if inspection.adapter_of is not None:
        typer.echo(f"a LoRA adapter of {base or inspection.adapter_of or 'a base that it does not name; give --base'}")
    for one in inspection.sets:
        typer.echo(_line(one))
    for candidate in [name] if name is not None else _candidates(inspection):
        typer.echo(trial(checkpoint, candidate, load_model, prefix=prefix, weights=weights, base=base))


def _line(one: InspectedSet) -> str:
    where = f"weights {one.name!r}" if one.name else "weights"
    networks = ", ".join(f"{n.model} under {n.prefix!r}" if n.prefix else n.model for n in one.networks)
    return (
        f"{where}: {counted(one.n_tensors, 'tensor')}, {one.n_values:,} {plural(one.n_values, 'value')}; keys begin "
        f"with {', '.join(one.heads)}; {networks or 'none of the registered networks'}"
    )


def _candidates(inspection: Inspection) -> list[str]:
    return list(dict.fromkeys(network.model for one in inspection.sets for network in one.networks))
