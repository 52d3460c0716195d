"""Gamma: a display or acquisition chain with another transfer curve."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from robustness.perturb.image.base import ImagePerturbation
from robustness.registry import PERTURBATIONS
from robustness.types import Params

if TYPE_CHECKING:
    import torch


class _Gamma(ImagePerturbation):
    """Raise values to a power, ``lo + (hi - lo) * ((x - lo) / (hi - lo)) ** gamma``, with the image's own lo and hi.

    Equal to MONAI's AdjustContrast bit for bit, without the seconds that its import takes. A constant image stays as it
    is.
    """

    identity = 1.0
    keys: ClassVar[tuple[str, ...]] = ("gamma",)

    def change(self, pixels: torch.Tensor, params: Sequence[Params]) -> torch.Tensor:
        """Return the images with another transfer curve."""
        import torch

        return torch.stack([_curve(one, params[i]["gamma"]) for i, one in enumerate(pixels)])


def _curve(pixels: torch.Tensor, gamma: float) -> torch.Tensor:
    if gamma == 1 or bool(pixels.min() == pixels.max()):
        return pixels
    low = pixels.min()
    span = pixels.max() - low
    # The same small number as MONAI's, so that the values are the same.
    return ((pixels - low) / float(span + 1e-7)) ** gamma * span + low


@PERTURBATIONS.add("gamma_up")
class GammaUp(_Gamma):
    """Darken the middle tones: exponents above 1.

    Imitates a display or detector whose curve is steeper than the one of the training data.
    Source: Di Salvo et al., "MedMNIST-C", 2024, arXiv:2406.17536; MONAI `AdjustContrast`.
    """

    name = "gamma_up"
    values = (1.213, 1.32, 1.51, 1.72, 2.08)
    span: ClassVar[tuple[float, float]] = (1.02, 12.0)


@PERTURBATIONS.add("gamma_down")
class GammaDown(_Gamma):
    """Brighten the middle tones: exponents below 1.

    Imitates a display or detector whose curve is flatter than the one of the training data.
    Source: Di Salvo et al., "MedMNIST-C", 2024, arXiv:2406.17536; MONAI `AdjustContrast`.
    """

    name = "gamma_down"
    values = (0.795, 0.7, 0.548, 0.415, 0.249)
    span: ClassVar[tuple[float, float]] = (0.98, 0.05)
