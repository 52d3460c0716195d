"""Bounds on what is read from files that others made: the plan's ``[limits]``, and the ones in force.

A bound guards the machine, never a result: what lies beyond it is refused or flagged by name, and nothing is cut.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

MIB: Final = 1 << 20


class Limits(BaseModel):
    """``[limits]``: what is read at most.

    Attributes:
        text_characters: of one prompt, before it is parsed.
        pixels: of one image or mask (width x height), before it is decoded.
        image_mib: size of one image or mask file, in MiB.
        table_mib: size of one annotation file or manifest, in MiB.
        document_mib: size of one plan, gates file or other small document, in MiB.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    text_characters: int = Field(default=8_000, gt=0)
    pixels: int = Field(default=89_478_485, gt=0)
    image_mib: int = Field(default=1024, gt=0)
    table_mib: int = Field(default=1024, gt=0)
    document_mib: int = Field(default=64, gt=0)

    @property
    def image_bytes(self) -> int:
        """`image_mib` in bytes."""
        return self.image_mib * MIB

    @property
    def table_bytes(self) -> int:
        """`table_mib` in bytes."""
        return self.table_mib * MIB

    @property
    def document_bytes(self) -> int:
        """`document_mib` in bytes."""
        return self.document_mib * MIB


DEFAULT: Final = Limits()

# One for the process and not for the thread: images are prefetched in a thread of their own.
_in_force = DEFAULT


def limits() -> Limits:
    """Return the bounds in force."""
    return _in_force


def set_limits(bounds: Limits) -> Limits:
    """Put `bounds` in force for the process; return those before."""
    global _in_force
    before, _in_force = _in_force, bounds
    return before


@contextlib.contextmanager
def limited_to(bounds: Limits) -> Iterator[None]:
    """Hold `bounds` in force for a block."""
    before = set_limits(bounds)
    try:
        yield
    finally:
        set_limits(before)
