"""``robustness split``: folds or train, val and test by whole subjects."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from robustness.cli.echo import echo, warn
from robustness.errors import plural


def add_to(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(split)


def split(
    data: Annotated[Path, typer.Argument(help="A dataset folder, a manifest, or a plan that names one.")],
    out: Annotated[Path, typer.Option("--out", help="The file to write.")] = Path("splits.json"),
    by: Annotated[
        Optional[str],  # noqa: UP045 - typer reads this form on every version
        typer.Option("--by", help="subject, image, a key of the data, or regex:PATTERN. Default: the data's subjects."),
    ] = None,
    folds: Annotated[Optional[int], typer.Option("--folds", help="Folds; default: one train, val, test.")] = None,  # noqa: UP045
    val: Annotated[float, typer.Option("--val", help="Share of what is not tested that validates.")] = 0.15,
    test: Annotated[float, typer.Option("--test", help="Share that is tested, without --folds.")] = 0.2,
    seed: Annotated[int, typer.Option("--seed", help="Of the draw.")] = 0,
    source: Annotated[
        Optional[list[str]],  # noqa: UP045 - typer reads this form on every version
        typer.Option("--source", help="A split of the data to pool; may repeat. Default: train, val and test."),
    ] = None,
    prompt: Annotated[
        Optional[str],  # noqa: UP045 - typer reads this form on every version
        typer.Option("--prompt", help="A prompt key that the entries have. Default: the plan's, else p6."),
    ] = None,
) -> None:
    """Divide DATA by whole subjects into folds or train, val and test; the data itself is left as it is."""
    from robustness.plans.data_source import data_source
    from robustness.runners.data.options import reading_options
    from robustness.runners.data.resplit import rows_without_split, split_dataset
    from robustness.runners.data.splits import summary

    named = data_source(data)
    parts = split_dataset(
        named.path,
        out,
        by=by,
        folds=folds,
        val=val,
        test=test,
        seed=seed,
        sources=source,
        prompt=prompt or named.prompt or "p6",
        options=reading_options(**named.reading, modality=named.modality),
    )
    for row in summary(parts):
        echo(f"{row['split']:16}{_column(row['cases'], 'case')}{_column(row['subjects'], 'subject')}".rstrip())
    if parts.by == "image" and by != "image":
        warn("warning: the data names no subject, so images of one patient may lie in several parts; give --by")
    if left_out := rows_without_split(Path(named.path).expanduser().resolve()):
        warn(f"warning: {left_out}")
    echo(f"Splits: {out.resolve()}")


def _column(n: int, noun: str) -> str:
    return f"{n:8} {plural(n, noun):{len(noun) + 2}}"
