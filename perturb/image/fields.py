"""Maps over an image that are regenerated from a seed: smooth noise, coordinates, wide blurs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from robustness.seeds import generator
from robustness.types import Params

if TYPE_CHECKING:
    import torch

Map = npt.NDArray[np.float32]
# Wide blurs are computed on a copy of this shorter side: beyond it a smooth result does not change.
_COARSE_SIDE = 64


def seeded(rng: np.random.Generator) -> int:
    """Draw the seed from which `change` regenerates what is too large for the record."""
    return int(rng.integers(2**32))


def stream(params: Params, name: str) -> np.random.Generator:
    """Return the generator of one image's own draws."""
    return generator(params["seed"], name)


def coordinates(size: tuple[int, int]) -> tuple[Map, Map]:
    """Return the rows (H, 1) and columns (1, W) of the pixel centres in units of the shorter side."""
    side = min(size)
    rows, columns = ((np.arange(length, dtype=np.float32) + np.float32(0.5)) / np.float32(side) for length in size)
    return rows[:, None], columns[None, :]


def smooth_noise(rng: np.random.Generator, size: tuple[int, int], cells: float) -> Map:
    """Return a smooth random map (H, W) with mean 0 and standard deviation 1.

    Args:
        rng: where the map comes from.
        size: (H, W).
        cells: independent values along the shorter side; fewer is smoother.
    """
    from PIL import Image

    side = min(size)
    coarse = [max(2, round(cells * length / side)) + 2 for length in size]
    values = rng.standard_normal(coarse, dtype=np.float32)
    # The border values stay outside the image, where the interpolation would flatten them.
    pad = [length / (n - 2) for length, n in zip(size, coarse, strict=True)]
    big = (size[1] + 2 * int(np.ceil(pad[1])), size[0] + 2 * int(np.ceil(pad[0])))
    wide = np.asarray(Image.fromarray(values).resize(big, Image.Resampling.BICUBIC), dtype=np.float32)
    top, left = (big[1] - size[0]) // 2, (big[0] - size[1]) // 2
    field = wide[top : top + size[0], left : left + size[1]]
    return (field - field.mean()) / max(float(field.std()), 1e-6)


def ranked(field: Map) -> Map:
    """Return each value's rank in [0, 1): thresholding at 1 - p covers the share p of the image exactly."""
    order = np.argsort(field, axis=None, kind="stable")
    ranks = np.empty(field.size, dtype=np.float32)
    ranks[order] = np.arange(field.size, dtype=np.float32) / field.size
    return ranks.reshape(field.shape)


def smoothstep(value: Any, low: float, high: float) -> Any:
    """Return 0 below `low`, 1 above `high` and a smooth rise between; arrays in, arrays out."""
    t = np.clip((value - low) / max(high - low, 1e-6), 0.0, 1.0)
    return t * t * (3 - 2 * t)


def luminance(pixels: torch.Tensor) -> torch.Tensor:
    """Return the brightness (B, 1, H, W) of gray or colour images (ITU-R BT.601 weights)."""
    if pixels.shape[1] == 1:
        return pixels
    return pixels[:, :1] * 0.299 + pixels[:, 1:2] * 0.587 + pixels[:, 2:3] * 0.114


def field_of_view(pixels: torch.Tensor) -> torch.Tensor:
    """Return 1 inside the image's field of view and 0 outside, (B, 1, H, W).

    A place is inside where something brighter than black lies to its left and right, above and below: the black around
    a sector, a disk or a body is outside, dark places within are not.
    """
    seen = (luminance(pixels) > 8 / 255).to(pixels.dtype)
    around = [seen.cummax(axis).values * seen.flip(axis).cummax(axis).values.flip(axis) for axis in (-2, -1)]
    return around[0] * around[1]


def low_pass(pixels: torch.Tensor, sigma_pixels: float) -> torch.Tensor:
    """Convolve (B, C, H, W) with a normal kernel; edges are extended, so borders do not darken."""
    import torch
    from torch.nn import functional

    reach = int(np.ceil(3 * sigma_pixels))
    if reach == 0:
        return pixels
    taps = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, dtype=torch.float64) / sigma_pixels) ** 2)
    kernel = (taps / taps.sum()).to(pixels)
    batch, channels, height, width = pixels.shape
    planes = pixels.reshape(batch * channels, 1, height, width)
    planes = functional.conv2d(functional.pad(planes, (reach, reach, 0, 0), mode="replicate"), kernel[None, None, None])
    planes = functional.conv2d(
        functional.pad(planes, (0, 0, reach, reach), mode="replicate"), kernel[None, None, :, None]
    )
    return planes.reshape(batch, channels, height, width)


def wide_blur(pixels: torch.Tensor, sigma: float) -> torch.Tensor:
    """Blur by `sigma` in units of the shorter side (0.05 or more), computed on a coarse copy."""
    from torch.nn import functional

    height, width = pixels.shape[-2:]
    scale = min(1.0, _COARSE_SIDE / min(height, width))
    coarse = (max(8, round(height * scale)), max(8, round(width * scale)))
    small = functional.interpolate(pixels, size=coarse, mode="area")
    small = low_pass(small, sigma * min(coarse))
    return functional.interpolate(small, size=(height, width), mode="bilinear", align_corners=False)
