"""Saturation: how far colours lie from gray."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from robustness.perturb.base import ImagePerturbation
from robustness.perturb.pixels import column, luminance
from robustness.registry import PERTURBATIONS
from robustness.types import Params

if TYPE_CHECKING:
    import torch


class _Saturation(ImagePerturbation):
    """Stretch colours about their own brightness and clip: ``y + factor * (x - y)``, y the luma of the pixel."""

    identity = 1.0
    keys: ClassVar[tuple[str, ...]] = ("factor",)
    colour_only = True

    def change(self, pixels: torch.Tensor, params: Sequence[Params]) -> torch.Tensor:
        """Return the pictures with other colours of the same brightness."""
        gray = luminance(pixels)
        return pixels + (column(params, "factor", pixels) - 1) * (pixels - gray)


@PERTURBATIONS.add("saturation_up")
class SaturationUp(_Saturation):
    """Push colours away from gray: factors above 1.

    Imitates a camera or video processor set to vivid colours. Not applicable to gray pictures.
    Source: Di Salvo et al., "MedMNIST-C", 2024, arXiv:2406.17536 (saturate); Hendrycks and Dietterich, ICLR 2019,
    arXiv:1903.12261.
    """

    name = "saturation_up"
    values = (1.3, 1.6, 2.0, 2.5, 3.0)
    span: ClassVar[tuple[float, float]] = (1.02, 20.0)


@PERTURBATIONS.add("saturation_down")
class SaturationDown(_Saturation):
    """Draw colours towards gray: factors below 1; 0 is a gray picture.

    Imitates a faded stain, a worn light source or a processor set to pale colours. Not applicable to gray pictures.
    Source: Di Salvo et al., "MedMNIST-C", 2024, arXiv:2406.17536 (saturate); Hendrycks and Dietterich, ICLR 2019,
    arXiv:1903.12261.
    """

    name = "saturation_down"
    values = (0.8, 0.6, 0.4, 0.2, 0.0)
    span: ClassVar[tuple[float, float]] = (0.98, 0.0)
