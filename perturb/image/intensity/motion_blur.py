"""Motion blur: camera or patient moved during the exposure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from robustness.perturb.image.base import ImagePerturbation
from robustness.perturb.image.kernels import convolved, streak
from robustness.perturb.image.pixels import between, detail_scale, per_record
from robustness.registry import PERTURBATIONS
from robustness.types import Case, NotApplicable, Params

if TYPE_CHECKING:
    import torch


@PERTURBATIONS.add("motion_blur")
class MotionBlur(ImagePerturbation):
    """Smear along a line in a drawn direction, fading as a half normal.

    Imitates a hand that moves while the image is taken. A value is (radius, sigma): the line is 2 radius + 1 pixels
    long and fades with sigma, in pixels of an image whose shorter side has 256; both grow with the image (down to a
    side of 128). Angles are uniform in all directions. Published code shifts the image to one side; here the
    smear's centroid stays in place, so that the mask keeps meaning what it meant. Edges are extended.

    Source: Hendrycks and Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and Perturbations",
    ICLR 2019, arXiv:1903.12261 (motion_blur);
    Di Salvo et al., "MedMNIST-C", 2024, arXiv:2406.17536.
    """

    name = "motion_blur"
    values = ((3.28, 2.19), (5.61, 3.74), (10.3, 6.89), (16.7, 11.1), (36.5, 24.3))
    identity = (0.0, 0.0)
    span: ClassVar[tuple[float, float]] = (0.3, 40.0)
    lengths = True

    def at_strength(self, strength: float) -> Any:
        """Return a line that ends at three sigma."""
        sigma = between(*self.span, strength)
        return (1.5 * sigma, sigma)

    def parameters(self, value: Any, case: Case, rng: np.random.Generator) -> Params | NotApplicable:
        """Return length and sigma in pixels of this image, and the direction in degrees."""
        scale, degrees = detail_scale(case), round(float(rng.uniform(0, 360)), 2)
        length = (2 * value[0] + 1) * scale if value[0] else 0.0
        return {"length": length, "sigma": value[1] * scale, "degrees": degrees}

    def change(self, pixels: torch.Tensor, params: Sequence[Params]) -> torch.Tensor:
        """Return the smeared images."""
        return per_record(pixels, params, _smeared)


def _smeared(pixels: torch.Tensor, params: Params) -> torch.Tensor:
    if params["length"] == 0:
        return pixels
    return convolved(pixels, [streak(params["length"], params["sigma"], params["degrees"])])
