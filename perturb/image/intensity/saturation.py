"""Saturation: how far colours lie from gray."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from robustness.perturb.image.base import ImagePerturbation
from robustness.perturb.image.pixels import column, luminance
from robustness.registry import PERTURBATIONS
from robustness.types import Params

if TYPE_CHECKING:
    import torch


# A level far below one of 255, which keeps black from being divided by nought.
_DARKEST = 1e-6


class _Saturation(ImagePerturbation):
    """Stretch colours about their own brightness and clip: ``y + factor * (x - y)``, y the luma of the pixel."""

    identity = 1.0
    keys: ClassVar[tuple[str, ...]] = ("factor",)
    colour_only = True

    def change(self, pixels: torch.Tensor, params: Sequence[Params]) -> torch.Tensor:
        """Return the images with other colours of the same brightness."""
        gray = luminance(pixels)
        return pixels + (column(params, "factor", pixels) - 1) * (pixels - gray)


@PERTURBATIONS.add("saturation_up")
class SaturationUp(_Saturation):
    """Push colours away from gray: factors above 1.

    Imitates a camera or video processor set to vivid colours. Not applicable to gray images.
    Source: Di Salvo et al., "MedMNIST-C", 2024, arXiv:2406.17536 (saturate); Hendrycks and Dietterich, ICLR 2019,
    arXiv:1903.12261.
    """

    name = "saturation_up"
    values = (1.35, 1.64, 2.36, 3.42, 5.83)
    span: ClassVar[tuple[float, float]] = (1.02, 20.0)


@PERTURBATIONS.add("saturation_down")
class SaturationDown(_Saturation):
    """Draw colours towards gray: factors below 1; 0 is a gray image.

    Imitates a faded stain, a worn light source or a processor set to pale colours. Not applicable to gray images.
    Source: Di Salvo et al., "MedMNIST-C", 2024, arXiv:2406.17536 (saturate); Hendrycks and Dietterich, ICLR 2019,
    arXiv:1903.12261.
    """

    name = "saturation_down"
    values = (0.9494, 0.8881, 0.613, 0.367, 0.0153)
    span: ClassVar[tuple[float, float]] = (0.98, 0.0)


@PERTURBATIONS.add("saturate")
class Saturate(ImagePerturbation):
    """Scale and shift the saturation of HSV and clip it: ``factor * s + offset``.

    The operator of the published sets (MedMNIST-C shifts, imagecorruptions scales and shifts), for their presets; the
    common list has `saturation_up` and `saturation_down`. Gray pixels have no hue and stay gray, where published code
    turns them red. Not applicable to gray images.

    Source: Di Salvo et al., "MedMNIST-C", 2024, arXiv:2406.17536; Hendrycks and Dietterich, ICLR 2019,
    arXiv:1903.12261.
    """

    name = "saturate"
    values = ((1.0, 0.05), (1.0, 0.1), (1.0, 0.15), (1.0, 0.2), (1.0, 0.25))
    identity = (1.0, 0.0)
    keys: ClassVar[tuple[str, ...]] = ("factor", "offset")
    colour_only = True

    def change(self, pixels: torch.Tensor, params: Sequence[Params]) -> torch.Tensor:
        """Return the images with another saturation."""
        top = pixels.amax(dim=1, keepdim=True)
        below = top - pixels
        spread = below.amax(dim=1, keepdim=True)
        saturation = spread / top.clamp(min=_DARKEST)
        target = (column(params, "factor", pixels) * saturation + column(params, "offset", pixels)).clamp(0, 1)
        ratio = target / saturation.where(saturation > 0, target.new_ones(()))
        # A difference that is nil where nothing is asked for: the identity changes no value.
        return pixels - below * (ratio - 1).where(target != saturation, ratio.new_zeros(()))
