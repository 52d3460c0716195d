"""``robustness audit``: a plan in, a run and its report out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from robustness.cli.echo import echo, note, warn
from robustness.cli.options import OutDir, Overrides, progress_bar
from robustness.errors import InputError, counted, suggest


def add_to(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(audit)


def audit(
    plan: Annotated[Path, typer.Argument(help="The plan (TOML).")],
    out: OutDir = None,
    overrides: Overrides = None,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first case that fails; exit 1.")] = False,
    allow_drift: Annotated[
        bool, typer.Option("--allow-drift", help="Resume although versions, device or threads changed.")
    ] = False,
    certify: Annotated[
        bool,
        typer.Option("--certify", help="Measure how far batch sizes, threads, precision and device move predictions."),
    ] = False,
    executor: Annotated[str, typer.Option("--executor", help="local, or ray for many machines.")] = "local",
    workers: Annotated[
        Optional[int],  # noqa: UP045 - typer reads this form on every version
        typer.Option("--workers", min=1, help="Processes on this machine; default: as cores and memory allow."),
    ] = None,
    feeders: Annotated[
        Optional[int],  # noqa: UP045 - typer reads this form on every version
        typer.Option("--feeders", min=0, help="Processes that prepare and score for one GPU; default: as cores allow."),
    ] = None,
) -> None:
    """Run (or resume) the audit that PLAN describes and write its report."""
    from robustness.plans.audit import load_plan
    from robustness.remote import url_of
    from robustness.workflows.audit import audit_plan

    if executor not in ("local", "ray"):
        raise InputError(f"--executor: expected local or ray, got {executor!r}{suggest(executor, ['local', 'ray'])}")
    if workers is not None and executor != "local":
        raise InputError(f"--workers: expected --executor local, got {executor!r}; the cluster says how many run")
    loaded = load_plan(plan, overrides=overrides or ())
    folder = out or Path("runs") / plan.stem
    with progress_bar() as progress:
        run = audit_plan(
            loaded,
            out=folder,
            folder=plan.resolve().parent,
            strict=strict,
            allow_drift=allow_drift,
            certify=certify,
            executor=executor,
            workers=workers or "auto",
            feeders=feeders,
            progress=progress,
            say=lambda line: note(f"audit: {line}"),
        )
    _say_counts(run.manifest["counts"])
    _say_summary(run.path)
    if certify:
        _print_certificate(run.manifest["certificate"])
    if url := url_of(folder):
        echo(f"Stored: {url}")
    echo(f"Run: {run.path.resolve()}")
    echo(f"Report: {(run.path / 'report.html').resolve()}")


def _say_counts(counts: dict[str, Any]) -> None:
    if counts["errors"]:
        failed = counts["failed_cases"]
        shown = ", ".join(failed[:5]) + (", ..." if len(failed) > 5 else "")
        are = "is" if counts["errors"] == 1 else "are"
        rows = counted(counts["errors"], "row")
        warn(f"warning: {rows} of {counted(len(failed), 'case')} failed and {are} left out: {shown}")
    if counts["not_applicable"]:
        were = "was" if counts["not_applicable"] == 1 else "were"
        note(f"note: {counted(counts['not_applicable'], 'row')} {were} not applicable; the report gives the reasons")


def _say_summary(run: Path) -> None:
    from robustness.reports.data.run_tables import read_runs
    from robustness.reports.exports.console import declarations, run_summary, run_warnings

    runs = read_runs(run)
    for text in run_warnings(runs):
        warn(f"warning: {text}")
    for text in declarations(runs):
        note(f"note: {text}")
    for line in run_summary(runs):
        echo(line)


def _print_certificate(certificate: dict[str, Any]) -> None:
    echo(f"certificate: {counted(certificate['cases'], 'case')} of each data set, predicted again")
    for row in certificate["rows"]:
        moved = "the same bits" if row["identical"] else _moved(row)
        echo(f"{row['model']} on {row['dataset']}: {row['knob']} ({row['setting']}): {moved}")
    for knob, reason in certificate["not_measured"].items():
        echo(f"not measured: {knob}: {reason}")


def _moved(row: dict[str, Any]) -> str:
    if not row["n"]:
        return f"{counted(row['n_unequal_failures'], 'prediction')} failed one time and not the other"
    return (
        f"Dice by up to {row['dice']:.2g}, masks by {row['mask_change']:.2g}, probabilities by {row['probability']:.2g}"
    )
