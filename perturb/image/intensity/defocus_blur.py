"""Defocus: the lens is not where it should be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from robustness.perturb.image.base import ImagePerturbation
from robustness.perturb.image.kernels import convolved, disk
from robustness.perturb.image.pixels import between, detail_scale, per_record
from robustness.registry import PERTURBATIONS
from robustness.types import Case, NotApplicable, Params

if TYPE_CHECKING:
    import torch


@PERTURBATIONS.add("defocus_blur")
class DefocusBlur(ImagePerturbation):
    """Convolve with a disk: the point spread of a lens out of focus, its rim softened.

    Imitates a camera or microscope out of focus. A value is (radius, softness of the rim) in pixels of an image whose
    shorter side has 256; both grow with the image (down to a side of 128). Edges are extended.

    Source: Hendrycks and Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and Perturbations",
    ICLR 2019, arXiv:1903.12261 (defocus_blur; there
    the disk has whole radii); Di Salvo et al., "MedMNIST-C", 2024, arXiv:2406.17536.
    """

    name = "defocus_blur"
    values = ((1.66, 0.5), (2.42, 0.5), (4.46, 0.5), (6.62, 0.5), (11.6, 0.5))
    identity = (0.0, 0.0)
    span: ClassVar[tuple[float, float]] = (0.3, 30.0)
    lengths = True

    def at_strength(self, strength: float) -> Any:
        """Return the radius with a rim of half a pixel."""
        return (between(*self.span, strength), 0.5)

    def parameters(self, value: Any, case: Case, rng: np.random.Generator) -> Params | NotApplicable:
        """Return radius and softness in pixels of this image; nothing is drawn."""
        scale = detail_scale(case)
        return {"radius": value[0] * scale, "softness": value[1] * scale}

    def change(self, pixels: torch.Tensor, params: Sequence[Params]) -> torch.Tensor:
        """Return the blurred images."""
        return per_record(pixels, params, _blurred)


def _blurred(pixels: torch.Tensor, params: Params) -> torch.Tensor:
    if params["radius"] == 0:
        return pixels
    return convolved(pixels, [disk(params["radius"], params["softness"])])
