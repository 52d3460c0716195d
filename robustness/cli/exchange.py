"""``robustness export`` and ``robustness score``: models that nobody here may hold."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from robustness.cli.echo import echo, note, warn
from robustness.cli.options import Overrides, progress_bar
from robustness.errors import InputError, counted

if TYPE_CHECKING:
    from robustness.runners.exchange.model import Inspected

_LISTED = 40


def add_to(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command()(export)
    app.command()(score)


def export(
    plan: Annotated[Path, typer.Argument(help="The plan (TOML); its model is not opened.")],
    out: Annotated[Path, typer.Argument(help="A new folder: OUT/public to hand over, OUT/key to keep.")],
    overrides: Overrides = None,
    max_requests: Annotated[int, typer.Option("--max-requests", min=1, help="Bound of the requests.")] = 200_000,
    max_gib: Annotated[float, typer.Option("--max-gib", min=0.001, help="Bound of all images, in GiB.")] = 8.0,
) -> None:
    """Write the inputs that PLAN's audit shows to a model, for an owner who runs it elsewhere."""
    from robustness.plans.audit import load_plan
    from robustness.workflows.exchange import export as run

    # A range of the command line lets NaN and infinity through.
    if not math.isfinite(max_gib):
        raise InputError(f"--max-gib: expected a number of GiB, got {max_gib}")
    with progress_bar("export: rows") as progress:
        exported = run(
            load_plan(plan, overrides=overrides or ()),
            out,
            folder=plan.resolve().parent,
            max_requests=max_requests,
            max_bytes=int(max_gib * (1 << 30)),
            progress=progress,
        )
    for case, reason in exported.unreadable.items():
        warn(f"warning: case {case} is left out: {reason}")
    for condition, reason in exported.left_out.items():
        note(f"note: no request for {condition}: {reason}")
    requests, images = counted(exported.n_requests, "request"), counted(exported.n_images, "image")
    echo(f"{requests} on {images}, {exported.n_bytes / 1e6:.1f} MB")
    echo(f"Hand over: {(exported.path / 'public').resolve()}")
    echo(f"Keep: {(exported.path / 'key').resolve()}")


def score(
    exported: Annotated[Path, typer.Argument(help="The folder that `robustness export` wrote.")],
    predictions: Annotated[Path, typer.Argument(help="A folder or zip archive of ID.png or ID.npy.")],
    label: Annotated[Optional[str], typer.Option("--label", help="What results call the model.")] = None,  # noqa: UP045
    out: Annotated[Optional[Path], typer.Option("--out", help="The run's folder; default runs/LABEL.")] = None,  # noqa: UP045
    threshold: Annotated[
        Optional[float],  # noqa: UP045 - typer reads this form on every version
        typer.Option("--threshold", help="Of probabilities; default: the plan's, else 0.5."),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop where a prediction is missing or unusable; exit 1.")
    ] = False,
) -> None:
    """Score the predictions that came back for an export: a run with statistics and report."""
    from robustness.workflows.exchange import PROBLEMS
    from robustness.workflows.exchange import score as run

    name = label or predictions.resolve().stem
    if out is None and (Path(name).name != name or not name.isprintable()):
        raise InputError(
            f"--out: expected the run's folder, since the label {name!r} is no name of one; give --out DIR"
        )
    with progress_bar("score: rows") as progress:
        scored = run(
            exported,
            predictions,
            out=out or Path("runs") / name,
            label=label,
            threshold=threshold,
            strict=strict,
            progress=progress,
            said=say_problems,
        )
    if scored.manifest["model"]["problems"]:
        echo(f"Problems: {(scored.path / PROBLEMS).resolve()}")
    echo(f"Run: {scored.path.resolve()}")
    echo(f"Report: {(scored.path / 'report.html').resolve()}")


def say_problems(inspected: Inspected) -> None:
    """Print what is wrong with the predictions on stderr: one line each (at most 40 of a kind), then the counts."""
    for kind, count in inspected.counts().items():
        shown = [problem for problem in inspected.problems if problem.kind == kind][:_LISTED]
        for problem in shown:
            warn(f"{kind}: {problem.name} ({problem.detail})")
        if count > len(shown):
            warn(f"{kind}: ... and {count - len(shown)} more")
    counts = ", ".join(f"{count} {kind}" for kind, count in inspected.counts().items()) or "no problem"
    warn(f"{counted(inspected.n_usable, 'prediction')} can be used; {counts}")
