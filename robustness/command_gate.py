"""``robustness gate``: judge a run by a gates file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer


def add_to(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(gate)


def gate(
    run: Annotated[Path, typer.Argument(help="A run's folder.")],
    baseline: Annotated[Optional[Path], typer.Option("--baseline", help="The run to compare with.")] = None,  # noqa: UP045
    gates: Annotated[Path, typer.Option("--gates", help="The gates file.")] = Path("gates.toml"),
    junit: Annotated[Optional[Path], typer.Option("--junit", help="Write JUnit XML here as well.")] = None,  # noqa: UP045
) -> None:
    """Judge a run by a gates file; one line per gate; exit 1 where one does not hold."""
    from robustness.gate import failed, judge, load_gates
    from robustness.junit import write_junit
    from robustness.run import open_run

    wanted = load_gates(gates)
    judged = judge(open_run(run), wanted, baseline=open_run(baseline) if baseline else None)
    for row in judged.to_dict("records"):
        note = " (warning only)" if row["severity"] == "warn" and row["outcome"] != "pass" else ""
        typer.echo(f"{row['outcome'].upper():13}{row['name']}{note}: {row['message']}")
    if junit is not None:
        write_junit(judged, junit, inconclusive=wanted.inconclusive)
    if failed(judged, wanted):
        raise typer.Exit(1)
