"""The cases of a part of an audit, prefetched for the model that waits for them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, NamedTuple, TypeVar

from robustness.errors import CaseError
from robustness.runners.audit.jobs import Group
from robustness.runners.audit.rows import ResultRow, SeriesIdentity
from robustness.runners.data.dataset import Dataset

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)


class AuditStoppedError(CaseError):
    """A case failed and `strict` was asked for; the parts before it are kept."""


class ImageOf(NamedTuple):
    """One image of a part: the part's number, its dataset's number, the image."""

    part: int
    dataset: int
    image: str


class Prefetch(Generic[K, T]):
    """Makes one thing per key in a background thread, at most `depth` of them before they are asked for.

    The order of results, their values and the place of their errors are those of making each when it is asked for.

    Args:
        make: makes a thing; it runs in one thread at a time and need not be safe for several.
        depth: things that may wait; 0 makes each in the calling thread when it is asked for.
    """

    def __init__(self, make: Callable[[K], T], *, depth: int) -> None:
        self._make = make
        self._depth = depth
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="prefetch") if depth else None
        self._waiting: dict[K, Future[T]] = {}

    def expect(self, keys: Iterable[K]) -> None:
        """Begin with what will be asked for, in that order, as far as there is room."""
        for key in keys:
            if len(self._waiting) >= self._depth:
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


class Reader:
    """Reads the cases on one image after the other, in a thread of its own where `prefetch` is not 0.

    Args:
        datasets: the plan's.
        places: for each dataset, image to the numbers of its cases.
        identities: for each part, the columns that say which run a row belongs to.
        strict: a case that cannot be read is an error instead of a row.
        prefetch: images that may be held before they are asked for.

    Attributes:
        on_case: called with the name of each case before it is read.
    """

    def __init__(
        self,
        datasets: Sequence[Dataset],
        places: Sequence[Mapping[str, Sequence[int]]],
        identities: Sequence[SeriesIdentity],
        *,
        strict: bool,
        prefetch: int,
    ) -> None:
        self._datasets, self._places, self._identities = datasets, places, identities
        self._strict = strict
        self.on_case: Callable[[str], None] | None = None
        self._prefetch: Prefetch[ImageOf, Group] = Prefetch(self._read, depth=prefetch)

    def groups(self, images: Sequence[ImageOf], *, then: Iterable[ImageOf] = ()) -> list[Group]:
        """Return the cases of `images` in that order, and begin to read what is needed `then`.

        Raises:
            AuditStoppedError: `strict`, and a case of `images` cannot be read.
        """
        read = []
        for number, image in enumerate(images):
            self._prefetch.expect(images[number:])
            read.append(self._prefetch.take(image))
        self._prefetch.expect(then)
        return read

    def close(self) -> None:
        """Let go of what was read for nothing."""
        self._prefetch.close()

    def _read(self, image: ImageOf) -> Group:
        dataset = self._datasets[image.dataset]
        cases, failed = [], []
        for number in self._places[image.dataset][image.image]:
            info = dataset.infos[number]
            if self.on_case is not None:
                self.on_case(info.case_id)
            try:
                cases.append((number, dataset[number], info.prompts))
            except CaseError as error:
                if self._strict:
                    raise AuditStoppedError(f"{info.case_id}: {error} (stopped: strict)") from error
                row = ResultRow.of(self._identities[image.part], info).failed(error)
                failed.append(((number, 0, 0, 0), row))
        return Group(tuple(cases), tuple(failed))
