"""Read one mask file as a boolean array, with the decision that made it so."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from robustness.errors import CaseError
from robustness.runners.data.masks.declaration import MaskDeclaration
from robustness.runners.data.masks.mask_pixels import MaskPixels, Values, read_pixels
from robustness.runners.data.masks.undeclared import decide
from robustness.types import Mask


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
    maker = {"labels": _labels, "colors": _colors, "channel": _channel, "soft": _soft}[declaration.kind]
    return MaskReading(maker(pixels, declaration, where), declaration.shown())


def of_labels(values: Values, declaration: MaskDeclaration, where: str) -> Mask:
    """Return where an array of label values holds one of the declared ones.

    Raises:
        CaseError: the array holds values that are no labels (fractions, or below 0).
    """
    if np.issubdtype(values.dtype, np.floating) and not (values == np.rint(values)).all():
        raise CaseError(
            f"mask {where}: expected whole numbers (a label map), got fractions; declare masks.kind = 'soft'"
        )
    if len(declaration.values) == 1:
        return np.asarray(values == declaration.values[0])
    return np.asarray(np.isin(values, declaration.values))


def _labels(pixels: MaskPixels, declaration: MaskDeclaration, where: str) -> Mask:
    if pixels.lossy:
        raise CaseError(f"mask {where}: expected a lossless label map, got a JPEG, whose values are blurred; use PNG")
    if pixels.channels is not None and pixels.colors is not None:
        raise CaseError(
            f"mask {where}: expected one value for each pixel (a label map), got colours; declare masks.colors"
        )
    return of_labels(pixels.values, declaration, where)


def _colors(pixels: MaskPixels, declaration: MaskDeclaration, where: str) -> Mask:
    if pixels.lossy:
        raise CaseError(f"mask {where}: expected a lossless colour-coded mask, got a JPEG; use PNG")
    colors = pixels.colors
    if colors is None:
        values = pixels.values
        if values.dtype != np.uint8:
            raise CaseError(f"mask {where}: expected a colour-coded mask, got {values.dtype} gray levels")
        colors = np.repeat(values[..., None], 3, axis=2)
    mask = np.zeros(colors.shape[:2], dtype=np.bool_)
    for color in declaration.colors:
        mask |= (colors == np.array(color, dtype=np.uint8)).all(axis=2)
    return mask


def _channel(pixels: MaskPixels, declaration: MaskDeclaration, where: str) -> Mask:
    channel = declaration.channel or 0
    count = 1 if pixels.channels is None else pixels.channels.shape[2]
    if pixels.channels is None or channel >= count:
        raise CaseError(f"mask {where}: expected at least {channel + 1} channels, got {count}")
    # One-hot files hold 0/1 or 0/255.
    binary = float(pixels.channels.max(initial=0)) <= 1
    scale = declaration.full_scale or (1.0 if binary else pixels.full_scale)
    return at_least(pixels.channels[..., channel], declaration.threshold * scale)


def _soft(pixels: MaskPixels, declaration: MaskDeclaration, where: str) -> Mask:
    if pixels.colors is not None and pixels.channels is not None:
        raise CaseError(f"mask {where}: expected gray levels (a soft mask), got colours; declare masks.colors")
    scale = declaration.full_scale or _soft_scale(pixels, where)
    return at_least(pixels.values, declaration.threshold * scale)


def _soft_scale(pixels: MaskPixels, where: str) -> float:
    """Return what a share of 1 is stored as; the same for every file of a type, whatever one file's maximum is."""
    if not np.issubdtype(pixels.values.dtype, np.floating):
        return pixels.full_scale
    if float(pixels.values.max(initial=0)) <= 1:
        return 1.0
    raise CaseError(
        f"mask {where}: expected floats up to 1 (a soft mask), got {float(pixels.values.max()):g}; declare "
        "masks.full_scale"
    )


def at_least(values: Values, bound: float) -> Mask:
    """Return where values reach a bound above 0."""
    return np.asarray((values >= bound) & (values > 0))
