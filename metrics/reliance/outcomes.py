"""Outcome of a swapped word, as the mask shows it: obeys (follows), ignores or breaks (contradicts)."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from robustness.metrics.inference.intervals import Values

Outcome = Literal["obeys", "ignores", "breaks", "excluded"]
_VERTICAL = {"top": -1, "upper": -1, "bottom": 1, "lower": 1}
_HORIZONTAL = {"left": -1, "right": 1}
_MIDDLE = frozenset({"center", "centre", "middle", "central"})
_SIZES = {
    "smallest": 0,
    "tiny": 0,
    "little": 1,
    "small": 1,
    "medium": 2,
    "moderate": 2,
    "medium-sized": 2,
    "large": 3,
    "big": 3,
    "huge": 4,
    "largest": 4,
    "biggest": 4,
}
_COUNTS = {"no": 0, "one": 1, "single": 1, "a single": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6}
_SEVERAL = frozenset({"several", "many", "multiple", "few", "a few", "some"})
# Half of a right angle on each side of the named direction.
_COSINE = math.sqrt(0.5)


class Mask(NamedTuple):
    """What a results row says of a predicted mask; NaN where unknown. Positions in pixels, `height` and `width` too."""

    row: float
    column: float
    area: float
    components: float
    height: float = math.nan
    width: float = math.nan

    @property
    def is_empty(self) -> bool:
        """Whether nothing was predicted."""
        return not self.area > 0


@dataclass(frozen=True)
class Swap:
    """One word's replacement; `side_step` is the column step of old -> new side in the image, NaN where unknown."""

    kind: str
    old: str
    new: str
    side_step: float = math.nan


def judge(swap: Swap, clean: Mask, moved: Mask, change: float, *, still: float, least_growth: float) -> Outcome:
    """Return what the mask did when the word was swapped.

    excluded: the word's direction is not known, the clean mask is empty, or it lies where the new word says already.
    obeys: it changed in the named direction. ignores: the mask change is at most `still`. breaks: it changed otherwise,
    or vanished.

    Args:
        swap: the words.
        clean: the mask under the old word.
        moved: the mask under the new word.
        change: mask change between the two, in [0, 1].
        still: a larger change counts as a reaction.
        least_growth: relative change of area that counts as larger or smaller.
    """
    test = _TESTS[swap.kind](swap, clean, least_growth)
    if test is None or clean.is_empty or not math.isfinite(change):
        return "excluded"
    if change <= still:
        return "ignores"
    return "obeys" if test(moved) else "breaks"


Test = Callable[[Mask], bool]


def place_of(words: str) -> tuple[int | None, int | None] | None:
    """Return the (vertical, horizontal) place that words name: -1, 0, 1, or None where unsaid; None: no place.

    Example:
        >>> place_of("top left"), place_of("center"), place_of("left"), place_of("cortex")
        ((-1, -1), (0, 0), (None, -1), None)
    """
    tokens = set(re.findall(r"[a-z]+", words.lower()))
    vertical = {v for word, v in _VERTICAL.items() if word in tokens}
    horizontal = {v for word, v in _HORIZONTAL.items() if word in tokens}
    if len(vertical) > 1 or len(horizontal) > 1 or "," in words:
        return None
    middle = bool(tokens & _MIDDLE)
    if not (vertical or horizontal or middle):
        return None
    fill = 0 if middle else None
    return next(iter(vertical), fill), next(iter(horizontal), fill)


def _location(swap: Swap, clean: Mask, _: float) -> Test | None:
    """Into the named region where the image's size is known; else a step within 45 degrees of the named direction."""
    old, new = place_of(swap.old), place_of(swap.new)
    if old is None or new is None or old == new:
        return None
    if math.isfinite(clean.height) and math.isfinite(clean.width):
        return None if _inside(clean, new) else lambda moved: _inside(moved, new)
    step = np.array([(n or 0) - (o or 0) for o, n in zip(old, new, strict=True)], dtype=float)
    return None if not step.any() else lambda moved: _towards(clean, moved, step)


def _inside(mask: Mask, location: tuple[int | None, int | None]) -> bool:
    shares = (mask.row + 0.5) / mask.height, (mask.column + 0.5) / mask.width
    if mask.is_empty:
        return False
    return all(
        where is None or (1 / 3 <= share <= 2 / 3 if where == 0 else (share - 0.5) * where > 0)
        for share, where in zip(shares, location, strict=True)
    )


def _towards(clean: Mask, moved: Mask, step: Values) -> bool:
    shift = np.array([moved.row - clean.row, moved.column - clean.column])
    length = float(np.hypot(*shift))
    return bool(not moved.is_empty and length >= 1 and shift @ step >= _COSINE * length * float(np.hypot(*step)))


def _size(swap: Swap, clean: Mask, least_growth: float) -> Test | None:
    old, new = _SIZES.get(swap.old.lower()), _SIZES.get(swap.new.lower())
    if old is None or new is None or old == new:
        return None
    if new > old:
        return lambda moved: moved.area >= clean.area * (1 + least_growth)
    return lambda moved: 0 < moved.area <= clean.area / (1 + least_growth)


def _number(swap: Swap, clean: Mask, _: float) -> Test | None:
    count, several = _COUNTS.get(swap.new.lower()), swap.new.lower() in _SEVERAL

    def holds(mask: Mask) -> bool:
        return mask.components >= 2 if several else mask.components == count

    return None if (count is None and not several) or holds(clean) else holds


def _side(swap: Swap, clean: Mask, _: float) -> Test | None:
    if not math.isfinite(swap.side_step) or swap.side_step == 0:
        return None
    step = np.array([0.0, swap.side_step])
    return lambda moved: _towards(clean, moved, step)


_TESTS: dict[str, Callable[[Swap, Mask, float], Test | None]] = {
    "location": _location,
    "size": _size,
    "number": _number,
    "side": _side,
}
KINDS = tuple(_TESTS)
