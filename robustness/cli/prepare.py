"""``robustness prepare``: a published dataset, as it is downloaded, into a folder that audits read."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from robustness.cli.echo import echo, warn
from robustness.errors import InputError, plural


def add_to(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(prepare)


def prepare(
    name: Annotated[Optional[str], typer.Argument(help="A layout; see --list.")] = None,  # noqa: UP045
    source: Annotated[Optional[Path], typer.Argument(help="The download, unpacked.")] = None,  # noqa: UP045
    out: Annotated[Optional[Path], typer.Argument(help="The folder to write.")] = None,  # noqa: UP045
    listed: Annotated[
        bool, typer.Option("--list", help="Explain the layouts: files, subjects, licence, traps.")
    ] = False,
    annotations: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--annotations", help="The reference benchmark's train.json, val.json and test.json of this set."),
    ] = None,
    target: Annotated[Optional[str], typer.Option("--target", help="The class, of the generic layout.")] = None,  # noqa: UP045
    option: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--set", help="An option of the layout in TOML, such as slices.every=3; may repeat."),
    ] = None,
    val: Annotated[float, typer.Option("--val", help="Share of what is not tested that validates.")] = 0.15,
    test: Annotated[float, typer.Option("--test", help="Share of subjects that is tested.")] = 0.2,
    seed: Annotated[int, typer.Option("--seed", help="Of the draw of splits.")] = 0,
    limit: Annotated[Optional[int], typer.Option("--limit", min=1, help="The first images only, for a trial.")] = None,  # noqa: UP045
) -> None:
    """Turn the download SOURCE of the dataset NAME into the folder OUT: images, masks, prompts and splits."""
    from robustness.runners.data.prepare.layouts import LAYOUTS, explained
    from robustness.runners.data.prepare.write import prepare as write

    if listed:
        typer.echo("\n\n".join(explained(layout) for layout in LAYOUTS.values()))
        return
    if name is None or source is None or out is None:
        raise InputError("prepare: expected NAME SOURCE OUT, or --list; see `robustness prepare --help`")
    options = {**_options(option or []), **({"target": target} if target else {})}
    dataset = write(
        name, source, out, annotations=annotations, val=val, test=test, seed=seed, limit=limit, options=options
    )
    for split, cases in dataset.cases.items():
        n = dataset.subjects[split] if dataset.subjects else None
        subjects = "  subjects not known" if n is None else f"{n:8} {plural(n, 'subject')}"
        # The words of every split take the same room, so that columns stay aligned.
        echo(f"{split:8}{cases:8} {plural(cases, 'case'):5}{subjects}")
    for text in dataset.notes:
        warn(f"note: {text}")
    echo(f"Dataset: {out.resolve()}")


def _options(texts: list[str]) -> dict[str, Any]:
    """Return options written as key.sub=value, values in TOML."""
    options: dict[str, Any] = {}
    for text in texts:
        key, equal, value = text.partition("=")
        if not equal or not key.strip():
            raise InputError(f"--set: expected key=value, got {text!r}")
        try:
            parsed = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            parsed = value
        *path, last = key.strip().split(".")
        table = options
        for part in path:
            table = table.setdefault(part, {})
        table[last] = parsed
    return options
