"""One label map for each image of the embedded demo sets: which value stands for which structures together."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

# The rim of gray matter may pass the outline of the brain, from which small islands were removed.
OUTSIDE = "outside"
# Structures that a pixel may belong to at once, inside the brain -> (value on the left, value on the right).
BRAIN_CELLS = {
    frozenset({"white-matter"}): (1, 2),
    frozenset({"gray-matter"}): (3, 4),
    frozenset({"lateral-ventricle"}): (5, 6),
    frozenset(): (7, 8),
    frozenset({"gray-matter", "lateral-ventricle"}): (9, 10),
    frozenset({"gray-matter", OUTSIDE}): (11, 12),
}
# Nuclei: every target of a tile that a pixel belongs to -> value.
NUCLEI_CELLS = {
    frozenset({"all"}): 1,
    frozenset({"all", "whole"}): 2,
    frozenset({"all", "largest"}): 3,
    frozenset({"all", "largest", "whole"}): 4,
    frozenset({"all", "smallest"}): 5,
}
# Colours that viewers show for the values 0 to 12; the values themselves are the palette's indices.
PALETTE = (
    (0, 0, 0),
    (230, 230, 230),
    (200, 200, 200),
    (120, 120, 160),
    (90, 90, 130),
    (60, 160, 220),
    (40, 120, 200),
    (60, 60, 60),
    (40, 40, 40),
    (150, 80, 200),
    (120, 60, 180),
    (160, 120, 120),
    (130, 90, 90),
)


def brain_labels() -> dict[str, int | list[int]]:
    """Name of a structure and side -> its values, for the dataset's card."""
    names = ("white-matter", "gray-matter", "lateral-ventricle")
    labels: dict[str, int | list[int]] = {}
    for name in names:
        sides = [[pair[side] for cell, pair in BRAIN_CELLS.items() if name in cell] for side in (0, 1)]
        labels |= sided(name, sides)
    inside = [pair for cell, pair in BRAIN_CELLS.items() if OUTSIDE not in cell]
    return labels | sided("brain-hemisphere", [[pair[side] for pair in inside] for side in (0, 1)])


def sided(name: str, sides: list[list[int]]) -> dict[str, int | list[int]]:
    """Return the labels of one structure: left, right and both."""
    left, right = sides
    return {f"{name}_left": short(left), f"{name}_right": short(right), f"{name}_both": sorted(left + right)}


def short(values: list[int]) -> int | list[int]:
    return values[0] if len(values) == 1 else values


def nuclei_labels() -> dict[str, int | list[int]]:
    """Name of a target -> its values, for the dataset's card."""
    names = ("all", "whole", "largest", "smallest")
    return {name: short([value for cell, value in NUCLEI_CELLS.items() if name in cell]) for name in names}


def brain_map(masks: Mapping[str, Mapping[str, np.ndarray]]) -> np.ndarray:
    """Return the label map (H, W) of one slice.

    Args:
        masks: structure -> side ("left", "right") -> mask; the hemisphere, where it is listed, holds the others.
    """
    sides = [{name: own[side] for name, own in masks.items()} for side in ("left", "right")]
    values = np.zeros(next(iter(sides[0].values())).shape, np.uint8)
    for number, own in enumerate(sides):
        any_of = np.logical_or.reduce(list(own.values()))
        brain = own.get("brain-hemisphere", any_of)
        for cell, pair in BRAIN_CELLS.items():
            # A cell of structures that this slice does not list has no pixels.
            if cell - {OUTSIDE} <= set(own):
                same = [mask == (name in cell) for name, mask in own.items() if name != "brain-hemisphere"]
                values[np.logical_and.reduce([any_of, brain == (OUTSIDE not in cell), *same])] = pair[number]
    return values


def nuclei_map(masks: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the label map (H, W) of one tile; `masks` are those of its targets."""
    values = np.zeros(next(iter(masks.values())).shape, np.uint8)
    for cell, value in NUCLEI_CELLS.items():
        if cell <= set(masks):
            values[np.logical_and.reduce([own == (name in cell) for name, own in masks.items()])] = value
    return values


def save_map(path: Path, values: np.ndarray) -> None:
    """Write a label map as a palette image whose indices are the values."""
    image = Image.fromarray(values).convert("P")
    image.putdata(values.ravel().tolist())
    image.putpalette([channel for color in PALETTE for channel in color])
    image.save(path, optimize=True)
