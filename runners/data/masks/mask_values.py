"""Read one mask file as a boolean array, with the decision that made it so."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from robustness.errors import CaseError
from robustness.runners.data.masks.declaration import MaskDeclaration, Rgb
from robustness.runners.data.masks.mask_pixels import MaskPixels, Values, read_pixels
from robustness.runners.data.masks.undeclared import decide, listed
from robustness.types import Mask

# A colour-coded map has few colours; resampling blends them into many.
_BLENDED = 32
_SHOWN = 6


class MaskReading(NamedTuple):
    """A mask and how it came about.

    Attributes:
        mask: bool (H, W).
        decision: the rule in a few words ("0 and 255", "label 2 (posterior)").
    """

    mask: Mask
    decision: str


def read_mask(path: Path, *, declaration: MaskDeclaration | None = None, upright: bool = True) -> MaskReading:
    """Read one mask file.

    Args:
        path: an image file.
        declaration: what its pixels mean; None or kind "auto": what they leave no doubt about.
        upright: turn it as its EXIF orientation asks.

    Raises:
        CaseError: the file is missing, broken or too large, or its pixels are not what the declaration says.
    """
    return foreground(read_pixels(path, upright=upright), declaration or MaskDeclaration(), str(path))


def foreground(pixels: MaskPixels, declaration: MaskDeclaration, where: str) -> MaskReading:
    """Return the foreground of a mask's pixels; `where` names it in messages.

    Raises:
        CaseError: the pixels are not what the declaration says, or leave a doubt where nothing is declared.
    """
    if declaration.kind == "auto":
        return MaskReading(*decide(pixels, where))
    if declaration.kind == "segment":
        raise CaseError(
            f"mask {where}: expected a DICOM segmentation with a segment {declaration.name!r}, got an image file; "
            f"declare [data] labels with {declaration.name!r}"
        )
    maker = {"labels": _labels, "colors": _colors, "channel": _channel, "soft": _soft}[declaration.kind]
    return MaskReading(maker(pixels, declaration, where), declaration.shown())


def of_labels(values: Values, declaration: MaskDeclaration, where: str) -> Mask:
    """Return where an array of label values holds one of the declared ones.

    Raises:
        CaseError: the array holds values that are no labels (fractions, or below 0).
    """
    if np.issubdtype(values.dtype, np.floating) and not (values == np.rint(values)).all():
        raise CaseError(
            f"mask {where}: expected whole numbers (a label map), got fractions such as "
            f'{listed(np.unique(values[values != np.rint(values)])[:3])}; declare masks = {{kind = "soft", threshold = '
            "0.5}"
        )
    if len(declaration.values) == 1:
        return np.asarray(values == declaration.values[0])
    return np.asarray(np.isin(values, declaration.values))


def _labels(pixels: MaskPixels, declaration: MaskDeclaration, where: str) -> Mask:
    if pixels.lossy:
        raise CaseError(f"mask {where}: expected a lossless label map, got a JPEG, whose values are blurred; use PNG")
    if pixels.channels is not None and pixels.colors is not None:
        raise CaseError(
            f"mask {where}: expected one value for each pixel (a label map), got the colours {shown_colors(pixels)}; "
            "declare [data] masks.colors = {NAME = [red, green, blue]}"
        )
    mask = of_labels(pixels.values, declaration, where)
    if not mask.any() and declaration.table_values:
        levels = np.unique(pixels.values)
        if levels.any() and not np.isin(levels, declaration.table_values).any():
            declared = listed(sorted(declaration.table_values))
            raise CaseError(
                f"mask {where}: expected label values among {declared} ([data] labels), got the values "
                f"{listed(levels)}; declare every value that the files hold, or no labels where they hold background "
                "and one foreground value"
            )
    return mask


def _colors(pixels: MaskPixels, declaration: MaskDeclaration, where: str) -> Mask:
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
    if len(others) > _BLENDED:
        raise CaseError(
            f"mask {where}: expected the colours {declared} ([data] masks.colors), got {len(others)} others such as "
            f"{shown_colors(others)}: the mask was resampled or compressed; resample it with nearest neighbours"
        )


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


def _channel(pixels: MaskPixels, declaration: MaskDeclaration, where: str) -> Mask:
    channel = declaration.channel or 0
    count = 1 if pixels.channels is None else pixels.channels.shape[2]
    if pixels.channels is None or channel >= count:
        raise CaseError(
            f"mask {where}: expected at least {channel + 1} channels, got {count} (masks.channels) with the values "
            f"{listed(np.unique(pixels.values))}"
        )
    # One-hot files hold 0/1 or 0/255.
    binary = float(pixels.channels.max(initial=0)) <= 1
    scale = declaration.full_scale or (1.0 if binary else pixels.full_scale)
    return at_least(pixels.channels[..., channel], declaration.threshold * scale)


def _soft(pixels: MaskPixels, declaration: MaskDeclaration, where: str) -> Mask:
    values = pixels.values
    if pixels.colors is not None:
        gray = bool((pixels.colors == pixels.colors[..., :1]).all())
        if not gray:
            raise CaseError(
                f"mask {where}: expected gray levels (a soft mask), got the colours {shown_colors(pixels)}; declare "
                "[data] masks.colors = {NAME = [red, green, blue]}"
            )
        values = pixels.colors[..., 0]
    scale = declaration.full_scale or soft_scale(values, pixels.full_scale, where)
    mask = at_least(values, declaration.threshold * scale)
    if declaration.full_scale is None and values.any() and not mask.any():
        raise CaseError(
            f"mask {where}: expected values of a soft mask up to {scale:g}, got the values "
            f"{listed(np.unique(values))}, none of which reaches {declaration.threshold:g} of it; state "
            "masks.full_scale (what a share of 1 is stored as), or declare labels"
        )
    return mask


def soft_scale(values: Values, full_scale: float, where: str) -> float:
    """Return what a share of 1 is stored as; the same for every file of a type, whatever one file's maximum is.

    Raises:
        CaseError: floats beyond 1.
    """
    if not np.issubdtype(values.dtype, np.floating):
        return full_scale
    if float(values.max(initial=0)) <= 1:
        return 1.0
    raise CaseError(
        f"mask {where}: expected floats up to 1 (a soft mask), got {float(values.max()):g}; declare masks.full_scale"
    )


def at_least(values: Values, bound: float) -> Mask:
    """Return where values reach a bound above 0."""
    return np.asarray((values >= bound) & (values > 0))
