"""Options and progress bar that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Optional

import typer

Overrides = Annotated[
    Optional[list[str]],  # noqa: UP045 - typer reads this form on every version
    typer.Option("--set", metavar="KEY=VALUE", help="Set a key of the plan, e.g. --set data.path=DIR. May repeat."),
]
OutDir = Annotated[Optional[Path], typer.Option("--out", help="Folder to write to.")]  # noqa: UP045


def progress_bar(what: str = "audit: rows") -> Any:
    """Return a progress bar on stderr, a context manager that gives a function of (done, total)."""
    from robustness.progress import bar

    return bar(what)
