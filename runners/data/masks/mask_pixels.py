"""Pixels of one mask file as it stores them: label values or gray levels, colours where it has any."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image as PILImage
from PIL import ImageOps

from robustness.errors import CaseError, one_line
from robustness.image_files import UNREADABLE, TooManyPixelsError, open_image
from robustness.limits import limits

LOSSY_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif")

_ORIENTATION_TAG = 0x0112
DEEP_MODES = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")

Values = npt.NDArray[Any]


class MaskPixels(NamedTuple):
    """One mask file's pixels.

    Attributes:
        values: (H, W), integer or float: palette indices of a palette image, else gray levels; of a colour image its
            brightest channel. Where alpha is 0 the value is 0.
        colors: uint8 (H, W, 3) where channels differ (a palette image counts with its colours), else None.
        channels: (H, W, C) as stored where there are several channels, else None.
        full_scale: the highest value that the file's type can hold; of floats and 32-bit integers the highest that
            the file holds, at least 1.
        lossy: the file's compression blurs edges (JPEG).
        orientation: its EXIF orientation; 1 where it states none.
    """

    values: Values
    colors: npt.NDArray[np.uint8] | None
    channels: Values | None
    full_scale: float
    lossy: bool
    orientation: int


def read_pixels(path: Path, *, upright: bool = True) -> MaskPixels:
    """Read a mask file.

    Args:
        path: an image file.
        upright: turn it as its EXIF orientation asks.

    Raises:
        CaseError: the file is missing, broken, too large, or holds values that are not finite.
    """
    stored = open_case_image(path, "mask")
    orientation = exif_orientation(stored)
    turned = ImageOps.exif_transpose(stored) if upright and orientation != 1 else stored
    # What the file holds decides, not what it is called.
    lossy = stored.format in ("JPEG", "MPO")
    pixels = pixels_of(turned, lossy=lossy, orientation=orientation, where=str(path))
    levels = _few_levels(path) if stored.format == "PNG" and turned.mode == "L" else 0
    if not levels:
        return pixels
    # Pillow stretches gray levels of two and four bits over 0 to 255; labels are the levels as stored.
    return pixels._replace(values=pixels.values // (255 // levels), full_scale=float(levels))


def pixels_of(image: PILImage.Image, *, lossy: bool, orientation: int, where: str) -> MaskPixels:
    """Return the pixels of an open image; `where` names it in messages."""
    if image.mode in DEEP_MODES:
        values = np.asarray(image)
        if not np.isfinite(values).all():
            raise CaseError(f"mask {where}: expected finite values, got NaN or infinity")
        top = 65535.0 if image.mode.startswith("I;16") else max(float(values.max(initial=0)), 1.0)
        return MaskPixels(values, None, None, top, lossy, orientation)
    if image.mode == "1":
        return MaskPixels(np.asarray(image).astype(np.uint8), None, None, 1.0, lossy, orientation)
    if image.mode == "L":
        return MaskPixels(np.asarray(image), None, None, 255.0, lossy, orientation)
    return _of_colors(image, lossy=lossy, orientation=orientation)


def _few_levels(path: Path) -> int:
    """Return the highest gray level of a PNG of two or four bits, 0 for all others."""
    with path.open("rb") as file:
        head = file.read(26)
    return {2: 3, 4: 15}.get(head[24], 0) if len(head) == 26 and head[25] == 0 else 0


def exif_orientation(image: PILImage.Image) -> int:
    """Return an image's EXIF orientation, 1 to 8; 1 where it states none."""
    value = image.getexif().get(_ORIENTATION_TAG, 1)
    return int(value) if value in range(1, 9) else 1


def _of_colors(image: PILImage.Image, *, lossy: bool, orientation: int) -> MaskPixels:
    pixels = np.asarray(image.convert("RGBA"))
    visible = pixels[..., 3] > 0
    alpha = pixels[..., 3] / 255.0
    rgb = np.rint(pixels[..., :3] * alpha[..., None]).astype(np.uint8) if (pixels[..., 3] < 255).any() else None
    colors = np.ascontiguousarray(pixels[..., :3]) if rgb is None else rgb
    gray = bool((colors[..., 0] == colors[..., 1]).all() and (colors[..., 1] == colors[..., 2]).all())
    if image.mode == "P":
        values = np.where(visible, np.asarray(image), 0)
    else:
        values = colors[..., 0] if gray else colors.max(axis=2)
    stored = np.asarray(image) if image.mode in ("RGB", "RGBA", "LA") else None
    palette = image.mode == "P"
    return MaskPixels(values, colors if palette or not gray else None, stored, 255.0, lossy, orientation)


def open_case_image(path: Path, role: str) -> PILImage.Image:
    """Open an image file of a case; `role` ("image", "mask") names it in messages.

    Raises:
        CaseError: the file is missing, broken or too large.
    """
    try:
        return open_image(path)
    except FileNotFoundError:
        raise CaseError(f"{role} {path}: no such file{_same_stem(path)}") from None
    except TooManyPixelsError as error:
        raise CaseError(
            f"{role} {path}: expected at most {limits().pixels} pixels, got {error}; tile or downsample it"
        ) from None
    except UNREADABLE as error:
        reason = one_line(error)
        raise CaseError(f"{role} {path}: expected a readable image file, got {reason}") from None


def _same_stem(path: Path) -> str:
    try:
        near = sorted(entry.name for entry in os.scandir(path.parent) if Path(entry.name).stem == path.stem)
    except OSError:
        return f"; its folder {path.parent} does not exist"
    return f"; did you mean {near[0]!r}?" if near else ""
