"""Several processes as one: who takes which cases of a step, and how what they saw comes together."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from robustness.plans.finetune import TrainSpec

T = TypeVar("T")


class Ranks(NamedTuple):
    """This process among those that train together.

    Attributes:
        rank: its number, from 0.
        size: how many there are, on all machines.
    """

    rank: int = 0
    size: int = 1

    def share(self, items: Sequence[T]) -> list[T]:
        """Return every `size`-th of `items`, from `rank` on; the first of all where none is left for this process."""
        own = list(items[self.rank :: self.size])
        # Every process must take part in a validation; `together` leaves what comes twice out.
        return own or list(items[:1])

    def together(self, own: Sequence[T], total: int) -> list[T]:
        """Return the `total` items of all processes in the order that `share` took them from."""
        if self.size == 1:
            return list(own)
        parts = self.gathered(list(own))
        return [parts[index % self.size][index // self.size] for index in range(total)]

    def gathered(self, own: Any) -> list[Any]:
        """Return what each process gives, by rank."""
        if self.size == 1:
            return [own]
        import torch.distributed

        everything: list[Any] = [None] * self.size
        torch.distributed.all_gather_object(everything, own)
        return everything


ONE = Ranks()


class MicroBatch(NamedTuple):
    """The cases of one forward and backward pass, and what its mean loss is multiplied by."""

    cases: list[int]
    weight: float


def micro_batches(
    order: Sequence[int], *, batch_size: int, accumulate: int = 1, ranks: Ranks = ONE
) -> Iterator[MicroBatch]:
    """Yield one process's batches of an epoch.

    Weights make each optimizer step that of one batch with all its cases: the trainer divides by `accumulate` and by
    the number of processes, which is right for full batches alone. A process without a case left repeats one with
    weight 0, because all must take the same number of steps.
    """
    whole = batch_size * accumulate * ranks.size
    for start in range(0, len(order), whole):
        cases = list(order[start : start + whole])
        passes = math.ceil(len(cases) / (batch_size * ranks.size))
        parts = [list(map(int, part)) for part in np.array_split(cases, passes * ranks.size)]
        for own in parts[ranks.rank :: ranks.size]:
            yield MicroBatch(own or cases[:1], len(own) * accumulate * ranks.size / len(cases))


# How torchrun, SLURM and this module tell a process its number: on its machine, and among all.
_LOCAL = ("LOCAL_RANK", "SLURM_LOCALID")


_GLOBAL = ("RANK", "SLURM_PROCID")


def must_launch(spec: TrainSpec) -> bool:
    """Return whether the plan wants several processes and nobody has started them."""
    return spec.devices * spec.nodes > 1 and not any(name in os.environ for name in _LOCAL)


def own_ranks(spec: TrainSpec) -> Ranks:
    """Return this process's place among those of the plan."""
    count = spec.devices * spec.nodes
    if count == 1:
        return ONE
    stated = next((os.environ[name] for name in _GLOBAL if name in os.environ), None)
    if stated is not None:
        return Ranks(int(stated), count)
    return Ranks(int(os.environ.get("NODE_RANK", "0")) * spec.devices + _local_rank(), count)


def own_device(device: str, spec: TrainSpec) -> str:
    """Return the device of this process: with several processes, the GPU with its number on this machine."""
    from robustness.runners.inference.devices import resolve_device

    if spec.devices * spec.nodes == 1 or resolve_device(device).type != "cuda":
        return device
    return f"cuda:{_local_rank()}"


def _local_rank() -> int:
    return int(next((os.environ[name] for name in _LOCAL if name in os.environ), "0"))
