"""Several datasets trained on together, each with its share of every epoch."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from robustness.errors import InputError
from robustness.runners.data.load import Dataset
from robustness.runners.training.samples.cases import TrainingCases
from robustness.runners.training.samples.resized_cases import Sample
from robustness.seeds import generator


class PooledCases:
    """The cases of several datasets as one set, in the form of `TrainingCases`.

    An epoch holds as many samples as there are cases. A dataset's part of them is its share of the weights; where that
    is more than it has cases, cases come again with other draws, where it is less, each epoch takes others.

    Args:
        parts: the datasets' cases.
        weights: one positive number per dataset; None: its number of cases, so that every case comes once.
        seed: of the order.
    """

    def __init__(
        self, parts: Sequence[TrainingCases], *, weights: Sequence[float] | None = None, seed: int = 0
    ) -> None:
        self.parts = tuple(parts)
        self.seed = seed
        self._starts = np.cumsum([0, *(len(part) for part in self.parts)])
        self.shares = _shares([len(part) for part in self.parts], weights)

    def __len__(self) -> int:
        return int(self._starts[-1])

    @property
    def first(self) -> Dataset:
        """The first dataset."""
        return self.parts[0].first

    def pools(self) -> list[Dataset]:
        """Return the data besides the first dataset that samples come from."""
        return [part.first for part in self.parts[1:]] + [data for part in self.parts for data in part.pools()]

    def order(self, epoch: int) -> list[int]:
        """Return the samples of `epoch`: places of cases, plus `len(self)` for each time that a case came before."""
        drawn: list[int] = []
        for position, (part, share) in enumerate(zip(self.parts, self.shares, strict=True)):
            for turn in range(math.ceil(share / len(part))):
                rng = generator(self.seed, "epoch", epoch, "pool", position, turn)
                taken = rng.permutation(len(part))[: share - turn * len(part)]
                drawn += [int(turn * len(self) + self._starts[position] + i) for i in taken]
        return [drawn[i] for i in generator(self.seed, "epoch", epoch, "pool", "order").permutation(len(drawn))]

    def drawn(self, index: int, epoch: int) -> Sample:
        """Return the sample that (seed, epoch, case, how often it came before) gives a case."""
        turn, position = divmod(index, len(self))
        part, own = self._at(position)
        return part.drawn(own, epoch, turn=turn)

    def plain(self, index: int, epoch: int = 0) -> Sample:
        """Return a case as it is; see `TrainingCases.plain`."""
        part, own = self._at(index)
        return part.plain(own, epoch)

    def _at(self, position: int) -> tuple[TrainingCases, int]:
        which = int(np.searchsorted(self._starts, position, side="right")) - 1
        return self.parts[which], position - int(self._starts[which])


def _shares(sizes: Sequence[int], weights: Sequence[float] | None) -> list[int]:
    """Return how many samples of an epoch each dataset gives; largest remainders, so that they add up."""
    if weights is None:
        return list(sizes)
    total, whole = sum(sizes), sum(weights)
    exact = [total * weight / whole for weight in weights]
    shares = [math.floor(share) for share in exact]
    by_rest = sorted(range(len(exact)), key=lambda i: (shares[i] - exact[i], i))
    for i in by_rest[: total - sum(shares)]:
        shares[i] += 1
    if not all(shares):
        raise InputError(
            f"data.weight: expected weights that give each dataset at least one of {total} samples of an epoch, got "
            f"{', '.join(f'{w:g}' for w in weights)}"
        )
    return shares


def limited(dataset: Dataset, fraction: float, *, seed: int) -> list[int]:
    """Return the places of the cases of a share of the subjects, at least one; smaller shares are part of larger ones.

    Args:
        dataset: the cases.
        fraction: share of the subjects, in (0, 1].
        seed: of the order in which subjects are taken.

    Raises:
        InputError: a smaller share than 1 that still is all subjects.
    """
    subjects = sorted({info.subject_id for info in dataset.infos})
    order = generator(seed, "fraction").permutation(len(subjects))
    count = max(1, round(fraction * len(subjects)))
    if fraction < 1 and count == len(subjects):
        raise InputError(
            f"data.fraction: expected a share that leaves a subject out, {fraction:g} of {len(subjects)} in"
            f" {dataset.name} is all of them; give data.subject = 'image' to take a share of the images"
        )
    chosen = {subjects[i] for i in order[:count]}
    return [position for position, info in enumerate(dataset.infos) if info.subject_id in chosen]


Cases = TrainingCases | PooledCases
