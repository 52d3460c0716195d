"""One progress bar on stderr; plain lines where stderr is no terminal."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def bar() -> Iterator[Callable[[int, int], None]]:
    """Yield a function ``show(done, total)``."""
    if not sys.stderr.isatty():
        yield _plain
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("audit, parts", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def _plain(done: int, total: int) -> None:
    print(f"audit: part {done} of {total}", file=sys.stderr, flush=True)
