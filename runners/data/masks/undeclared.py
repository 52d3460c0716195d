"""Decide what the foreground of an undeclared mask is, where its pixels leave no doubt.

The rules, in order:

1. Every pixel 0: empty. Every pixel one other value: full.
2. Two values, one of them 0: the other is foreground (0/1, 0/255 and 0/k alike).
3. A JPEG: foreground is at or above half of the full scale; compression blurs edges.
4. Black, full scale, and between them only soft edges (resampled masks, or JPEGs saved again as PNG): half of the full
   scale too.
5. Anything else (a label map, a colour-coded mask, a trimap, a probability) is an error that shows the values and how
   to declare them: a wrong guess would judge a model against the wrong organ.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from robustness.errors import CaseError
from robustness.image_files import is_contradicted
from robustness.runners.data.masks.mask_pixels import MaskPixels, Values
from robustness.types import Mask

# How far from both black and full scale, in pixels, an edge that interpolation made may reach.
_EDGE_REACH = 3
# JPEG rings inside its blocks of 8 x 8 pixels.
_BLOCK_REACH = 8
# Levels within a sixteenth of black or of full scale are what compression leaves of them.
_NEAR = 1 / 16
_SHOWN = 8
# What resampling tools take for white; elsewhere (32 bits, four bits) the highest level of a file is as likely a label.
_WHITES = (1.0, 255.0, 65535.0)
# Gray areas of a JPEG beyond this share of the image are a class; colours beyond this share of what is bright another.
_FLAT_SHARE, _TINT_SHARE = 0.002, 0.05


class UndeclaredMaskError(CaseError):
    """A mask whose pixels leave a doubt about what its foreground is, and of which nothing is declared."""


class Decision(NamedTuple):
    """A mask, and the rule that made it in a few words."""

    mask: Mask
    text: str


def decide(pixels: MaskPixels, where: str) -> Decision:
    """Return the foreground of an undeclared mask by the rules above.

    Raises:
        UndeclaredMaskError: the pixels leave a doubt.
    """
    values = _brightness(pixels, where)
    half = pixels.full_scale / 2
    levels = np.unique(values)
    if pixels.lossy and levels[-1] > 0:
        _refuse_classes(values, pixels, where)
        return Decision(np.asarray(values >= half), "JPEG: at or above half of the range")
    if len(levels) == 1 and levels[0] >= 0:
        return Decision(np.asarray(values > 0), "empty" if levels[0] == 0 else "full")
    if len(levels) == 2 and levels[0] == 0:
        return Decision(np.asarray(values > 0), f"0 and {_shown(pixels, values, levels[1])}")
    if _is_edge(values, levels, pixels.full_scale):
        return Decision(np.asarray(values >= half), "soft edges: at or above half of the range")
    raise UndeclaredMaskError(doubt(levels, where))


def _refuse_classes(values: Values, pixels: MaskPixels, where: str) -> None:
    """Refuse a JPEG that holds more than black and one bright value: labels, several gray levels, or colours.

    Raises:
        UndeclaredMaskError: a wrong guess would lose a class, or join two.
    """
    full = pixels.full_scale
    dark, light = values < full / 4, values >= full * 3 / 4
    box = np.ones((3, 3), dtype=bool)
    edge = ndimage.binary_dilation(dark, box, iterations=_BLOCK_REACH)
    edge &= ndimage.binary_dilation(light, box, iterations=_BLOCK_REACH)
    if not light.any() or int((~dark & ~light & ~edge).sum()) > _FLAT_SHARE * values.size:
        raise UndeclaredMaskError(
            f"mask {where}: expected black and white blurred by JPEG, got gray levels up to {float(values.max()):g} in "
            "areas of their own; a label map must be saved as PNG and declared ([data] labels)"
        )
    if pixels.colors is not None:
        tints = pixels.colors[light] >= full / 2
        _, sizes = np.unique(tints @ np.array([4, 2, 1]), return_counts=True)
        if (sizes > _TINT_SHARE * light.sum()).sum() > 1:
            raise UndeclaredMaskError(
                f"mask {where}: expected black and one colour blurred by JPEG, got several colours; save it as PNG and "
                "declare [data] masks.colors = {NAME = [red, green, blue]}"
            )


def _shown(pixels: MaskPixels, values: Values, level: float) -> str:
    """Return the one foreground value; its colour where that is no gray, since colours may stand for classes."""
    if pixels.colors is not None:
        color = pixels.colors[values == level][0]
        if len(set(color.tolist())) > 1:
            return "#" + "".join(f"{part:02x}" for part in color.tolist())
    return f"{level:g}"


def doubt(levels: Values, where: str) -> str:
    """Return the message for a mask that must be declared."""
    return (
        f"mask {where}: expected background 0 and one foreground value, got the values {listed(levels)}; a label map "
        'needs [data] labels = {1 = "NAME", ...} and mask_label in each entry, a probability map needs [data] masks = '
        '{kind = "soft", threshold = 0.5}'
    )


def listed(levels: npt.ArrayLike) -> str:
    """Return values for a message, the first ones where there are many."""
    shown = [f"{value:g}" for value in np.asarray(levels)[:_SHOWN]]
    more = len(np.asarray(levels)) - len(shown)
    return ", ".join(shown) + (f" and {more} more up to {np.asarray(levels)[-1]:g}" if more > 0 else "")


def _brightness(pixels: MaskPixels, where: str) -> Values:
    """Return the gray level of each pixel; a colour image must hold black and one colour, or shades of one."""
    if pixels.colors is None:
        return pixels.values
    bright: Values = pixels.colors.max(axis=2)
    if pixels.lossy:
        return bright
    packed = pixels.colors.astype(np.uint32) @ np.array([65536, 256, 1], dtype=np.uint32)
    distinct = np.unique(packed)
    indices = len(np.unique(pixels.values))
    if pixels.channels is None and indices > len(distinct):
        raise UndeclaredMaskError(
            f"mask {where}: expected one colour for each palette index, got {indices} indices in {len(distinct)} "
            "colours; if it is a label map declare [data] labels"
        )
    if pixels.indices is not None and is_contradicted(pixels.values, pixels.colors):
        raise UndeclaredMaskError(
            f"mask {where}: indices and colours of its palette say two different things of what is inside; save it "
            "as a gray PNG without a palette, or declare [data] masks.colors = {NAME = [red, green, blue]}"
        )
    gray = bool((pixels.colors == pixels.colors[..., :1]).all())
    if not gray and len(distinct[distinct > 0]) > 1:
        colors = [f"#{value:06x}" for value in distinct[distinct > 0][:_SHOWN]]
        raise UndeclaredMaskError(
            f"mask {where}: expected black and one colour, got {len(distinct)} colours ({', '.join(colors)}); declare "
            "[data] masks.colors = {NAME = [red, green, blue]}, or labels for a palette"
        )
    return bright


def _is_edge(values: Values, levels: Values, full_scale: float) -> bool:
    """Tell whether all that is neither black nor full scale is what interpolation or compression leaves at edges."""
    if levels[0] != 0 or levels[-1] != full_scale or full_scale not in _WHITES:
        return False
    between = levels[1:-1]
    low, high = full_scale * _NEAR, full_scale * (1 - _NEAR)
    reaches_high, passes = bool((between >= high).any()), bool(((between > low) & (between < high)).any())
    if not (reaches_high or passes):
        # Small values and full scale with nothing between: classes and an "ignore" value.
        return False
    noisy = reaches_high and bool((between <= low).any())
    reach = _BLOCK_REACH if noisy else _EDGE_REACH
    middle = (values > low) & (values < high) if noisy else (values > 0) & (values < full_scale)
    dark, light = values <= (low if noisy else 0), values >= (high if noisy else full_scale)
    box = np.ones((3, 3), dtype=bool)
    near_both = ndimage.binary_dilation(dark, box, iterations=reach) & ndimage.binary_dilation(
        light, box, iterations=reach
    )
    return bool(near_both[middle].all()) and _is_spread(values, between, middle)


def _is_spread(values: Values, between: Values, middle: Mask) -> bool:
    """Tell whether edge pixels take many levels, as interpolation gives, or are few; a class has one level."""
    count = int(middle.sum())
    if count < 16:
        return True
    _, sizes = np.unique(values[middle], return_counts=True)
    return len(between) >= 3 and float(sizes.max()) <= 0.85 * count
