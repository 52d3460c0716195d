"""Executors of the parts of an audit: this process, or workers of a Ray cluster.

Parts are independent and each is written whole, so any executor gives the same table and any of them can be killed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from robustness.errors import CaseError, InputError
from robustness.types import Progress


class PartRunner(Protocol):
    """Runs one part by its number and stores it."""

    def run_part(self, index: int) -> None:
        """Predict, score and store part `index`."""
        ...


def run_local(runner: PartRunner, pending: Sequence[int], *, total: int, progress: Progress | None) -> None:
    """Run the pending parts one after the other in this process."""
    for done, index in enumerate(pending):
        if progress:
            progress(total - len(pending) + done, total)
        runner.run_part(index)


def run_on_ray(
    make_runner: Callable[[], PartRunner],
    pending: Sequence[int],
    *,
    first: Sequence[int] = (),
    total: int,
    progress: Progress | None,
    threads: int = 1,
) -> None:
    """Run the pending parts on a Ray cluster (or a local Ray, where none is connected).

    Every worker opens the data and the models once. The run's folder must be reachable by all workers.

    Args:
        make_runner: called in each worker.
        pending: the numbers of the parts.
        first: those of `pending` that must be there before any other is run.
        total: parts in all, for `progress`.
        progress: called with (parts done, parts in all).
        threads: CPU threads of a worker; where there are no GPUs, as many workers run as have room beside each other.

    Raises:
        InputError: Ray is not installed, or what a worker raises.
        CaseError: what a worker raises.
    """
    try:
        import ray
    except ImportError as error:
        raise InputError("--executor ray: Ray is not installed; pip install 'vlsm-robustness[ray]'") from error
    started_here = not ray.is_initialized()
    if started_here:
        ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    try:
        for done, _ in enumerate(_parts_on_ray(ray, make_runner, pending, first, threads)):
            if progress:
                progress(total - len(pending) + done + 1, total)
    except ray.exceptions.RayError as error:
        # Ray wraps what a worker raises into text with a traceback.
        cause = getattr(error, "cause", None)
        if isinstance(cause, InputError | CaseError):
            raise cause from None
        raise
    finally:
        if started_here:
            ray.shutdown()


def _parts_on_ray(
    ray: Any, make_runner: Callable[[], PartRunner], pending: Sequence[int], first: Sequence[int], threads: int
) -> Iterator[int]:
    @ray.remote
    class Worker:
        def __init__(self) -> None:
            self.runner: PartRunner | None = None

        def run(self, index: int) -> int:
            # Opened here and not in the constructor, whose errors end a worker without their message.
            self.runner = self.runner or make_runner()
            self.runner.run_part(index)
            return index

    resources = ray.cluster_resources()
    gpus, cpus = int(resources.get("GPU", 0)), int(resources.get("CPU", 1))
    count = max(1, min(len(pending), gpus or cpus // threads))
    options: dict[str, Any] = {"num_gpus": 1} if gpus else {"num_cpus": min(threads, cpus)}
    actor: Any = Worker
    pool = ray.util.ActorPool([actor.options(**options).remote() for _ in range(count)])
    for parts in (list(first), [index for index in pending if index not in first]):
        yield from pool.map_unordered(lambda worker, index: worker.run.remote(index), parts)
