"""Pixels of one mask file as it stores them: label values or gray levels, colours where it has any."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image as PILImage
from PIL import ImageOps

from robustness.array_files import is_array_file, read_array
from robustness.errors import CaseError, one_line
from robustness.image_files import (
    TIFF_PHOTOMETRIC,
    UNREADABLE,
    TooManyPixelsError,
    has_inverted_table,
    is_unfilled,
    lost_colors,
    open_image,
    tiff_tag,
)
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
        indices: of a palette image as stored, also where they are transparent; else None.
        classes: the channels are no colours (those of an array, or hidden by the alpha channel): each may be a class.
    """

    values: Values
    colors: npt.NDArray[np.uint8] | None
    channels: Values | None
    full_scale: float
    lossy: bool
    orientation: int
    classes: bool = False
    indices: Values | None = None


def read_pixels(path: Path, *, upright: bool = True, key: str = "", size: tuple[int, int] | None = None) -> MaskPixels:
    """Read a mask file.

    Args:
        path: an image file, or an array (``.npy``, ``.npz``).
        upright: turn it as its EXIF orientation asks.
        key: the array's name in a ``.npz``.
        size: (H, W) of the image, which tells the axes of an array with channels; None where it is not known.

    Raises:
        CaseError: the file is missing, broken, too large, or holds values that are not finite.
    """
    if is_array_file(path):
        return pixels_of_array(read_case_array(path, "mask", key=key), size, str(path))
    stored = open_case_image(path, "mask")
    orientation = exif_orientation(stored)
    turned = ImageOps.exif_transpose(stored) if upright and orientation != 1 else stored
    # What the file holds decides, not what it is called.
    lossy = stored.format in ("JPEG", "MPO")
    if stored.mode not in DEEP_MODES and (problem := lost_colors(stored, path)):
        raise CaseError(f"mask {path}: {problem}; save the mask with 8 bits, or as one gray channel")
    if has_inverted_table(stored):
        raise CaseError(
            f"mask {path}: expected a TIFF whose black is zero, got one of ImageJ with an inverted table, whose values "
            "and looks say opposite things of what is inside; save it without the table"
        )
    pixels = pixels_of(turned, lossy=lossy, orientation=orientation, where=str(path))
    if stored.mode in DEEP_MODES and tiff_tag(stored, TIFF_PHOTOMETRIC) == 0:
        pixels = _turned_gray(pixels, path)
    levels = _few_levels(path) if stored.format == "PNG" and turned.mode == "L" else 0
    if not levels:
        return pixels
    # Pillow stretches gray levels of two and four bits over 0 to 255; labels are the levels as stored.
    return pixels._replace(values=pixels.values // (255 // levels), full_scale=float(levels))


def _turned_gray(pixels: MaskPixels, path: Path) -> MaskPixels:
    """Return the gray levels of a deep TIFF whose white is zero, as Pillow returns those of 8 bits.

    Raises:
        CaseError: they are no whole numbers of 16 bits, whose black is not known.
    """
    if pixels.values.dtype.kind != "u" or pixels.full_scale != 65535:
        raise CaseError(f"mask {path}: expected a TIFF whose black is zero, got one whose white is; save it so")
    return pixels._replace(values=np.asarray(65535 - pixels.values))


def unchangeable(pixels: MaskPixels) -> MaskPixels:
    """Return pixels that several cases can read: none of them can change them."""
    for array in (pixels.values, pixels.colors, pixels.channels, pixels.indices):
        if array is not None:
            array.setflags(write=False)
    return pixels


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
    if image.mode == "L" or is_unfilled(image):
        return MaskPixels(np.asarray(image), None, None, 255.0, lossy, orientation)
    return _of_colors(image, lossy=lossy, orientation=orientation)


def pixels_of_array(array: Values, size: tuple[int, int] | None, where: str) -> MaskPixels:
    """Return the pixels of an array (H, W), of colours (H, W, 3) or (H, W, 4) of uint8, or with a channel per class.

    Args:
        array: numbers or booleans.
        size: (H, W) of the image, which tells whether channels come first or last; None: last.
        where: the file, for messages.

    Raises:
        CaseError: another shape, or values that are not finite.
    """
    if array.ndim == 3 and array.dtype == np.uint8 and array.shape[2] in (3, 4) and int(array.max()) != 1:
        return pixels_of(PILImage.fromarray(array), lossy=False, orientation=1, where=where)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise CaseError(f"mask {where}: expected finite values, got NaN or infinity; write background as 0")
    array = without_single_axes(array)
    fits = [axis for axis in (0, 2) if array.ndim == 3 and size in (None, _without(array.shape, axis))]
    if array.ndim != 2 and len(fits) != 1 and size is not None:
        raise CaseError(f"mask {where}: expected an array of its image's size {size}, got the shape {array.shape}")
    full_scale = _full_scale(array)
    values = array.astype(np.uint8) if array.dtype == np.bool_ else array
    if array.ndim == 2:
        return MaskPixels(values, None, None, full_scale, False, 1)
    channels = np.moveaxis(values, fits[0], -1) if size is not None else values
    return MaskPixels(channels.max(axis=-1), None, channels, full_scale, False, 1, classes=True)


def without_single_axes(array: Values) -> Values:
    """Return an array (1, H, W) or (H, W, 1) as (H, W); others as they are."""
    while array.ndim > 2 and 1 in (array.shape[0], array.shape[-1]):
        array = array[0] if array.shape[0] == 1 else array[..., 0]
    return array


def _without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return shape[:axis] + shape[axis + 1 :]


def _full_scale(array: Values) -> float:
    if array.dtype == np.bool_:
        return 1.0
    if array.dtype in (np.uint8, np.uint16):
        return float(np.iinfo(array.dtype).max)
    return max(float(array.max(initial=0)), 1.0)


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
    classes = False
    if stored is not None and image.mode != "RGB" and not colors.any():
        # Nothing is seen: a black shape on nothing, whose alpha is the mask, or channels that are no colours.
        classes = _hides(pixels)
        if not classes and pixels[..., 3].min() < pixels[..., 3].max():
            values = pixels[..., 3]
    indices = np.asarray(image) if palette else None
    shown = colors if palette or not gray else None
    return MaskPixels(values, shown, stored, 255.0, lossy, orientation, classes, indices)


def _hides(pixels: npt.NDArray[np.uint8]) -> bool:
    """Tell whether RGBA pixels of which nothing is seen hold colours, or an alpha that is as good as none."""
    return bool(pixels[..., :3].any() or (pixels[..., 3] == 1).any())


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


def read_case_array(path: Path, role: str, *, key: str = "") -> Values:
    """Read an array file of a case; `role` ("image", "mask") names it in messages.

    Raises:
        CaseError: the file is missing, broken or too large, or holds anything but numbers.
    """
    try:
        array = read_array(path, role, key=key)
    except FileNotFoundError:
        raise CaseError(f"{role} {path}: no such file{_same_stem(path)}") from None
    except UNREADABLE as error:
        raise CaseError(f"{role} {path}: expected a readable array, got {one_line(error)}") from None
    sides = sorted(array.shape)[-2:]
    if array.ndim < 2 or not array.size or sides[0] * sides[1] > limits().pixels:
        raise CaseError(
            f"{role} {path}: expected an array (H, W) of at most {limits().pixels} pixels, got the shape {array.shape}"
        )
    return array


def _same_stem(path: Path) -> str:
    try:
        near = sorted(entry.name for entry in os.scandir(path.parent) if Path(entry.name).stem == path.stem)
    except OSError:
        return f"; its folder {path.parent} does not exist"
    return f"; did you mean {near[0]!r}?" if near else ""
