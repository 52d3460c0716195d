"""Choose how many processes audit on this machine, or feed its accelerator: as cores, memory and the work allow."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from robustness.errors import InputError, counted
from robustness.plans.audit import Plan
from robustness.runners.data.dataset import Dataset
from robustness.runners.inference.segmenter import NetworkSegmenter
from robustness.types import Segmenter

# What a process needs besides weights: libraries, images, maps and activations of a batch (docs/performance.md).
_BASE_GIB = 0.9
# Weights, their copy while they are loaded, and activations that grow with the network.
_BYTES_PER_PARAMETER = 12
# Where a container or a batch job finds its limits (control groups, version 2).
CONTROL_GROUP = Path("/sys/fs/cgroup")
# What a feeder needs: libraries, the images of a part, two waves of changed ones and the masks that come back.
_FEEDER_GIB = 0.9
# Fewer rows than this take less time than the start of a process.
_WORTH_IT = 2_000


class WorkerCount(NamedTuple):
    """How many processes audit, each with how many threads, and why.

    Attributes:
        threads: None: as the plan or torch says.
        feeders: processes that prepare and score for the models of this one; then `workers` is 1.
    """

    workers: int
    threads: int | None
    reason: str
    feeders: int = 0

    def __str__(self) -> str:
        """Return the choice in one line."""
        threads = "" if self.threads is None else f", {self.threads} thread{'s' * (self.threads > 1)} each"
        if self.feeders:
            return f"{self.feeders} feeder{'s' * (self.feeders > 1)}{threads}: {self.reason}"
        return f"{self.workers} worker{'s' * (self.workers > 1)}{threads}: {self.reason}"


def processes_of(
    plan: Plan,
    models: Sequence[Segmenter],
    datasets: Sequence[Dataset],
    conditions: Sequence[int],
    *,
    workers: int | Literal["auto"] | None,
    feeders: int | None,
    executor: str = "local",
) -> WorkerCount:
    """Return the processes that a caller states, or else the plan, or (`workers` "auto") the machine.

    Args:
        plan, models, datasets, conditions: see `chosen_workers`.
        workers, feeders: of the caller; None: the plan's, else one worker without feeders.
        executor: "local" or "ray".

    Raises:
        InputError: feeders beside several workers or Ray, or for a model that is no network.
    """
    feeders = plan.engine.feeders if feeders is None else feeders
    stated = plan.engine.workers if workers in (None, "auto") else workers
    if feeders:
        if executor != "local":
            raise InputError(
                f"feeders: expected the executor 'local', got {executor!r}, whose workers prepare for themselves"
            )
        if isinstance(stated, int) and stated > 1:
            raise InputError(f"feeders: expected one worker beside {feeders} feeders, got {stated}; state one of them")
        return stated_feeders(plan, models, feeders)
    if isinstance(stated, int):
        return stated_workers(plan, stated)
    if workers is None:
        return stated_workers(plan, 1)
    return chosen_workers(plan, models, datasets, conditions, may_feed=feeders is None)


def stated_workers(plan: Plan, workers: int) -> WorkerCount:
    """Return the count that was asked for; threads that the plan leaves open are the cores, divided."""
    threads = plan.engine.threads
    if threads is None and workers > 1:
        threads = max(1, cores() // workers)
    return WorkerCount(workers, threads, "as stated")


def chosen_workers(
    plan: Plan,
    models: Sequence[Segmenter],
    datasets: Sequence[Dataset],
    conditions: Sequence[int],
    *,
    may_feed: bool = True,
) -> WorkerCount:
    """Return how many processes to use where nobody says.

    Args:
        plan, models, datasets: of the audit.
        conditions: for each data set, how many conditions each of its cases is asked under.
        may_feed: feeders for networks on an accelerator may be chosen.
    """
    one = plan.engine.threads
    rows = len(models) * sum(len(data) * count for data, count in zip(datasets, conditions, strict=True))
    if may_feed and rows >= _WORTH_IT and _all_on_accelerators(models):
        return chosen_feeders(plan)
    if any(str(getattr(model, "device", "")) != "cpu" for model in models):
        return WorkerCount(1, one, "not all models are networks on the processor")
    if rows < _WORTH_IT:
        return WorkerCount(1, one, f"about {counted(rows, 'row')} would not make up for the start of another process")
    need = _BASE_GIB + _BYTES_PER_PARAMETER * max(map(_parameters, models)) / 2**30
    by_cores = cores() // (plan.engine.threads or 1)
    by_memory = int(free_gib() / need)
    workers = max(1, min(by_cores, by_memory))
    reason = f"{cores()} cores, {free_gib():.1f} GiB free, about {need:.1f} GiB for each"
    return WorkerCount(workers, stated_workers(plan, workers).threads, reason)


def stated_feeders(plan: Plan, models: Sequence[Segmenter], feeders: int) -> WorkerCount:
    """Return the count that was asked for; threads that the plan leaves open are the cores, divided.

    Raises:
        InputError: a model is no network.
    """
    refuse_unfed(models)
    threads = plan.engine.threads or max(1, cores() // (feeders + 1))
    return WorkerCount(1, threads, "as stated", feeders)


def chosen_feeders(plan: Plan) -> WorkerCount:
    """Return how many processes feed an accelerator where nobody says: a core is left for the one that holds it."""
    by_cores = (cores() - 1) // (plan.engine.threads or 1)
    by_memory = int((free_gib() - _BASE_GIB) / _FEEDER_GIB)
    feeders = max(0, min(by_cores, by_memory))
    reason = f"{cores()} cores, {free_gib():.1f} GiB free, about {_FEEDER_GIB} GiB for each"
    if not feeders:
        return WorkerCount(1, plan.engine.threads, f"no core or memory is left for a feeder: {reason}")
    threads = plan.engine.threads or max(1, cores() // (feeders + 1))
    return WorkerCount(1, threads, reason, feeders)


def refuse_unfed(models: Sequence[Segmenter]) -> None:
    """Check that feeders can prepare for all models.

    Raises:
        InputError: one is no network of this suite.
    """
    for model in models:
        if not isinstance(model, NetworkSegmenter):
            raise InputError(
                f"feeders: expected networks, got {model.name!r} ({type(model).__name__}), which reads its images "
                "itself; use feeders = 0"
            )


def _all_on_accelerators(models: Sequence[Segmenter]) -> bool:
    # Of MPS nothing was tried.
    return all(isinstance(model, NetworkSegmenter) and model.device.type not in ("cpu", "mps") for model in models)


def cores() -> int:
    """Return how many processor cores this process may use: those it may run on, and no more than its quota of time."""
    affinity = getattr(os, "sched_getaffinity", None)
    seen = len(affinity(0)) if affinity else os.cpu_count() or 1
    quota, period = [*_limit("cpu.max"), "max", "1"][:2]
    return seen if quota == "max" else max(1, min(seen, math.floor(int(quota) / int(period))))


def _limit(name: str) -> list[str]:
    """Return the words of a control group's file; none where there is no such file."""
    try:
        return (CONTROL_GROUP / name).read_text(encoding="ascii").split()
    except OSError:
        return []


def _parameters(model: Segmenter) -> int:
    network = getattr(model, "network", None)
    return 0 if network is None else sum(p.numel() for p in network.parameters())


def free_gib() -> float:
    """Return the memory that can be had: what Linux calls available, elsewhere half of what is built in.

    In a container no more than its limit leaves; files that the system only remembers do not count against it.
    """
    return min(_machine_free_gib(), _container_free_gib())


def _machine_free_gib() -> float:
    meminfo = Path("/proc/meminfo")
    if meminfo.is_file():
        fields = dict(line.split(":", 1) for line in meminfo.read_text(encoding="ascii").splitlines())
        return int(fields["MemAvailable"].split()[0]) / 2**20
    if "SC_PHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**31
    return 0.0


def _container_free_gib() -> float:
    limit, used, stat = _limit("memory.max"), _limit("memory.current"), _limit("memory.stat")
    if not limit or not used or limit == ["max"]:
        return math.inf
    remembered = dict(zip(stat[::2], stat[1::2], strict=False)).get("inactive_file", "0")
    return max(0, int(limit[0]) - int(used[0]) + int(remembered)) / 2**30
