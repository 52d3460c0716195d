"""Gaussian blur: defocus, patient motion averaged out, or a softer reconstruction kernel."""

from __future__ import annotations

import numpy as np

from robustness.perturb.base import ImagePerturbation
from robustness.perturb.pixels import degree, monai_transform
from robustness.registry import PERTURBATIONS
from robustness.types import Case, Image, NotApplicable, Params

_REFERENCE_SIDE = 256
# Below half of the reference side a kernel that shrinks further would no longer reach the next pixel.
_LEAST_RATIO = 0.5


@PERTURBATIONS.add("gaussian_blur")
class GaussianBlur(ImagePerturbation):
    """Convolve with a normal kernel of standard deviation sigma pixels.

    Imitates a smooth reconstruction kernel, slight defocus, or upscaling. Sigma is stated for a shorter side of 256
    pixels and grows with the image (down to a side of 128), so that one severity means one loss of detail at any
    resolution. Done by MONAI's GaussianSmooth (error function kernel); edges are extended, so borders do not darken.

    Source: Hendrycks and Dietterich, ICLR 2019, arXiv:1903.12261 (gaussian_blur); MONAI `GaussianSmooth`.
    """

    name = "gaussian_blur"
    sigmas = (0.6, 1.0, 1.6, 2.5, 4.0)

    def propose(self, case: Case, severity: int, rng: np.random.Generator) -> Params | NotApplicable:
        """Return sigma in pixels of this image; nothing is drawn."""
        sigma = degree(self.sigmas, severity, identity=0.0)
        return {"sigma": sigma * max(min(case.image.shape[:2]) / _REFERENCE_SIDE, _LEAST_RATIO)}

    def change(self, image: Image, params: Params) -> Image:
        """Return the blurred image, uint8 (H, W, 3)."""
        if params["sigma"] == 0:
            return image.copy()
        from monai.transforms import GaussianSmooth

        margin = int(np.ceil(4 * params["sigma"])) + 1
        # MONAI pads with zeros, which would darken the borders.
        extended = np.pad(image, ((margin, margin), (margin, margin), (0, 0)), mode="edge")
        blurred = monai_transform(extended, GaussianSmooth(sigma=params["sigma"]))
        return blurred[margin:-margin, margin:-margin].copy()
