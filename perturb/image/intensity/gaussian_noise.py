"""Additive Gaussian noise: the electronic noise of a detector."""

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


@PERTURBATIONS.add("gaussian_noise")
class GaussianNoise(ImagePerturbation):
    """Add zero-mean normal noise to every pixel and clip: ``x + N(0, sd)`` for x in [0, 1].

    Imitates thermal and read-out noise of a camera or detector. A gray image gets one noise field for its three
    channels, a colour image three. The seed of the field is drawn in `propose`; `change` regenerates it.

    Source: Di Salvo et al., "MedMNIST-C", 2024, arXiv:2406.17536; Hendrycks and Dietterich, "Benchmarking Neural
    Network Robustness to Common Corruptions and Perturbations", ICLR 2019, arXiv:1903.12261.
    """

    name = "gaussian_noise"
    values = (0.0133, 0.02, 0.0325, 0.0461, 0.073)
    span: ClassVar[tuple[float, float]] = (0.001, 1.0)

    def parameters(self, value: Any, case: Case, rng: np.random.Generator) -> Params | NotApplicable:
        """Return the standard deviation (of a range of 1) and the seed of the noise field."""
        return {"sd": value, "seed": int(rng.integers(2**32))}

    def change(self, pixels: torch.Tensor, params: Sequence[Params]) -> torch.Tensor:
        """Return the noisy images."""
        channels, height, width = pixels.shape[1:]
        fields = [
            generator(one["seed"], self.name).standard_normal((height, width, channels), dtype=np.float32)
            for one in params
        ]
        return pixels + column(params, "sd", pixels) * stacked(fields, pixels).permute(0, 3, 1, 2)
