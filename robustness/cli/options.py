"""Options and progress bar that several commands share."""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

if TYPE_CHECKING:
    from robustness.types import Progress

Overrides = Annotated[
    Optional[list[str]],  # noqa: UP045 - typer reads this form on every version
    typer.Option("--set", metavar="KEY=VALUE", help="Set a key of the plan, e.g. --set data.path=DIR. May repeat."),
]
OutDir = Annotated[Optional[Path], typer.Option("--out", help="Folder to write to.")]  # noqa: UP045


def progress_bar(what: str = "audit: rows") -> AbstractContextManager[Progress]:
    """Return a progress bar on stderr, a context manager that gives a function of (done, total)."""
    from robustness.cli.echo import is_quiet
    from robustness.progress import bar

    if is_quiet():
        return contextlib.nullcontext(_nothing)

    return bar(what)


def _nothing(done: int, total: int) -> None:
    """Show nothing."""
