"""PIL's resizing as matrices: the same numbers in floating point, and with a gradient."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from PIL import Image as PILImage

# Rows of the identity that are resized at once; an image of 8192 pixels a side then needs 16 MiB.
_BLOCK = 512


@lru_cache(maxsize=16)
def resize_matrix(length: int, size: int, filter_number: int) -> torch.Tensor:
    """Return the float32 matrix (size, length) that resizes a line of `length` pixels to `size` pixels as PIL does.

    Its columns are what PIL itself makes of a line with a single 1, so the weights are PIL's own, antialiasing
    included; each row sums to 1. The weights of "nearest" and "bilinear" are not negative.

    Args:
        filter_number: a member of `PIL.Image.Resampling`.
    """
    columns = np.empty((length, size), dtype=np.float32)
    for start in range(0, length, _BLOCK):
        rows = min(_BLOCK, length - start)
        lines = np.zeros((rows, length), dtype=np.float32)
        lines[np.arange(rows), start + np.arange(rows)] = 1
        image = PILImage.fromarray(lines).resize((size, rows), PILImage.Resampling(filter_number))
        columns[start : start + rows] = np.array(image)
    return torch.from_numpy(np.ascontiguousarray(columns.T))


def resized(planes: torch.Tensor, size: tuple[int, int], filter_number: int) -> torch.Tensor:
    """Return `planes` (..., H, W) resized to `size` (h, w); differentiable, each plane by itself.

    Equal to PIL's resizing of images of mode "F" up to rounding of float32; PIL's 8-bit images differ from it by their
    rounding (about one level at most for "bilinear").
    """
    height, width = planes.shape[-2:]
    if (height, width) == tuple(size):
        return planes
    down = resize_matrix(height, size[0], filter_number).to(planes)
    across = resize_matrix(width, size[1], filter_number).to(planes)
    return down @ (planes @ across.T)
