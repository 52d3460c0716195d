"""Images or texts of a black box, which takes them as they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


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
