"""Encoded images and texts of a network: tensors by rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from robustness.runners.inference.devices import to_device

Tensors = tuple[torch.Tensor, ...]


@dataclass(frozen=True, eq=False)
class TensorEmbedding:
    """Encoded images or texts: tensors whose first axis counts the rows.

    A network without text has one tensor of shape (B, 0) as its text features.
    """

    tensors: Tensors

    def __len__(self) -> int:
        return self.tensors[0].shape[0]

    def take(self, rows: Sequence[int]) -> TensorEmbedding:
        """Return the features of `rows`, repeats allowed, in that order."""
        index = to_device(torch.tensor(list(rows), dtype=torch.long), self.tensors[0].device)
        return TensorEmbedding(tuple(t.index_select(0, index) for t in self.tensors))

    def to(self, device: torch.device | str) -> TensorEmbedding:
        """Return the features on `device`."""
        return TensorEmbedding(tuple(t.to(device) for t in self.tensors))

    @staticmethod
    def concat(parts: Sequence[TensorEmbedding]) -> TensorEmbedding:
        """Join features by rows; shorter second axes (texts of fewer tokens) are filled with zeros at the end."""
        return TensorEmbedding(tuple(_join(tensors) for tensors in zip(*(part.tensors for part in parts), strict=True)))


def _join(parts: Sequence[torch.Tensor]) -> torch.Tensor:
    if parts[0].ndim < 2 or len({p.shape[1] for p in parts}) == 1:
        return torch.cat(list(parts))
    longest = max(p.shape[1] for p in parts)
    return torch.cat([functional.pad(p, (0, 0) * (p.ndim - 2) + (0, longest - p.shape[1])) for p in parts])


@dataclass(frozen=True, eq=False)
class ListEmbedding:
    """The images or texts themselves, since a black box encodes nothing apart."""

    items: tuple[Any, ...]

    def __len__(self) -> int:
        return len(self.items)

    def take(self, rows: Sequence[int]) -> ListEmbedding:
        """Return the items of `rows`, repeats allowed, in that order."""
        return ListEmbedding(tuple(self.items[row] for row in rows))

    @staticmethod
    def concat(parts: Sequence[ListEmbedding]) -> ListEmbedding:
        """Join features by rows."""
        return ListEmbedding(tuple(item for part in parts for item in part.items))
