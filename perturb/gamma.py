"""Gamma: a display or acquisition chain with another transfer curve."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from robustness.perturb.base import ImagePerturbation
from robustness.perturb.pixels import degree, monai_transform
from robustness.registry import PERTURBATIONS
from robustness.types import Case, Image, NotApplicable, Params


class _Gamma(ImagePerturbation):
    """Raise values to a power, ``lo + (hi - lo) * ((x - lo) / (hi - lo)) ** gamma``, with the image's own lo and hi.

    Done by MONAI's AdjustContrast. A constant image stays as it is.
    """

    gammas: ClassVar[tuple[float, ...]] = ()

    def propose(self, case: Case, severity: int, rng: np.random.Generator) -> Params | NotApplicable:
        """Return the exponent; nothing is drawn."""
        return {"gamma": degree(self.gammas, severity, identity=1.0)}

    def change(self, image: Image, params: Params) -> Image:
        """Return the image with another transfer curve, uint8 (H, W, 3)."""
        if params["gamma"] == 1 or image.min() == image.max():
            return image.copy()
        from monai.transforms import AdjustContrast

        return monai_transform(image, AdjustContrast(gamma=params["gamma"]))


@PERTURBATIONS.add("gamma_up")
class GammaUp(_Gamma):
    """Darken the middle tones: exponents above 1, from 1.25 to 3.

    Imitates a display or detector whose curve is steeper than the one of the training data. MedMNIST-C's list (1.1 to
    1.6) is the mild part of this range.
    Source: Di Salvo et al., "MedMNIST-C", 2024, arXiv:2406.17536; MONAI `AdjustContrast`.
    """

    name = "gamma_up"
    gammas = (1.25, 1.5, 1.9, 2.4, 3.0)


@PERTURBATIONS.add("gamma_down")
class GammaDown(_Gamma):
    """Brighten the middle tones: exponents below 1, the inverses of `gamma_up`.

    Imitates a display or detector whose curve is flatter than the one of the training data. MedMNIST-C's list (0.9 to
    0.4) covers the same range.
    Source: Di Salvo et al., "MedMNIST-C", 2024, arXiv:2406.17536; MONAI `AdjustContrast`.
    """

    name = "gamma_down"
    gammas = (0.8, 0.67, 0.53, 0.42, 0.33)
