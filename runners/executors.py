"""Who runs the parts of an audit: this process, or workers of a Ray cluster.

Parts are independent and each is written whole, so any executor gives the same table and any of them can be killed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from robustness.errors import InputError

Progress = Callable[[int, int], None]


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
    make_runner: Callable[[], PartRunner], pending: Sequence[int], *, total: int, progress: Progress | None
) -> None:
    """Run the pending parts on a Ray cluster (or a local Ray, where none is connected).

    Every worker opens the data and the models once. The run's folder must be reachable by all workers.

    Raises:
        InputError: Ray is not installed.
    """
    try:
        import ray
    except ImportError as error:
        raise InputError("--executor ray: Ray is not installed; pip install 'vlsm-robustness[ray]'") from error
    if not ray.is_initialized():
        ray.init(include_dashboard=False, log_to_driver=False)

    @ray.remote
    class Worker:
        def __init__(self) -> None:
            self.runner = make_runner()

        def run(self, index: int) -> int:
            self.runner.run_part(index)
            return index

    gpus = int(ray.cluster_resources().get("GPU", 0))
    count = max(1, min(len(pending), gpus or int(ray.cluster_resources().get("CPU", 1))))
    options: dict[str, Any] = {"num_gpus": 1} if gpus else {"num_cpus": 1}
    actor: Any = Worker
    pool = ray.util.ActorPool([actor.options(**options).remote() for _ in range(count)])
    for done, _ in enumerate(pool.map_unordered(lambda worker, index: worker.run.remote(index), list(pending))):
        if progress:
            progress(total - len(pending) + done + 1, total)
