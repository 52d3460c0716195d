"""Gaussian blur: defocus, patient motion averaged out, or a softer reconstruction kernel."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from robustness.perturb.image.base import ImagePerturbation
from robustness.perturb.image.pixels import detail_scale
from robustness.registry import PERTURBATIONS
from robustness.types import Case, NotApplicable, Params

if TYPE_CHECKING:
    import torch


@PERTURBATIONS.add("gaussian_blur")
class GaussianBlur(ImagePerturbation):
    """Convolve with a normal kernel of standard deviation sigma pixels.

    Imitates a smooth reconstruction kernel, slight defocus, or upscaling. Sigma is stated for a shorter side of 256
    pixels and grows with the image (down to a side of 128), so that one severity means one loss of detail at any
    resolution. A tap is the share of the normal law that falls on its pixel, cut off at four sigma; edges are extended,
    so borders do not darken. Equal to MONAI's GaussianSmooth of the extended image bit for bit, without the seconds
    that its import takes.

    Source: Hendrycks and Dietterich, ICLR 2019, arXiv:1903.12261 (gaussian_blur); MONAI `GaussianSmooth`.
    """

    name = "gaussian_blur"
    values = (1.047, 1.5, 2.67, 4.03, 7.44)
    span: ClassVar[tuple[float, float]] = (0.2, 20.0)
    lengths = True

    def parameters(self, value: Any, case: Case, rng: np.random.Generator) -> Params | NotApplicable:
        """Return sigma in pixels of this image; nothing is drawn."""
        return {"sigma": value * detail_scale(case)}

    def change(self, pixels: torch.Tensor, params: Sequence[Params]) -> torch.Tensor:
        """Return the blurred images."""
        import torch

        return torch.stack([_blurred(one, params[i]["sigma"]) for i, one in enumerate(pixels)])


def _blurred(pixels: torch.Tensor, sigma: float) -> torch.Tensor:
    if sigma == 0:
        return pixels
    import torch
    from torch.nn.functional import conv2d, pad

    margin = math.ceil(4 * sigma) + 1
    extended = pad(pixels[None], (margin, margin, margin, margin), mode="replicate")
    taps = _taps(torch.as_tensor(sigma, dtype=torch.float32, device=pixels.device))
    reach, channels = len(taps) // 2, pixels.shape[0]
    # Zeros around, two passes in one order: MONAI's own steps, so that the values are the same.
    extended = pad(extended, (reach, reach, reach, reach))
    for shape in ((1, 1, -1, 1), (1, 1, 1, -1)):
        extended = conv2d(extended, taps.reshape(shape).repeat(channels, 1, 1, 1), groups=channels)
    return extended[0, :, margin:-margin, margin:-margin]


def _taps(sigma: torch.Tensor) -> torch.Tensor:
    """Return the kernel (2 r + 1), r four sigma: between the borders of a pixel the error function rises by its tap."""
    import torch

    reach = int(max(float(sigma) * 4.0, 0.5) + 0.5)
    x = torch.arange(-reach, reach + 1, dtype=torch.float32, device=sigma.device)
    scale = 0.70710678 / sigma.abs()
    return (0.5 * ((scale * (x + 0.5)).erf() - (scale * (x - 0.5)).erf())).clamp(min=0)
