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
    resolution. Done by MONAI's GaussianSmooth (error function kernel); edges are extended, so borders do not darken.

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
    from monai.transforms import GaussianSmooth
    from torch.nn.functional import pad

    margin = math.ceil(4 * sigma) + 1
    # MONAI pads with zeros, which would darken the borders.
    extended = pad(pixels[None], (margin, margin, margin, margin), mode="replicate")[0]
    blurred = torch.as_tensor(GaussianSmooth(sigma=sigma)(extended))
    return blurred[:, margin:-margin, margin:-margin]
