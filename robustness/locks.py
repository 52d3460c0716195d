"""A lock between processes that waits: several test workers, one audit."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path


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
