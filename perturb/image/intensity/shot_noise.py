"""Shot noise: too few photons."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from robustness.perturb.image.base import ImagePerturbation
from robustness.perturb.image.pixels import stacked
from robustness.registry import PERTURBATIONS
from robustness.seeds import generator
from robustness.types import Case, NotApplicable, Params

if TYPE_CHECKING:
    import torch


@PERTURBATIONS.add("shot_noise")
class ShotNoise(ImagePerturbation):
    """Count photons: ``Poisson(x * photons) / photons`` for x in [0, 1], so noise grows with the root of brightness.

    Imitates a short exposure or a low dose. `photons` is the mean count at full brightness; 0 stands for infinitely
    many. The counts are drawn on the host. Black stays black.

    Source: Hendrycks and Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and Perturbations",
    ICLR 2019, arXiv:1903.12261 (shot_noise);
    Di Salvo et al., "MedMNIST-C", 2024, arXiv:2406.17536.
    """

    name = "shot_noise"
    values = (1600, 649, 231, 108, 41.8)
    span: ClassVar[tuple[float, float]] = (1e5, 1.0)

    def parameters(self, value: Any, case: Case, rng: np.random.Generator) -> Params | NotApplicable:
        """Return the photons at full brightness and the seed of the counts."""
        return {"photons": value, "seed": int(rng.integers(2**32))}

    def change(self, pixels: torch.Tensor, params: Sequence[Params]) -> torch.Tensor:
        """Return the images as they are counted."""
        host = pixels.cpu().numpy()
        return stacked([self._counted(one, record) for one, record in zip(host, params, strict=True)], pixels)

    def _counted(self, image: Any, params: Params) -> Any:
        photons = params["photons"]
        if photons == 0:
            return image
        return generator(params["seed"], self.name).poisson(image * photons) / photons
