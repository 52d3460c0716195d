"""``robustness replay``: one stored prediction, computed again."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from robustness.cli.echo import echo
from robustness.errors import verb

if TYPE_CHECKING:
    from robustness.workflows.replay import Replayed

# What tells a reader which prediction it is, whether it differs or not.
_KEYS = ("model", "dataset", "case_id", "subject_id", "condition", "prompt", "params", "note", "error")
_SCORES = ("dice", "iou", "hd95", "nsd", "area_fraction", "mask_change", "text_distance")


def add_to(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(replay)


def replay(
    run: Annotated[Path, typer.Argument(help="A run's folder.")],
    row: Annotated[int, typer.Option("--row", help="Number of the row in the run's results, from 0.")],
    plan_folder: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads this form on every version
        typer.Option("--plan-folder", help="Where the plan's relative paths lie; default: where the audit found them."),
    ] = None,
    png: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads this form on every version
        typer.Option("--png", help="Write image, reference, stored (where saved) and recomputed mask here."),
    ] = None,
) -> None:
    """Compute one prediction of a run again and show it beside the stored one; exit 1 where they differ."""
    from robustness.workflows.replay import replay as recompute

    replayed = recompute(run, row, plan_folder=plan_folder)
    for line in lines(replayed):
        echo(line)
    if png is not None:
        from robustness.workflows.replay_image import write_image

        echo(f"Image: {write_image(replayed, png).resolve()}")
    if replayed.different:
        raise typer.Exit(1)


def lines(replayed: Replayed) -> list[str]:
    """Return the comparison as text: what the row is, stored and recomputed scores, and whether all are equal."""
    from robustness.errors import printable

    stored, again = replayed.stored, replayed.recomputed
    head = [f"{key:14}{printable(str(stored[key]))}" for key in _KEYS if _is_there(stored.get(key))]
    scores = [name for name in _SCORES if _is_there(stored.get(name)) or _is_there(again.get(name))]
    names = [*scores, *(name for name in replayed.different if name not in scores)]
    table = [f"{'column':18}{'stored':>24}{'computed again':>24}"]
    for name in names:
        mark = "  DIFFERS" if name in replayed.different else ""
        table.append(f"{name:18}{_shown(stored[name]):>24}{_shown(again.get(name)):>24}{mark}")
    drift = [f"changed since the audit: {what}" for what in replayed.drift]
    return [*head, "", *table, "", *drift, _outcome(replayed)]


def _outcome(replayed: Replayed) -> str:
    how = "its image computed alone" if replayed.alone else "its whole part computed, in the batches of the audit"
    count = len(replayed.different)
    if count:
        return f"row {replayed.row}: {count} of {len(replayed.stored)} columns {verb(count, 'differ')} ({how})"
    return f"row {replayed.row}: all {len(replayed.stored)} columns are equal, bit for bit ({how})"


def _is_there(value: Any) -> bool:
    import pandas as pd

    return not pd.isna(value) and value != ""


def _shown(value: Any) -> str:
    from robustness.errors import printable

    if isinstance(value, float):
        return "-" if math.isnan(value) else repr(float(value))
    return printable(str(value))
