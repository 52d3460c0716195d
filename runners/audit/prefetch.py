"""Work that is done ahead in one background thread, so that reading images overlaps with computing.

The order of results, their values and the place of their errors are those of doing the work when it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)


class Prefetch(Generic[K, T]):
    """Makes one thing per key, at most `ahead` of them before they are asked for.

    Args:
        make: makes a thing; it runs in one thread at a time and need not be safe for several.
        ahead: things that may wait; 0 makes each in the calling thread when it is asked for.
    """

    def __init__(self, make: Callable[[K], T], *, ahead: int) -> None:
        self._make = make
        self._ahead = ahead
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="prefetch") if ahead else None
        self._waiting: dict[K, Future[T]] = {}

    def expect(self, keys: Iterable[K]) -> None:
        """Begin with what will be asked for, in that order, as far as there is room."""
        for key in keys:
            if len(self._waiting) >= self._ahead:
                return
            if key not in self._waiting:
                self._begin(key)

    def take(self, key: K) -> T:
        """Return what `key` stands for, made already or made now; its error is raised here."""
        if self._thread is None:
            return self._make(key)
        if key not in self._waiting:
            self._begin(key)
        return self._waiting.pop(key).result()

    def close(self) -> None:
        """Forget what waits and end the thread, after what it is at."""
        if self._thread is not None:
            self._thread.shutdown(wait=True, cancel_futures=True)
        self._waiting.clear()

    def _begin(self, key: K) -> None:
        if self._thread is not None:
            self._waiting[key] = self._thread.submit(self._make, key)
