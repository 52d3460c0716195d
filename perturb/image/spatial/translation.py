"""Translation: the anatomy off centre."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from robustness.perturb.image.spatial.base import GeometricPerturbation
from robustness.perturb.image.spatial.warp import affine
from robustness.registry import PERTURBATIONS
from robustness.types import Case, Params


@PERTURBATIONS.add("translation")
class Translation(GeometricPerturbation):
    """Shift the image by 4% to 25% of its sides in a drawn direction.

    Imitates a patient or a probe off centre. Locations are judged again in the shifted frame.
    Source: Azulay and Weiss, "Why do deep convolutional networks generalize so poorly to small image
    transformations?", JMLR 2019, arXiv:1805.12177.
    """

    name = "translation"
    values = (0.04, 0.08, 0.12, 0.18, 0.25)

    def move(self, value: Any, case: Case, rng: np.random.Generator) -> Params:
        """Return the shift (right, down) in shares of width and height."""
        angle = rng.uniform(0, 2 * math.pi)
        shift = [float(value) * math.cos(angle), float(value) * math.sin(angle)]
        # A side is two half-sides long; a pixel comes from where it was before the shift.
        return {"shift": shift, **affine(np.eye(2), (-2 * shift[0], -2 * shift[1]))}
