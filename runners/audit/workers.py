"""Worker processes on this machine: each opens the plan's models and data itself and takes part after part.

The process that was called is one of the workers. Parts are the same as in one process and each is written whole, so
the table is the same, and a killed run resumes. How workers are started is told in `processes`. They may be started
before the parts are known, and load beside the first process.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing import connection, reduction
from typing import Any, Generic, TypeVar

from robustness.errors import InputError, RobustnessError
from robustness.lazy import collect_rarely
from robustness.runners.audit.executors import PartRunner
from robustness.runners.audit.processes import (
    ENDING,
    Aside,
    leave_signals_to_parent,
    serve_aside,
    signals_held,
    worker_context,
)
from robustness.runners.environment import release_memory
from robustness.types import Progress

T = TypeVar("T")

# What a process reports that is done with its parts and goes on.
_STAYS = None


class _Queue:
    """Parts in order, taken by several processes; closed until `open` is set."""

    def __init__(self, context: Any) -> None:
        self.parts: tuple[int, ...] = ()
        self.open = context.Event()
        self._taken = context.Value("i", 0)

    def __getstate__(self) -> bytes:
        return bytes(reduction.ForkingPickler.dumps((self.open, self._taken)))

    def __setstate__(self, state: bytes) -> None:
        try:
            self.open, self._taken = pickle.loads(state)
        except FileNotFoundError:
            # The parent ended meanwhile and took its locks along.
            os._exit(1)

    def __iter__(self) -> Iterator[int]:
        self.open.wait()
        while True:
            with self._taken.get_lock():
                index = self._taken.value
                self._taken.value = index + 1
            if index >= len(self.parts):
                return
            yield self.parts[index]


class WorkerPool(Generic[T]):
    """Processes that load what they work with as soon as they are there, and then wait for their parts.

    Where they are forked from a server they are started in a thread: that takes until it has imported everything. None
    of them outlives the block.

    Args:
        load: called in each process; picklable.
        count: how many processes, this one not counted.
        afterwards: called in this process and in the first of them when no part is left, before the work of `aside`;
            picklable. None: no process stays for that.

    Attributes:
        queue: the parts, which this process takes as well.
        workers: how many processes take parts, this one counted.
    """

    def __init__(self, load: Callable[[], T], count: int, *, afterwards: Callable[[], object] | None = None) -> None:
        self._context = worker_context()
        self.queue = _Queue(self._context)
        self.workers = count + 1
        self._load, self._count, self._afterwards = load, count, afterwards
        self._links: dict[connection.Connection, Any] = {}
        self._closing = threading.Event()
        self._giver: threading.Thread | None = None
        self._busy: dict[connection.Connection, Any] = {}
        self._aside: Aside | None = None
        self._lock = threading.Lock()
        self._error: BaseException | None = None
        self._starter: threading.Thread | None = None
        if self._context.get_start_method() == "fork":
            # Before any thread is started here: the forked ones hold no lock of another.
            with signals_held(ENDING), warnings.catch_warnings():
                # Python 3.12 warns of every thread, also of those that are ready for it.
                warnings.simplefilter("ignore", DeprecationWarning)
                self._start()
        else:
            self._starter = threading.Thread(target=self._start, name="workers", daemon=True)
            self._starter.start()

    def __enter__(self) -> WorkerPool[T]:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        # A process that is being started now is ended by the thread that starts it: a user's mistake is told at once.
        with self._lock:
            for process in self._links.values():
                process.terminate()
                process.join()

    def give(self, make_runner: Callable[[T], PartRunner], parts: Sequence[int]) -> None:
        """Give the processes their parts, which they begin when the queue is opened.

        Those that are still being started get theirs meanwhile: this process need not wait for them.

        Args:
            make_runner: called in each process with what it loaded; picklable.
            parts: for the queue, in the order in which they are taken.
        """
        self.queue.parts = tuple(parts)
        self._giver = threading.Thread(target=self._give, args=(make_runner,), name="parts", daemon=True)
        self._giver.start()

    def reports(self) -> Mapping[connection.Connection, Any]:
        """Return who reports on which pipe, of the processes that have parts; wait until all were started.

        Raises:
            OSError: one could not be started.
        """
        if self._giver is not None:
            self._giver.join()
        if self._error is not None:
            raise self._error
        return self._busy

    def prepare(self) -> None:
        """Do `afterwards` in this process too, while others may still be at their last parts."""
        if self._afterwards is not None:
            self._afterwards()

    def leave_aside(self, link: connection.Connection) -> None:
        """Await no more reports of a process: it is done with its parts and stays."""
        self._aside = Aside(link, self._busy.pop(link))

    def aside(self) -> Aside | None:
        """Return the process that stayed when no part was left; None where none did."""
        return self._aside

    def _give(self, make_runner: Callable[[T], PartRunner]) -> None:
        if self._starter is not None:
            self._starter.join()
        parts = self.queue.parts
        surplus = [*self._links][max(0, len(parts) - 1) :]
        for link in surplus:
            self._links[link].terminate()
        self._busy = {link: process for link, process in self._links.items() if link not in surplus}
        for number, link in enumerate(self._busy):
            # One that was killed is met when its report is awaited.
            with contextlib.suppress(OSError):
                link.send((make_runner, parts, None if number else self._afterwards))

    def _start(self) -> None:
        try:
            for _ in range(self._count):
                ours, theirs = self._context.Pipe()
                process = self._context.Process(target=_work, args=(self._load, self.queue, theirs), daemon=True)
                process.start()
                theirs.close()
                with self._lock:
                    self._links[ours] = process
                    if self._closing.is_set():
                        process.terminate()
                        process.join()
                        return
        except BaseException as error:
            self._error = error


def run_in_workers(
    runner: PartRunner,
    make_runner: Callable[[T], PartRunner],
    pending: Sequence[int],
    *,
    pool: WorkerPool[T],
    first: Sequence[int] = (),
    total: int,
    progress: Progress | None,
) -> None:
    """Run the pending parts in this process and those of a pool.

    Args:
        runner: runs parts in this process.
        make_runner: called in each other process with what it loaded; it must be picklable.
        pending: the numbers of the parts, in the order in which they are taken.
        pool: the other processes.
        first: those of `pending` that must be there before any other is run; the others' processes load meanwhile.
        total: parts in all, for `progress`.
        progress: called with (parts done, parts in all).

    Raises:
        InputError, CaseError: what a part raises in any of the processes, or a process was killed.
    """
    pool.give(make_runner, [index for index in pending if index not in set(first)])
    count = _Count(progress, total - len(pending), total)
    for index in first:
        runner.run_part(index)
        count.add()
    pool.queue.open.set()
    for index in pool.queue:
        runner.run_part(index)
        count.add()
        _receive(pool, count, wait=False)
    pool.prepare()
    _receive(pool, count, wait=True)


class _Count:
    def __init__(self, progress: Progress | None, done: int, total: int) -> None:
        self._progress, self._done, self._total = progress, done, total
        self.add(0)

    def add(self, parts: int = 1) -> None:
        """Count parts and tell how many are done."""
        self._done += parts
        if self._progress:
            self._progress(self._done, self._total)


def _receive(pool: WorkerPool[T], count: _Count, *, wait: bool) -> None:
    """Count what was reported and raise what went wrong; `wait` until every process is done with its parts."""
    reports = pool.reports()
    waiting = [receiver for receiver in reports if not receiver.closed]
    while waiting and (ready := connection.wait(waiting, timeout=None if wait else 0)):
        for receiver in ready:
            assert isinstance(receiver, connection.Connection)
            try:
                message = receiver.recv()
            except EOFError:
                receiver.close()
                waiting.remove(receiver)
                _check_end(reports[receiver])
                continue
            if isinstance(message, Exception):
                raise message
            if message is _STAYS:
                waiting.remove(receiver)
                pool.leave_aside(receiver)
            else:
                count.add()


def _check_end(process: Any) -> None:
    process.join()
    if process.exitcode:
        how = f"was killed by signal {-process.exitcode}" if process.exitcode < 0 else "failed"
        raise InputError(
            f"workers: one of the processes {how}; the parts that are done are kept. Run the same command again, with "
            "fewer workers if memory was short"
        )


def _work(load: Callable[[], T], queue: _Queue, link: connection.Connection) -> None:
    collect_rarely()
    leave_signals_to_parent()
    try:
        loaded = load()
        make_runner, queue.parts, afterwards = link.recv()
        runner = make_runner(loaded)
        for index in queue:
            runner.run_part(index)
            link.send(index)
    except RobustnessError as error:
        link.send(error)
        return
    if afterwards is not None:
        link.send(_STAYS)
        # What follows needs no model and no data.
        del loaded, runner
        release_memory()
        afterwards()
        serve_aside(link)
