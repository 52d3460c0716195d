"""Read one mask file as a boolean array, with the decision that made it so."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from robustness.errors import CaseError
from robustness.runners.data.masks.colors import of_colors, shown_colors
from robustness.runners.data.masks.declaration import MaskDeclaration
from robustness.runners.data.masks.mask_pixels import MaskPixels, Values, read_pixels
from robustness.runners.data.masks.undeclared import UndeclaredMaskError, decide, listed
from robustness.types import Mask

# How far the rounding of floats leaves whole numbers from themselves.
_ROUNDING = 1e-3
# A scale with longer steps than this leaves a doubt about the label that a value stands for.
_LONGEST_STEP = 0.5
# Labels up to which a mask is made label by label.
_FEW = 16


class MaskReading(NamedTuple):
    """A mask and how it came about.

    Attributes:
        mask: bool (H, W).
        decision: the rule in a few words ("0 and 255", "label 2 (posterior)").
    """

    mask: Mask
    decision: str


def read_mask(
    path: Path,
    *,
    declaration: MaskDeclaration | None = None,
    upright: bool = True,
    key: str = "",
    size: tuple[int, int] | None = None,
) -> MaskReading:
    """Read one mask file.

    Args:
        path: an image file, or an array (``.npy``, ``.npz``).
        declaration: what its pixels mean; None or kind "auto": what they leave no doubt about.
        upright: turn it as its EXIF orientation asks.
        key: the array's name in a ``.npz`` of several.
        size: (H, W) of the image, where it is known; see `mask_pixels.pixels_of_array`.

    Raises:
        CaseError: the file is missing, broken or too large, or its pixels are not what the declaration says.
    """
    pixels = read_pixels(path, upright=upright, key=key, size=size)
    return foreground(pixels, declaration or MaskDeclaration(), str(path))


def foreground(pixels: MaskPixels, declaration: MaskDeclaration, where: str) -> MaskReading:
    """Return the foreground of a mask's pixels; `where` names it in messages.

    Raises:
        CaseError: the pixels are not what the declaration says, or leave a doubt where nothing is declared.
    """
    if pixels.classes and declaration.kind != "channel":
        count = 0 if pixels.channels is None else pixels.channels.shape[2]
        raise UndeclaredMaskError(
            f"mask {where}: expected one value for each pixel, got {count} channels that are no colours to be seen; "
            "declare which of them is the class ([data] masks = {channels = {NAME = 0}}), or save it alone, in gray"
        )
    if declaration.kind == "auto":
        return MaskReading(*decide(pixels, where))
    if declaration.kind == "segment":
        raise CaseError(
            f"mask {where}: expected a DICOM segmentation with a segment {declaration.name!r}, got an image file; "
            f"declare [data] labels with {declaration.name!r}"
        )
    maker = {"labels": _labels, "colors": of_colors, "channel": _channel, "soft": _soft}[declaration.kind]
    return MaskReading(maker(pixels, declaration, where), declaration.shown())


def whole_numbers(values: Values, where: str, *, step: float = 0.0) -> Values:
    """Return label values as whole numbers; a scale that a header states leaves them off by a rounding.

    Args:
        values: the labels as read.
        where: the file, for messages.
        step: of the scale, see `robustness.runners.data.volumes.base.Header`: labels 0 to 4 that were stored in 8 bits
            come back as 0, 1.0039, 1.9922, 2.9961, 4, each less than half a step away.

    Raises:
        CaseError: the array holds fractions.
    """
    if not np.issubdtype(values.dtype, np.floating):
        return values
    if not np.isfinite(values).all():
        raise CaseError(
            f"mask {where}: expected whole numbers (a label map), got NaN or infinity; write background as 0"
        )
    rounded = np.rint(values)
    off = np.abs(values - rounded) > _ROUNDING + (step / 2 if step <= _LONGEST_STEP else 0.0)
    if off.any():
        if float(values.max()) <= 1 and step <= _LONGEST_STEP:
            fix = 'declare masks = {kind = "soft", threshold = 0.5}'
        else:
            resampled = "; if they were resampled, then by the nearest neighbour"
            fix = "save the labels as integers" + (resampled if step <= _LONGEST_STEP else "")
        raise CaseError(
            f"mask {where}: expected whole numbers (a label map), got fractions such as "
            f"{listed(np.unique(values[off])[:3])}; {fix}"
        )
    return np.asarray(rounded)


def of_labels(values: Values, declaration: MaskDeclaration, where: str, *, step: float = 0.0) -> Mask:
    """Return where an array of label values holds one of the declared ones.

    Raises:
        CaseError: the array holds values that are no labels (fractions, or below 0).
    """
    values = whole_numbers(values, where, step=step)
    if 0 < len(declaration.values) <= _FEW:
        # One pass for each label is faster than a sorted search of every pixel.
        return np.asarray(np.logical_or.reduce([values == label for label in declaration.values]))
    return np.asarray(np.isin(values, declaration.values))


def _labels(pixels: MaskPixels, declaration: MaskDeclaration, where: str) -> Mask:
    if pixels.lossy:
        raise CaseError(f"mask {where}: expected a lossless label map, got a JPEG, whose values are blurred; use PNG")
    if pixels.channels is not None and pixels.colors is not None:
        raise CaseError(
            f"mask {where}: expected one value for each pixel (a label map), got the colours {shown_colors(pixels)}; "
            "declare [data] masks.colors = {NAME = [red, green, blue]}"
        )
    if pixels.indices is not None:
        # A label is a label, also where a tool chose its index to be transparent.
        pixels = pixels._replace(values=pixels.indices)
    pixels = pixels._replace(values=palette_labels(pixels, declaration, where))
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


def palette_labels(pixels: MaskPixels, declaration: MaskDeclaration, where: str) -> Values:
    """Return the label values of a file: of a palette image its indices, or the gray levels that they stand for.

    Tools that shrink PNGs store the gray levels 0, 2, 5 as the indices 0, 1, 2 of a gray palette; others store labels
    as indices and choose grays to look at. The table of labels tells which, else which of the two holds the label.

    Raises:
        CaseError: both readings fit and differ.
    """
    if pixels.channels is not None or pixels.colors is None:
        return pixels.values
    gray = pixels.colors[..., 0]
    colored = any((pixels.colors[..., channel] != gray).any() for channel in (1, 2))
    if colored or (gray == pixels.values).all():
        return pixels.values
    readings = [pixels.values, gray]
    own, other = (of_labels(values, declaration, where) for values in readings)
    if np.array_equal(own, other):
        return pixels.values
    table = {0, *declaration.table_values, *declaration.values}
    known = [values for values in readings if set(np.unique(values).tolist()) <= table]
    there = [values for values in readings if np.isin(values, declaration.values).any()]
    for fitting in (known, there):
        if len(fitting) == 1:
            return fitting[0]
    raise CaseError(
        f"mask {where}: expected a label map, got a palette whose gray levels {listed(np.unique(gray))} are not its "
        f"indices {listed(np.unique(pixels.values))}, and both may be labels; save it as a gray PNG without a palette"
    )


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
    scale = declaration.full_scale or (1.0 if binary else soft_scale(pixels.channels, pixels.full_scale, where))
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
        CaseError: floats beyond 1, or integers of a type that has no white.
    """
    if values.dtype.kind in "ub" and values.dtype.itemsize <= 2:
        return full_scale
    if float(values.max(initial=0)) <= 1:
        return 1.0
    if values.dtype.kind != "f":
        raise CaseError(
            f"mask {where}: expected floats, or unsigned integers of 8 or 16 bits (a soft mask), got {values.dtype} up "
            f"to {float(values.max()):g}; state masks.full_scale (what a share of 1 is stored as)"
        )
    raise CaseError(
        f"mask {where}: expected floats up to 1 (a soft mask), got {float(values.max()):g}; declare masks.full_scale"
    )


def at_least(values: Values, bound: float) -> Mask:
    """Return where values reach a bound above 0."""
    return np.asarray((values >= bound) & (values > 0))
