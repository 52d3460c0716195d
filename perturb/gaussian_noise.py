"""Additive Gaussian noise: the electronic noise of a detector."""

from __future__ import annotations

import numpy as np

from robustness.perturb.base import ImagePerturbation
from robustness.perturb.pixels import degree, is_gray, to_bytes, to_unit
from robustness.registry import PERTURBATIONS
from robustness.seeds import generator
from robustness.types import Case, Image, NotApplicable, Params


@PERTURBATIONS.add("gaussian_noise")
class GaussianNoise(ImagePerturbation):
    """Add zero-mean normal noise to every pixel and clip: ``x + N(0, sd)`` for x in [0, 1].

    Imitates thermal and read-out noise of a camera or detector. A gray image gets one noise field for its three
    channels, a colour image three. The seed of the field is drawn in `propose`; `change` regenerates it.

    Standard deviations are those of MedMNIST-C for chest X-ray and dermoscopy.
    Source: Di Salvo et al., "MedMNIST-C", 2024, arXiv:2406.17536; Hendrycks and Dietterich, "Benchmarking Neural
    Network Robustness to Common Corruptions and Perturbations", ICLR 2019, arXiv:1903.12261.
    """

    name = "gaussian_noise"
    standard_deviations = (0.04, 0.08, 0.12, 0.18, 0.26)

    def propose(self, case: Case, severity: int, rng: np.random.Generator) -> Params | NotApplicable:
        """Return the standard deviation (of a range of 1) and the seed of the noise field."""
        sd = degree(self.standard_deviations, severity, identity=0.0)
        return {"sd": sd, "seed": int(rng.integers(2**32))}

    def change(self, image: Image, params: Params) -> Image:
        """Return the noisy image, uint8 (H, W, 3)."""
        if params["sd"] == 0:
            return image.copy()
        height, width, channels = image.shape
        rng = generator(params["seed"], self.name)
        noise = rng.standard_normal((height, width, 1 if is_gray(image) else channels), dtype=np.float32)
        return to_bytes(to_unit(image) + np.float32(params["sd"]) * noise)
