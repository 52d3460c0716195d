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

from robustness.errors import CaseError
from robustness.runners.data.masks.mask_pixels import DEEP_MODES, exif_orientation, open_case_image
from robustness.runners.data.volumes.scale import Scale
from robustness.types import Image

Floats = npt.NDArray[np.float32]


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
        path: the image file.
        upright: turn the image as its EXIF orientation asks, as viewers and annotation tools show it.
        scale: what becomes black and white in a deep file, decided for its dataset; None: from this file alone.

    Raises:
        CaseError: the file is missing, broken, too large, or holds values that are not finite.
    """
    image = open_case_image(path, "image")
    orientation = exif_orientation(image)
    if upright and orientation != 1:
        image = ImageOps.exif_transpose(image)
    if image.mode not in DEEP_MODES:
        return DecodedImage(np.array(image.convert("RGB"), dtype=np.uint8), None, None, orientation)
    unit, full_scale = _to_unit(np.asarray(image), path, scale)
    gray = np.rint(unit * 255).astype(np.uint8)
    return DecodedImage(np.repeat(gray[..., None], 3, axis=2), unit, full_scale, orientation)


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
