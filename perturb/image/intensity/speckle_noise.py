"""Speckle noise: the grain of coherent imaging."""

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


@PERTURBATIONS.add("speckle_noise")
class SpeckleNoise(ImagePerturbation):
    """Multiply by noise: ``x + x * N(0, sd)`` for x in [0, 1], independent in each pixel and channel.

    Imitates, as the common benchmarks do, the multiplicative grain of coherent imaging and of detectors whose gain
    varies. Grain of ultrasound has a size and a direction: that is the entry of the ultrasound list.

    Source: Hendrycks and Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and Perturbations",
    ICLR 2019, arXiv:1903.12261 (speckle_noise);
    Di Salvo et al., "MedMNIST-C", 2024, arXiv:2406.17536.
    """

    name = "speckle_noise"
    values = (0.0353, 0.0583, 0.109, 0.169, 0.292)
    span: ClassVar[tuple[float, float]] = (0.001, 3.0)

    def parameters(self, value: Any, case: Case, rng: np.random.Generator) -> Params | NotApplicable:
        """Return the standard deviation (of a factor of 1) and the seed of the field."""
        return {"sd": value, "seed": int(rng.integers(2**32))}

    def change(self, pixels: torch.Tensor, params: Sequence[Params]) -> torch.Tensor:
        """Return the grainy images."""
        shape = pixels.shape[1:]
        fields = [generator(one["seed"], self.name).standard_normal(shape, dtype=np.float32) for one in params]
        return pixels + pixels * (column(params, "sd", pixels) * stacked(fields, pixels))
