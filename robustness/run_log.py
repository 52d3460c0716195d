"""The log of a run: one JSON object a line, with events, warnings, times and peak memory."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

LOG: Final = "log.jsonl"


class RunLog:
    """Appends events to ``log.jsonl`` in a run's folder; sessions of a resumed run follow each other.

    A line is written and flushed whole. A log that cannot be written never stops the run: it goes on without one.

    Args:
        folder: the run's folder.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOG
        self._usable = True

    def event(self, name: str, **facts: Any) -> None:
        """Append one event with its time (UTC) and this process's number."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"time": now, "event": name, "process": os.getpid(), **facts}, default=str) + "\n"
        if self._usable:
            try:
                self._append(line.encode())
            except OSError:
                self._usable = False

    @contextlib.contextmanager
    def stage(self, name: str, **facts: Any) -> Iterator[None]:
        """Log the beginning and the end of a stage: its seconds, peak memory, and the error that ended it."""
        started = time.perf_counter()
        self.event(f"{name} started", **facts)
        try:
            yield
        except BaseException as error:
            reason = " ".join(str(error).split())
            self.event(f"{name} stopped", seconds=_since(started), error=f"{type(error).__name__}: {reason}")
            raise
        self.event(f"{name} finished", seconds=_since(started), peak_memory_mb=peak_memory_mb())

    def _append(self, line: bytes) -> None:
        # A pipe in the log's place must not be waited for, nor a link be followed out of the folder.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        descriptor = os.open(self._path, flags, 0o666)
        try:
            os.write(descriptor, line)
        finally:
            os.close(descriptor)


def read_log(folder: Path) -> list[dict[str, Any]]:
    """Return the events of a run's log; a last line that a kill cut short is left out, [] where there is no log."""
    path = folder / LOG
    if not path.is_file():
        return []
    events = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        with contextlib.suppress(ValueError):
            events.append(json.loads(line))
    return [event for event in events if isinstance(event, dict)]


def peak_memory_mb() -> float | None:
    """Return the largest resident memory of this process so far in MB; None where the system does not tell."""
    try:
        import resource
    except ImportError:  # pragma: no cover - Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Linux counts in KiB, macOS in bytes.
    return round(peak / (1 << 20 if sys.platform == "darwin" else 1 << 10), 1)


def _since(started: float) -> float:
    return round(time.perf_counter() - started, 3)
