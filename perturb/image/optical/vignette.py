"""Light that falls off, and tubes that hide the corners."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from robustness.perturb.image.base import ImagePerturbation
from robustness.perturb.image.pixels import column
from robustness.registry import PERTURBATIONS
from robustness.types import Params

if TYPE_CHECKING:
    import torch

# Width of the soft rim, in units in which the sides are 2 long.
_RIM = 0.04


@PERTURBATIONS.add("vignette")
class Vignette(ImagePerturbation):
    """Darken towards the corners by the cosine-fourth law: ``x / (1 + (strength * r)^2)^2``, r = 1 in the corners.

    Imitates natural vignetting of a wide lens and the light cone of an endoscope; strength is the tangent of the angle
    under which the corners are seen.

    Source: Goldman, "Vignette and Exposure Calibration and Compensation", IEEE TPAMI 2010, doi:10.1109/TPAMI.2010.55.
    """

    name = "vignette"
    values = (0.685, 0.8421, 1.094, 1.32, 1.67)
    keys: ClassVar[tuple[str, ...]] = ("strength",)
    span: ClassVar[tuple[float, float]] = (0.05, 6.0)

    def change(self, pixels: torch.Tensor, params: Sequence[Params]) -> torch.Tensor:
        """Return the darkened images."""
        strength = column(params, "strength", pixels)
        return pixels / (1 + strength**2 * squared_radius(pixels) / 2) ** 2


@PERTURBATIONS.add("black_corner")
class BlackCorner(ImagePerturbation):
    """Blacken what lies outside an ellipse, `radius` times as large as the one that is inscribed in the image.

    Imitates the tube of a dermatoscope or endoscope. From a radius of the root of 2 on nothing is hidden. Corners that
    hold the target are hidden too: the reference stays.

    Source: Di Salvo et al., "MedMNIST-C", 2024, arXiv:2406.17536 (black_corner, a circle whose published radii
    are not monotone); Sies et al., "Dark corner artefact and diagnostic performance of a market-approved neural network
    for skin cancer classification", JDDG 2021, doi:10.1111/ddg.14384.
    """

    name = "black_corner"
    values = (1.0, 0.94, 0.87, 0.8, 0.7)
    identity = 1.5
    keys: ClassVar[tuple[str, ...]] = ("radius",)
    span: ClassVar[tuple[float, float]] = (1.35, 0.25)

    def change(self, pixels: torch.Tensor, params: Sequence[Params]) -> torch.Tensor:
        """Return the images as seen through the tube."""
        inside = (column(params, "radius", pixels) - squared_radius(pixels).sqrt()) / _RIM + 0.5
        return pixels * inside.clamp(0, 1)


def squared_radius(pixels: torch.Tensor) -> torch.Tensor:
    """Return (1, 1, H, W): squared distances of pixel centres from the centre, 1 on the inscribed ellipse."""
    import torch

    axes = [(torch.arange(n, device=pixels.device, dtype=pixels.dtype) + 0.5) / n * 2 - 1 for n in pixels.shape[-2:]]
    return (axes[0][:, None] ** 2 + axes[1][None, :] ** 2)[None, None]
