"""Colour-coded masks: the declared colours, and what resampling leaves of them."""

from __future__ import annotations

import itertools

import numpy as np
from scipy import ndimage

from robustness.errors import CaseError
from robustness.runners.data.masks.declaration import MaskDeclaration, Rgb
from robustness.runners.data.masks.mask_pixels import MaskPixels, Values
from robustness.types import Mask

# A colour-coded map has few colours; resampling blends them into many.
_BLENDED = 32
_SHOWN = 6
# How far, in levels and pixels, what resampling leaves may lie from the line between two colours and from both.
_OFF_LINE, _EDGE = 3.0, 2


def of_colors(pixels: MaskPixels, declaration: MaskDeclaration, where: str) -> Mask:
    """Return where a colour-coded mask has one of the declared colours.

    Raises:
        CaseError: the file is a JPEG or no map of colours, has none of the table's, or resampling blended them.
    """
    if pixels.lossy:
        raise CaseError(f"mask {where}: expected a lossless colour-coded mask, got a JPEG; use PNG")
    colors = pixels.colors
    if colors is None:
        values = pixels.values
        if values.dtype != np.uint8:
            raise CaseError(f"mask {where}: expected a colour-coded mask, got {values.dtype} gray levels")
        colors = np.repeat(values[..., None], 3, axis=2)
    _refuse_other_colors(colors, declaration, where)
    mask = np.zeros(colors.shape[:2], dtype=np.bool_)
    for color in declaration.colors:
        mask |= (colors == np.array(color, dtype=np.uint8)).all(axis=2)
    return mask


def _refuse_other_colors(colors: Values, declaration: MaskDeclaration, where: str) -> None:
    """Refuse a file with none of the declared colours, or with the many colours that resampling leaves at edges."""
    there = distinct_colors(colors) - {(0, 0, 0)}
    table = set(declaration.table_colors or declaration.colors)
    declared = ", ".join(_hexadecimal(color) for color in sorted(table))
    others = there - table
    if there and not there & table:
        raise CaseError(
            f"mask {where}: expected the colours {declared} ([data] masks.colors), got {shown_colors(there)}; declare "
            "the colours that the files hold as [red, green, blue]"
        )
    if len(others) > _BLENDED or any(blended(colors, color, table) for color in others):
        raise CaseError(
            f"mask {where}: expected the colours {declared} ([data] masks.colors), got {len(others)} others such as "
            f"{shown_colors(others)}: the mask was resampled or compressed; resample it with nearest neighbours"
        )


def blended(colors: Values, color: Rgb, table: set[Rgb]) -> bool:
    """Tell whether a colour is what resampling leaves between two others: it lies between them, and beside both."""
    ends = [np.array(end, dtype=float) for end in sorted({(0, 0, 0), *table})]
    own = (colors == np.array(color, dtype=np.uint8)).all(axis=2)
    box = np.ones((3, 3), dtype=bool)
    for first, second in itertools.combinations(ends, 2):
        way = second - first
        share = float(np.dot(np.array(color) - first, way) / np.dot(way, way))
        if not 0 < share < 1 or np.abs(first + share * way - color).max() > _OFF_LINE:
            continue
        beside = [
            ndimage.binary_dilation((colors == end.astype(np.uint8)).all(axis=2), box, iterations=_EDGE)
            for end in (first, second)
        ]
        if beside[0][own].all() and beside[1][own].all():
            return True
    return False


def distinct_colors(colors: Values) -> set[Rgb]:
    """Return the (red, green, blue) values of uint8 (H, W, 3)."""
    packed = np.unique(colors.astype(np.uint32) @ np.array([65536, 256, 1], dtype=np.uint32))
    return {(int(v) >> 16, int(v) >> 8 & 255, int(v) & 255) for v in packed}


def shown_colors(colors: MaskPixels | set[Rgb]) -> str:
    """Return colours for a message, the first ones where there are many."""
    if isinstance(colors, MaskPixels):
        colors = distinct_colors(colors.colors) if colors.colors is not None else set()
    ordered = sorted(colors - {(0, 0, 0)})
    return ", ".join(_hexadecimal(color) for color in ordered[:_SHOWN]) + (
        f" and {len(ordered) - _SHOWN} more" if len(ordered) > _SHOWN else ""
    )


def _hexadecimal(color: Rgb) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color)
