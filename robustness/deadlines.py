"""One deadline for a whole piece of work, whatever it waits for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


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
