"""Zoom blur: the camera moved towards the scene during the exposure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from robustness.perturb.image.base import ImagePerturbation
from robustness.perturb.image.pixels import between, per_record
from robustness.registry import PERTURBATIONS
from robustness.types import Params

if TYPE_CHECKING:
    import torch

_MOST_STAGES = 5


@PERTURBATIONS.add("zoom_blur")
class ZoomBlur(ImagePerturbation):
    """Average copies of the image at magnifications whose largest is `zoom` times the smallest.

    Imitates an endoscope or a hand-held camera that moves towards the scene. Published code magnifies from 1 to `zoom`,
    which pushes the image outwards from under its mask; here magnifications lie evenly, as logarithms, around 1.
    Neighbouring copies lie at most about one pixel apart at the corners. Edges are extended.

    Source: Hendrycks and Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and Perturbations",
    ICLR 2019, arXiv:1903.12261 (zoom_blur);
    Di Salvo et al., "MedMNIST-C", 2024, arXiv:2406.17536.
    """

    name = "zoom_blur"
    values = (1.037, 1.065, 1.131, 1.213, 1.55)
    identity = 1.0
    keys: ClassVar[tuple[str, ...]] = ("zoom",)
    span: ClassVar[tuple[float, float]] = (1.002, 3.0)

    def at_strength(self, strength: float) -> Any:
        """Return the ratio whose excess over 1 grows evenly in its logarithm."""
        return 1 + between(self.span[0] - 1, self.span[1] - 1, strength)

    def change(self, pixels: torch.Tensor, params: Sequence[Params]) -> torch.Tensor:
        """Return the blurred images."""
        return per_record(pixels, params, _zoomed)


def _zoomed(pixels: torch.Tensor, params: Params) -> torch.Tensor:
    """Average 3, 9, 27, ... magnifications by averaging three at a time, each stage three times as far apart."""
    if params["zoom"] == 1:
        return pixels
    reach = (math.sqrt(params["zoom"]) - 1) * math.hypot(*pixels.shape[-2:]) / 2
    stages = min(max(math.ceil(math.log(2 * reach + 1, 3)), 1), _MOST_STAGES)
    step = math.log(params["zoom"]) / (3**stages - 1)
    for stage in range(stages):
        ratio = math.exp(step * 3**stage)
        pixels = (magnified(pixels, 1 / ratio) + pixels + magnified(pixels, ratio)) / 3
    return pixels


def magnified(pixels: torch.Tensor, ratio: float) -> torch.Tensor:
    """Return the images magnified about their centres by bilinear interpolation, edges extended."""
    from torch.nn.functional import affine_grid, grid_sample

    theta = pixels.new_tensor([[1 / ratio, 0, 0], [0, 1 / ratio, 0]]).expand(len(pixels), 2, 3)
    grid = affine_grid(theta, list(pixels.shape), align_corners=False)
    return grid_sample(pixels, grid, padding_mode="border", align_corners=False)
