"""Brightness: the gain of the chain from detector to file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from robustness.perturb.image.base import ImagePerturbation
from robustness.perturb.image.pixels import column
from robustness.registry import PERTURBATIONS
from robustness.types import Params

if TYPE_CHECKING:
    import torch


# A level far below one of 255: what is darker has no hue that could be kept.
_DARKEST = 1e-6


class _Brightness(ImagePerturbation):
    """Multiply all values and clip: ``factor * x``."""

    identity = 1.0
    keys: ClassVar[tuple[str, ...]] = ("factor",)

    def change(self, pixels: torch.Tensor, params: Sequence[Params]) -> torch.Tensor:
        """Return the images with another gain."""
        return pixels * column(params, "factor", pixels)


@PERTURBATIONS.add("brightness_up")
class BrightnessUp(_Brightness):
    """Multiply all values by a factor above 1; what exceeds the range is lost.

    Imitates a longer exposure or a higher gain. Black stays black, as in MedMNIST-C; Hendrycks and Dietterich add an
    offset instead.
    Source: Di Salvo et al., "MedMNIST-C", 2024, arXiv:2406.17536; Hendrycks and Dietterich, ICLR 2019,
    arXiv:1903.12261.
    """

    name = "brightness_up"
    values = (1.249, 1.38, 1.59, 1.83, 2.36)
    span: ClassVar[tuple[float, float]] = (1.02, 12.0)


@PERTURBATIONS.add("brightness_down")
class BrightnessDown(_Brightness):
    """Multiply all values by a factor below 1.

    Imitates a shorter exposure, a lower gain or a darker light source.
    Source: Di Salvo et al., "MedMNIST-C", 2024, arXiv:2406.17536; Hendrycks and Dietterich, ICLR 2019,
    arXiv:1903.12261.
    """

    name = "brightness_down"
    values = (0.7775, 0.697, 0.584, 0.5, 0.396)
    span: ClassVar[tuple[float, float]] = (0.98, 0.03)


@PERTURBATIONS.add("brightness_offset")
class BrightnessOffset(ImagePerturbation):
    """Add to the value of HSV and clip it; hue and saturation stay, and black turns gray.

    The operator of ImageNet-C and imagecorruptions, for their preset; the common list has `brightness_up`, which leaves
    black black.

    Source: Hendrycks and Dietterich, ICLR 2019, arXiv:1903.12261 (brightness); Michaelis et al., "Benchmarking
    Robustness in Object Detection", 2019, arXiv:1907.07484.
    """

    name = "brightness_offset"
    values = (0.1, 0.2, 0.3, 0.4, 0.5)
    keys: ClassVar[tuple[str, ...]] = ("offset",)
    span: ClassVar[tuple[float, float]] = (0.005, 0.9)

    def change(self, pixels: torch.Tensor, params: Sequence[Params]) -> torch.Tensor:
        """Return the brighter images."""
        top = pixels.amax(dim=1, keepdim=True)
        added = (top + column(params, "offset", pixels)).clamp(max=1) - top
        scaled = pixels * (added / top.clamp(min=_DARKEST))
        return pixels + scaled.where(top > _DARKEST, added)
