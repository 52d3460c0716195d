"""Contrast: a linear stretch about the image's own mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from robustness.perturb.image.base import ImagePerturbation
from robustness.perturb.image.pixels import column, luminance
from robustness.registry import PERTURBATIONS
from robustness.types import Params

if TYPE_CHECKING:
    import torch


class _Contrast(ImagePerturbation):
    """Stretch about the mean brightness and clip: ``mean + factor * (x - mean)``."""

    identity = 1.0
    keys: ClassVar[tuple[str, ...]] = ("factor",)

    def change(self, pixels: torch.Tensor, params: Sequence[Params]) -> torch.Tensor:
        """Return the images with another contrast."""
        mean = luminance(pixels).mean(dim=(1, 2, 3), keepdim=True)
        # Written as a difference, a factor of 1 leaves every value as it is.
        return pixels + (column(params, "factor", pixels) - 1) * (pixels - mean)


@PERTURBATIONS.add("contrast_up")
class ContrastUp(_Contrast):
    """Stretch values away from the mean: factors above 1; both ends are clipped.

    Imitates a narrower window or a harder display curve.
    Source: Di Salvo et al., "MedMNIST-C", 2024, arXiv:2406.17536; Hendrycks and Dietterich, ICLR 2019,
    arXiv:1903.12261.
    """

    name = "contrast_up"
    values = (1.257, 1.45, 1.8, 2.25, 3.22)
    span: ClassVar[tuple[float, float]] = (1.02, 20.0)


@PERTURBATIONS.add("contrast_down")
class ContrastDown(_Contrast):
    """Draw values towards the mean: factors below 1.

    Imitates veiling glare, fog on a lens, scattered radiation or a window that is too wide.
    Source: Di Salvo et al., "MedMNIST-C", 2024, arXiv:2406.17536; Hendrycks and Dietterich, ICLR 2019,
    arXiv:1903.12261.
    """

    name = "contrast_down"
    values = (0.7921, 0.66, 0.494, 0.376, 0.228)
    span: ClassVar[tuple[float, float]] = (0.98, 0.02)
