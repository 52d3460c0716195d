"""Image files to arrays: any common mode and size to uint8 RGB.

Depth: 8-bit values are kept. Deeper values are scaled as the dataset decided (`set_scale`). A file without a dataset is
divided by 65535, or by 4095 where no value exceeds it; other integers and floats outside [0, 1] are stretched from
their minimum to their maximum. Alpha is dropped. Of a multi-frame file the first frame is read.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import ImageOps

from robustness.array_files import is_array_file
from robustness.errors import CaseError
from robustness.image_files import TIFF_PHOTOMETRIC, lost_colors, tiff_tag
from robustness.runners.data.masks.mask_pixels import (
    DEEP_MODES,
    exif_orientation,
    open_case_image,
    read_case_array,
    without_single_axes,
)
from robustness.runners.data.volumes.scale import Scale
from robustness.types import Image

Floats = npt.NDArray[np.float32]

# A field of a TIFF's directory: whether values are signed.
_SAMPLE_FORMAT = 339
_SIGNED = 2


class DecodedImage(NamedTuple):
    """One image file's pixels.

    Attributes:
        image: uint8 (H, W, 3), RGB.
        image_float: float32 (H, W) in [0, 1] for sources deeper than 8 bits, else None.
        full_scale: the source value that became 255; None for 8-bit sources.
        orientation: the file's EXIF orientation, 1 where it states none.
    """

    image: Image
    image_float: Floats | None
    full_scale: float | None
    orientation: int


def read_image(path: Path, *, upright: bool = True, scale: Scale | None = None) -> DecodedImage:
    """Read one image.

    Args:
        path: the image file, or an array (``.npy``, ``.npz``).
        upright: turn the image as its EXIF orientation asks, as viewers and annotation tools show it.
        scale: what becomes black and white in a deep file, decided for its dataset; None: from this file alone.

    Raises:
        CaseError: the file is missing, broken, too large, or holds values that are not finite.
    """
    if is_array_file(path):
        return _of_array(read_case_array(path, "image"), path, scale)
    opened = image = open_case_image(path, "image")
    orientation = exif_orientation(opened)
    # Pillow turns gray levels of 8 bits where white is 0, deeper ones not.
    white_is_zero = tiff_tag(opened, TIFF_PHOTOMETRIC) == 0
    if upright and orientation != 1:
        image = ImageOps.exif_transpose(image)
    if tiff_tag(opened, _SAMPLE_FORMAT) == _SIGNED and image.mode == "L":
        raise CaseError(
            f"image {path}: expected values of 0 or more with 8 bits, got a signed type; save it with 16 bits"
        )
    if image.mode not in DEEP_MODES:
        if problem := lost_colors(opened, path):
            raise CaseError(f"image {path}: {problem}; save them with 8 bits, or one gray channel with 16")
        return DecodedImage(np.array(image.convert("RGB"), dtype=np.uint8), None, None, orientation)
    unit, full_scale = _to_unit(np.asarray(image), path, scale)
    if white_is_zero:
        unit = 1 - unit
    gray = np.rint(unit * 255).astype(np.uint8)
    return DecodedImage(np.repeat(gray[..., None], 3, axis=2), unit, full_scale, orientation)


def _of_array(array: npt.NDArray[np.generic], path: Path, scale: Scale | None) -> DecodedImage:
    """Return the image of an array (H, W), or (H, W, 3) and (H, W, 4) of uint8."""
    if array.ndim == 3 and array.dtype == np.uint8 and array.shape[2] in (3, 4):
        return DecodedImage(np.array(array[..., :3], dtype=np.uint8), None, None, 1)
    gray = without_single_axes(array)
    if gray.ndim != 2:
        first = array.ndim == 3 and array.shape[0] in (3, 4)
        cure = "np.moveaxis(image, 0, -1) puts channels last" if first else "save a volume as NIfTI, NRRD or MHA"
        raise CaseError(
            f"image {path}: expected an array (H, W), or (H, W, 3) of uint8 with the colours red, green and blue, got "
            f"the shape {array.shape} of {array.dtype}; {cure}"
        )
    if gray.dtype in (np.bool_, np.uint8):
        eight_bits = gray.astype(np.uint8) * (255 if gray.dtype == np.bool_ else 1)
        return DecodedImage(np.repeat(eight_bits[..., None], 3, axis=2), None, None, 1)
    unit, full_scale = _to_unit(gray, path, scale)
    return DecodedImage(np.repeat(np.rint(unit * 255).astype(np.uint8)[..., None], 3, axis=2), unit, full_scale, 1)


def _to_unit(values: npt.NDArray[np.generic], path: Path, scale: Scale | None) -> tuple[Floats, float]:
    """Scale deep values to [0, 1]; also return the value that became 1."""
    source = values.astype(np.float64)
    if not np.isfinite(source).all():
        raise CaseError(f"image {path}: expected finite values, got NaN or infinity")
    if scale is not None:
        return scale.unit(values), scale.high
    low, high = float(source.min()), float(source.max())
    if np.issubdtype(values.dtype, np.integer) and low >= 0 and high <= 65535:
        full_scale = 4095.0 if high <= 4095 else 65535.0
        return (source / full_scale).astype(np.float32), full_scale
    if low >= 0 and high <= 1:
        return source.astype(np.float32), 1.0
    if high == low:
        return np.zeros(source.shape, dtype=np.float32), high
    return ((source - low) / (high - low)).astype(np.float32), high
