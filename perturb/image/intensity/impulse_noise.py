"""Impulse noise: dead and hot pixels, bits lost on the way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from robustness.perturb.image.base import ImagePerturbation
from robustness.perturb.image.pixels import column, stacked
from robustness.registry import PERTURBATIONS
from robustness.seeds import generator
from robustness.types import Case, NotApplicable, Params

if TYPE_CHECKING:
    import torch


@PERTURBATIONS.add("impulse_noise")
class ImpulseNoise(ImagePerturbation):
    """Set a share of the values to black or white, half of them each; in colour, each channel on its own.

    Imitates dead and saturated detector elements and transmission errors.

    Source: Hendrycks and Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and Perturbations",
    ICLR 2019, arXiv:1903.12261 (impulse_noise);
    Di Salvo et al., "MedMNIST-C", 2024, arXiv:2406.17536.
    """

    name = "impulse_noise"
    values = (0.00265, 0.00567, 0.0126, 0.021, 0.038)
    span: ClassVar[tuple[float, float]] = (1e-5, 0.5)

    def parameters(self, value: Any, case: Case, rng: np.random.Generator) -> Params | NotApplicable:
        """Return the share of values that are lost and the seed of their places."""
        return {"share": value, "seed": int(rng.integers(2**32))}

    def change(self, pixels: torch.Tensor, params: Sequence[Params]) -> torch.Tensor:
        """Return the images with lost values."""
        shape = pixels.shape[1:]
        chance = stacked([generator(one["seed"], self.name).random(shape, dtype=np.float32) for one in params], pixels)
        half = column(params, "share", pixels) / 2
        return pixels.masked_fill(chance < half, 0.0).masked_fill(chance >= 1 - half, 1.0)
