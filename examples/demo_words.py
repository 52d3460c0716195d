"""Words of the embedded demo data: what a mask is called, and the prompts p0..p7 made of these words."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy import ndimage

EIGHT = np.ones((3, 3), bool)
ONES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
TEENS = ("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen")


class Structure(NamedTuple):
    """One thing to segment: its names and two facts for p7; `plural` is empty for tissues, which are not counted."""

    name: str
    plural: str
    facts: tuple[str, str]


def size_word(fraction: float) -> str:
    """Small below 1% of the image's area, medium up to 5%, large above."""
    return "small" if fraction < 0.01 else "medium" if fraction <= 0.05 else "large"


def components(mask: np.ndarray) -> int:
    """Number of 8-connected regions."""
    return int(ndimage.label(mask, EIGHT)[1])


def region_word(count: int) -> str:
    """one, two, three, several."""
    return ONES[count] if count <= 3 else "several"


def count_word(count: int) -> str:
    """A number up to ninety-nine in words."""
    if count < 20:
        return (*ONES, *TEENS)[count]
    tens = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")[count // 10 - 2]
    return tens if count % 10 == 0 else f"{tens}-{ONES[count % 10]}"


def location_word(mask: np.ndarray) -> str:
    """Cell of a 3 x 3 grid (40/20/40% of each side) that holds the mask's centroid."""
    rows, columns = np.nonzero(mask)
    down = (rows.mean() + 0.5) / mask.shape[0]
    across = (columns.mean() + 0.5) / mask.shape[1]
    vertical = "top" if down < 0.4 else "bottom" if down > 0.6 else ""
    horizontal = "left" if across < 0.4 else "right" if across > 0.6 else ""
    return f"{vertical} {horizontal}".strip() or "center"


def attributes_of(mask: np.ndarray) -> dict[str, Any]:
    """The words that follow from the pixels alone."""
    fraction = float(mask.mean())
    count = components(mask)
    return {
        "size": size_word(fraction),
        "number": region_word(count),
        "components": count,
        "location": location_word(mask),
        "area_fraction": round(fraction, 5),
    }


def brain_prompts(structure: Structure, side: str, view: str, words: dict[str, Any]) -> dict[str, Any]:
    """p0 empty, p1 structure, p2 + side, p3 + view and modality, p4 + size, p5 + number, p6 + location, p7 facts."""
    both = side == "both"
    named = f"left and right {structure.plural or structure.name}" if both else f"{side} {structure.name}"
    where = f"in {view} T1 brain MRI"
    counted = f"{_counted(structure, named, both=both, size=words['size'], number=words['number'])} {where}"
    return {
        "p0": "",
        "p1": structure.name,
        "p2": named,
        "p3": f"{named} {where}",
        "p4": f"{words['size']} {named} {where}",
        "p5": counted,
        "p6": f"{counted}, located in the {words['location']} of the image",
        "p7": [f"{named} {where}, {fact}" for fact in structure.facts],
    }


def _counted(structure: Structure, named: str, *, both: bool, size: str, number: str) -> str:
    if not structure.plural:
        return f"{size} {named} in one region" if number == "one" else f"{size} {named} in {number} separate regions"
    if both and number != "several":
        return f"{number} {size} region{'' if number == 'one' else 's'}: {named}"
    if number == "one":
        return f"one {size} {named}"
    return f"{size} {named} in {number} separate {'regions' if both else 'parts'}"


def nuclei_prompts(target: str, count: int, location: str) -> dict[str, Any]:
    """The same ladder for microscopy; `target` is all, whole, largest or smallest."""
    one = target in ("largest", "smallest")
    noun = "nucleus" if one else "nuclei"
    head = f"{target} " if one else ""
    tail = " that do not touch the border" if target == "whole" else ""
    where = "in a fluorescence microscopy image"
    light = f"{head}light {noun}{tail} on a dark background {where}"
    counted = f"the one {light}" if one else f"{count_word(count)} {light}"
    body = "a round body" if one else "round bodies"
    return {
        "p0": "",
        "p1": noun,
        "p2": f"{head}{noun}{tail}",
        "p3": f"{head}{noun}{tail} {where}",
        "p4": light,
        "p5": counted,
        "p6": f"{counted}, located in the {location} of the image",
        "p7": [f"{head}{noun}{tail} {where}, {body} stained for DNA"],
    }
