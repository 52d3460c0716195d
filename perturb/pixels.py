"""What image changes share: unit floats, gray images, degrees, and the way into MONAI."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from robustness.errors import InputError
from robustness.types import Image

if TYPE_CHECKING:
    import torch

Floats = npt.NDArray[np.float32]


def to_unit(image: Image) -> Floats:
    """Return uint8 values as float32 in [0, 1]."""
    return image.astype(np.float32) / np.float32(255)


def to_bytes(unit: Floats) -> Image:
    """Return floats, clipped to [0, 1], as uint8, rounded to the nearest level."""
    return np.rint(np.clip(unit, 0.0, 1.0) * 255).astype(np.uint8)


def is_gray(image: Image) -> bool:
    """Tell whether the three channels of (H, W, 3) are equal."""
    return bool(np.array_equal(image[..., 0], image[..., 1]) and np.array_equal(image[..., 0], image[..., 2]))


def monai_transform(image: Image, transform: Callable[[torch.Tensor], Any]) -> Image:
    """Apply a MONAI array transform (channels first, floats in [0, 1]) to a uint8 image (H, W, 3).

    A gray image goes through as one channel and comes back with three equal ones.
    """
    import torch

    gray = is_gray(image)
    planes = to_unit(image[..., :1] if gray else image).transpose(2, 0, 1)
    out = np.asarray(transform(torch.from_numpy(np.ascontiguousarray(planes))), dtype=np.float32)
    pixels = np.ascontiguousarray(to_bytes(out.transpose(1, 2, 0)))
    return np.repeat(pixels, 3, axis=2) if gray else pixels


def degree(values: Sequence[float], severity: int, *, identity: float) -> float:
    """Return the parameter of a severity: `identity` at 0, the values in order from 1.

    Raises:
        InputError: no such severity.
    """
    if not 0 <= severity <= len(values):
        raise InputError(f"severity: expected 0 to {len(values)}, got {severity}")
    return identity if severity == 0 else values[severity - 1]
