"""One progress bar on stderr; plain lines where stderr is no terminal."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

from robustness.types import Progress

# Without a terminal a long count is told every tenth of it, and at least this often.
LINE_SECONDS = 30.0
SHORT = 20


class Pace:
    """The rate of a count since it began, and the time left.

    Args:
        clock: seconds, rising.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began: tuple[float, int] | None = None

    def words(self, done: int, total: int) -> str:
        """Return ``310/s, 0:42 left``, or ``2.4 s each, 0:42 left`` below one a second; "" before there is a rate.

        What was done before the first call (a resumed run) tells nothing of the rate.
        """
        now = self._clock()
        if self._began is None:
            self._began = now, done
        seconds, steps = now - self._began[0], done - self._began[1]
        if seconds <= 0 or steps <= 0:
            return ""
        rate = steps / seconds
        shown = _each(1 / rate) if rate < 1 else f"{rate:.1f}/s" if rate < 10 else f"{rate:,.0f}/s"
        return f"{shown}, {clock_time((total - done) / rate)} left" if done < total else shown


def _each(seconds: float) -> str:
    if round(seconds) >= 60:
        return f"{clock_time(seconds)} each"
    return f"{seconds:.1f} s each" if seconds < 9.95 else f"{seconds:.0f} s each"


def clock_time(seconds: float) -> str:
    """Return seconds as ``m:ss`` or ``h:mm:ss``.

    Example:
        >>> clock_time(42), clock_time(3725)
        ('0:42', '1:02:05')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Lines:
    """Plain lines for logs: every step of a short count; of a long one each tenth, and one every `LINE_SECONDS`."""

    def __init__(self, what: str, write: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._what, self._write, self._clock = what, write, clock
        self._pace = Pace(clock)
        self._last: tuple[float, float] | None = None

    def show(self, done: int, total: int) -> None:
        """Write a line where it is time for one."""
        words, now = self._pace.words(done, total), self._clock()
        share = done / total if total else 1.0
        due = self._last is None or share - self._last[1] >= 0.1 or now - self._last[0] >= LINE_SECONDS
        ended = done >= total and (self._last is None or self._last[1] < 1.0)
        if not (total <= SHORT or due or ended):
            return
        self._last = now, share
        self._write(f"{self._what} {done:,} of {total:,}{f', {words}' if words else ''}")


@contextlib.contextmanager
def bar(what: str = "audit: rows") -> Iterator[Progress]:
    """Yield a function ``show(done, total)``; `what` is what is counted."""
    if not sys.stderr.isatty():
        yield Lines(what, lambda line: print(line, file=sys.stderr, flush=True)).show
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Rich

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[words]}"))
    pace = Pace()
    with Rich(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=None, words="")

        def show(done: int, total: int) -> None:
            rate = pace.words(done, total)
            words = f"{done:,} of {total:,}{f', {rate}' if rate else ''}"
            progress.update(task, completed=done, total=total, words=words)

        yield show


@contextlib.contextmanager
def shown(progress: Progress | bool | None, what: str = "audit: rows") -> Iterator[Progress | None]:
    """Yield what reports progress: a function as it is, the bar for True, None for False or None."""
    if callable(progress):
        yield progress
    elif progress:
        with bar(what) as show:
            yield show
    else:
        yield None
