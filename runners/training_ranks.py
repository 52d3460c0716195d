"""Several processes as one: who takes which cases of a step, and how what they saw comes together."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

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

        found: list[Any] = [None] * self.size
        torch.distributed.all_gather_object(found, own)
        return found


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
