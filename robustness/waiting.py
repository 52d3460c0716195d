"""Waiting for others: for a lock between processes, and with one deadline for a whole piece of work."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Generic, TypeVar

T = TypeVar("T")


@contextlib.contextmanager
def waiting_lock(path: Path) -> Iterator[None]:
    """Hold `path` as a lock, after waiting for whoever holds it; the system frees it when a process dies."""
    with path.open("a+b") as handle:
        try:
            import fcntl
        except ImportError:  # pragma: no cover - Windows
            _lock_windows(handle)
        else:
            fcntl.flock(handle, fcntl.LOCK_EX)
        # Closing the file frees the lock.
        yield


def _lock_windows(handle: object) -> None:  # pragma: no cover - Windows
    import importlib

    msvcrt = importlib.import_module("msvcrt")
    while True:
        try:
            handle.seek(0)  # type: ignore[attr-defined]
            msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        except OSError:
            time.sleep(0.1)
        else:
            return


class _Outcome(Generic[T]):
    """What a piece of work came to: a value or an error."""

    value: T
    error: BaseException | None = None


def within(seconds: float, work: Callable[[], T], *, abort: Callable[[], None] | None = None) -> T:
    """Return what `work` returns, unless it takes longer than `seconds`.

    A socket's own timeout starts again with every byte, so that a peer who sends one now and then is waited for without
    end. Here the work runs in a thread of its own, which `abort` makes end; without one it is left behind, to end with
    its own time-outs or with the process.

    Raises:
        TimeoutError: the time is over.
        BaseException: what `work` raises.
    """
    outcome: _Outcome[T] = _Outcome()

    def run() -> None:
        try:
            outcome.value = work()
        except BaseException as error:  # raised again in the thread that waits
            outcome.error = error

    thread = threading.Thread(target=run, name="deadline", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        if abort is not None:
            abort()
        raise TimeoutError(f"it took longer than {seconds:g} s")
    if outcome.error is not None:
        raise outcome.error
    return outcome.value
