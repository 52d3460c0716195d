"""Processes beside the one that was called: how they are started and end, and one that computes something aside.

Where the system can, they are forked from a process that has imported the libraries and computed nothing: imports are
paid for and held in memory once. That is a server, or the command itself as long as it has no threads.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from multiprocessing import connection
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_info

from robustness.lazy import is_command

_IMPORTED_ONCE = [
    "robustness.runners.audit.processes",
    "robustness.workflows.loading",
    "robustness.runners.audit.run",
    "robustness.runners.models.load",
    "pandas",
    "scipy.ndimage",
    "scipy.spatial",
]

# What ends a command from outside.
ENDING = {signal.SIGINT, signal.SIGTERM}
# Where Linux lists the threads of this process.
_TASKS = Path("/proc/self/task")


def is_of_server() -> bool:
    """Return whether this process is the server that others are forked from, or one of them."""
    return any("multiprocessing.forkserver" in argument for argument in sys.orig_argv)


if is_of_server():
    # It ends with its last client. To free what it imported takes a second, for which whoever reads the output of the
    # command would wait. The forked ones do not come here: they end by `os._exit` themselves.
    atexit.register(os._exit, 0)


class Aside:
    """What generators yield, computed in another process meanwhile.

    Args:
        pipe: to the process, in which `serve_aside` runs.
        process: ended by `end`.
    """

    def __init__(self, pipe: connection.Connection, process: Any) -> None:
        self._pipe, self._process = pipe, process

    def begin(self, work: Callable[..., Generator[Any, Any, None]], *arguments: Any) -> None:
        """Call `work` with `arguments` there: each value that it yields is a result, `give` resumes it.

        All of these, and what is given, must be picklable.
        """
        self.give((work, arguments))

    def ready(self) -> bool:
        """Return whether `result` need not wait."""
        return self._pipe.closed or bool(self._pipe.poll())

    def result(self) -> Any:
        """Wait for the next; None where the process failed or was killed, and the caller had better do it itself."""
        try:
            return self._pipe.recv()
        except (EOFError, OSError):
            self.end()
            return None

    def give(self, value: Any) -> None:
        """Let it go on with `value`, once its last result was taken; where it failed, the next result is None."""
        with contextlib.suppress(OSError):
            self._pipe.send(value)

    def end(self) -> None:
        """End the process, whatever it is at; nothing more comes of it."""
        self._pipe.close()
        self._process.terminate()
        self._process.join()


def serve_aside(pipe: connection.Connection) -> None:
    """Run in this process what an `Aside` at the other end of `pipe` begins."""
    # Whatever is raised, in code of others too, comes again where the caller does the work.
    with contextlib.suppress(Exception):
        work, arguments = pipe.recv()
        steps = work(*arguments)
        result = next(steps)
        while True:
            pipe.send(result)
            result = steps.send(pipe.recv())


def leave_signals_to_parent() -> None:
    """Ignore an interrupt from the terminal, which reaches all processes: the parent ends this one, or ends itself.

    Whatever a forked process has of its parent's stays: no search for garbage looks at it, which would copy it.
    """
    gc.freeze()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if forks():
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process as soon as its parent is gone: nobody would hold the run's folder any longer."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


def forks() -> bool:
    """Return whether a new process is forked from a server, and so has what workers import from its start."""
    return "forkserver" in multiprocessing.get_all_start_methods()


def process_context() -> Any:
    """Return how processes are started: forked from a server that has imported what they need, where the system can.

    The server runs from then on, and imports while this process goes on.
    """
    if not forks():
        return multiprocessing.get_context("spawn")
    from multiprocessing import forkserver, resource_tracker

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_IMPORTED_ONCE)
    # It unblocks what the next one must inherit as blocked: an interrupt would end its imports with a traceback.
    resource_tracker.ensure_running()
    with signals_held({signal.SIGINT}):
        forkserver.ensure_running()
    return context


@contextlib.contextmanager
def without_threads() -> Iterator[None]:
    """Let torch compute in this thread alone while a command loads what it may yet be forked with."""
    if not is_command():
        yield
        return
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def worker_context() -> Any:
    """Return how workers are started that load everything themselves: forked from this process if that is safe.

    Returns:
        The context "fork" if this process is a command's, once it has imported what workers need, and if it has neither
        a thread but this one nor an accelerator; else that of `process_context`. Of several threads, a fork takes along
        the locks that the others hold at that moment; a driver that was asked once works in no fork.
    """
    if is_command() and _TASKS.is_dir():
        for name in _IMPORTED_ONCE:
            importlib.import_module(name)
        if not _has_accelerator() and _is_alone():
            return multiprocessing.get_context("fork")
    return process_context()


def _has_accelerator() -> bool:
    import torch

    return torch.accelerator.is_available()


def _is_alone() -> bool:
    """Return whether no thread runs beside this one but those of libraries that are ready for a fork.

    OpenBLAS ends its threads before a fork and starts them again when they are needed; jemalloc, of Arrow, holds its
    locks meanwhile.
    """
    blas = [int(library["num_threads"]) for library in threadpool_info() if library["internal_api"] == "openblas"]
    names = [_name(task) for task in _TASKS.iterdir()]
    others = len(names) - 1 - names.count("jemalloc_bg_thd")
    return threading.active_count() == 1 and others == sum(blas) - len(blas)


def _name(task: Path) -> str:
    # One that ended meanwhile has none, and is counted as a stranger.
    with contextlib.suppress(OSError):
        return (task / "comm").read_text(encoding="utf-8", errors="replace").strip()
    return ""


@contextlib.contextmanager
def signals_held(blocked: set[signal.Signals]) -> Iterator[None]:
    """Hold back signals in the block, and in a process that is started there until it lets them come."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
