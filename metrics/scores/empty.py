"""The empty-mask policy, in one place.

| prediction | reference | overlap metrics | distance metrics | flag |
|---|---|---|---|---|
| empty | empty | 1 | 0 | `both_empty` |
| empty | object | 0 | image diagonal | `missed` |
| object | empty | 0 | image diagonal | `hallucinated` |

The diagonal is that of the whole image, sqrt((H s_row)^2 + (W s_column)^2), which no distance in it exceeds. So every
paired difference is finite, and no image leaves the pairing. Libraries disagree here (NaN, inf, 0, 1), and those
that drop NaN report a missed object as perfect.

Scores compare with the case's own reference. Where a prompt asks for what is not there, the flags compare with the
empty mask that it asks for: an empty prediction is right, anything painted is a hallucination (`flags_of_prompt`).
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

Kind = Literal["overlap", "distance"]


class Emptiness(NamedTuple):
    """Which of the two masks is empty; at most one flag is true."""

    both_empty: bool
    missed: bool
    hallucinated: bool


def emptiness(predicted_pixels: int, reference_pixels: int) -> Emptiness:
    """Return the flags of a pair from its foreground counts.

    Example:
        >>> emptiness(0, 12)
        Emptiness(both_empty=False, missed=True, hallucinated=False)
    """
    predicted, reference = predicted_pixels > 0, reference_pixels > 0
    return Emptiness(not predicted and not reference, reference and not predicted, predicted and not reference)


def flags_of_prompt(flags: Emptiness, *, painted: bool, expectation: str) -> Emptiness:
    """Return the flags against what the prompt asks for.

    Args:
        flags: against the case's own reference.
        painted: the prediction has foreground.
        expectation: of the row; "abstain" asks for an empty mask.

    Example:
        >>> flags_of_prompt(Emptiness(False, True, False), painted=False, expectation="abstain")
        Emptiness(both_empty=True, missed=False, hallucinated=False)
    """
    return Emptiness(not painted, False, painted) if expectation == "abstain" else flags


def value_when_empty(flags: Emptiness, kind: Kind, diagonal: float) -> float | None:
    """Return the policy's value of a metric, or None where neither mask is empty."""
    if flags.both_empty:
        return 1.0 if kind == "overlap" else 0.0
    if flags.missed or flags.hallucinated:
        return 0.0 if kind == "overlap" else diagonal
    return None


def image_diagonal(shape: tuple[int, int], spacing: tuple[float, float]) -> float:
    """Return the diagonal of an image (H, W), in the units of `spacing` (row, column)."""
    return math.hypot(shape[0] * spacing[0], shape[1] * spacing[1])
