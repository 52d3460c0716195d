"""The log of a run: one JSON object a line, with what happened, warnings, times and memory.

It is for people who ask later what a run went through. Nothing is read back from it, no hash covers it, and a log that
cannot be written ends nothing.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

LOG: Final = "log.jsonl"

Listener = Callable[[str], None]
_listeners: list[Listener] = []


def listen(listener: Listener | None) -> None:
    """Tell `listener` each event in one line, from now on and in this process; None: nobody."""
    _listeners[:] = [] if listener is None else [listener]


class RunLog:
    """Appends events to ``log.jsonl`` of a folder; several processes may do so at once.

    Each line holds `time` (UTC), `pid`, `event`, `peak_mib` (the high-water mark of this process's memory; None where
    the system does not tell) and what the event is about.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / LOG

    def event(self, name: str, /, **facts: Any) -> None:
        """Write one event."""
        peak = peak_mib()
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        line = json.dumps(
            {"time": now, "pid": os.getpid(), "event": name, "peak_mib": peak, **facts}, ensure_ascii=True, default=str
        )
        # A full disk or a folder in the log's place: the run itself tells of those.
        with contextlib.suppress(OSError):
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
            descriptor = os.open(self.path, flags, 0o666)
            try:
                # One call for one line: lines of several processes do not mix.
                os.write(descriptor, f"{line}\n".encode())
            finally:
                os.close(descriptor)
        details = ", ".join(f"{key} {value}" for key, value in facts.items())
        for listener in _listeners:
            listener(
                f"{now[11:19]} {name}{': ' if details else ''}{details}{'' if peak is None else f' [{peak:.0f} MiB]'}"
            )

    @contextlib.contextmanager
    def stage(self, name: str, /, **facts: Any) -> Iterator[dict[str, Any]]:
        """Write one event at the end of a block, with its `seconds`; what is put into the yielded dict is added.

        A block that an exception leaves has `outcome` "failed" and the error.
        """
        started, more = time.perf_counter(), dict(facts)
        try:
            yield more
        except BaseException as error:
            more |= {"outcome": "failed", "error": f"{type(error).__name__}: {str(error)[:500]}"}
            raise
        finally:
            self.event(name, seconds=round(time.perf_counter() - started, 3), **more)

    def attach(self) -> Callable[[], None]:
        """Write the warnings that this package logs from now on; they are printed as before. Return what ends it."""
        logger = logging.getLogger("robustness")
        handlers: list[logging.Handler] = [_Handler(self)]
        if not _is_printed(logger):
            # With a handler of any kind Python no longer prints what nobody handles.
            handlers.append(logging.StreamHandler(sys.stderr))
            handlers[-1].setLevel(logging.WARNING)
        for handler in handlers:
            logger.addHandler(handler)

        def detach() -> None:
            for handler in handlers:
                logger.removeHandler(handler)

        return detach

    @contextlib.contextmanager
    def session(self, **facts: Any) -> Iterator[None]:
        """Write the beginning and the end of a session in this folder, and between them the warnings that are logged.

        A process that is killed writes no end.
        """
        self.event("start", **facts)
        detach = self.attach()
        try:
            with self.stage("end") as outcome:
                yield
                outcome["outcome"] = "finished"
        finally:
            detach()


class _Handler(logging.Handler):
    def __init__(self, log: RunLog) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Write a warning as an event."""
        self._log.event("warning", message=record.getMessage(), module=record.name)


def _is_printed(logger: logging.Logger) -> bool:
    handlers = [*logger.handlers, *logging.getLogger().handlers]
    return any(not isinstance(handler, _Handler) for handler in handlers)


def peak_mib() -> float | None:
    """Return the most memory that this process has held so far, in MiB; None where the system does not tell."""
    try:
        import resource
    except ImportError:  # pragma: no cover - Windows
        return None
    # Bytes on macOS, KiB elsewhere.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)
