"""Blur kernels, drawn on the host, and the convolution with them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

Kernel = npt.NDArray[np.float32]
_FINER = 8
_STEP = 0.25


@lru_cache(maxsize=64)
def disk(radius: float, softness: float) -> Kernel:
    """Return the point spread of a defocused lens: a disk of `radius` pixels, softened by a normal of `softness`.

    A pixel's weight is the share of it that the disk covers, so that any radius is possible; the sum is 1.
    """
    from scipy import ndimage

    reach = math.ceil(radius + 3 * softness)
    axis = (np.arange((2 * reach + 1) * _FINER) + 0.5) / _FINER - reach - 0.5
    fine = ((axis[:, None] ** 2 + axis[None, :] ** 2) <= max(radius, 0.5 / _FINER) ** 2).astype(np.float64)
    if softness:
        fine = ndimage.gaussian_filter(fine, softness * _FINER, mode="constant")
    side = 2 * reach + 1
    coarse = fine.reshape(side, _FINER, side, _FINER).sum(axis=(1, 3))
    return (coarse / coarse.sum()).astype(np.float32)


@lru_cache(maxsize=256)
def streak(length: float, sigma: float, degrees: float) -> Kernel:
    """Return the path of a point during a motion: `length` pixels along `degrees`, fading as a half normal of `sigma`.

    The kernel's centroid lies at its centre, so that the image does not move against its mask; the sum is 1.
    """
    along = np.arange(0.0, length + _STEP / 2, _STEP)
    weights = np.exp(-(along**2) / (2 * max(sigma, 1e-6) ** 2))
    along -= np.average(along, weights=weights)
    rows, columns = along * math.sin(math.radians(degrees)), along * math.cos(math.radians(degrees))
    reach = math.ceil(np.abs(along).max()) + 1
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1))
    top, left = np.floor(rows).astype(int), np.floor(columns).astype(int)
    for down in (0, 1):
        for right in (0, 1):
            share = (1 - np.abs(rows - top - down)) * (1 - np.abs(columns - left - right))
            np.add.at(kernel, (top + down + reach, left + right + reach), share * weights)
    return (kernel / kernel.sum()).astype(np.float32)


def convolved(pixels: torch.Tensor, kernels: Sequence[Kernel]) -> torch.Tensor:
    """Convolve each image of (B, C, H, W) with its own kernel, all of one odd size; edges are extended.

    Done by Fourier transforms, whose time does not grow with the kernel.
    """
    import torch
    from torch.nn.functional import pad

    reach = kernels[0].shape[0] // 2
    height, width = pixels.shape[-2:]
    size = [_fast(length + 2 * reach) for length in (height, width)]
    extended = pad(pixels, (reach, reach, reach, reach), mode="replicate")
    taps = torch.from_numpy(np.stack(kernels)[:, None]).to(pixels)
    product = torch.fft.rfft2(extended, s=size) * torch.fft.rfft2(taps, s=size)
    return torch.fft.irfft2(product, s=size)[..., 2 * reach : 2 * reach + height, 2 * reach : 2 * reach + width]


def _fast(length: int) -> int:
    from scipy.fft import next_fast_len

    return int(next_fast_len(length, real=True))
