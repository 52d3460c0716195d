"""Rotation: a patient, probe or camera that is turned."""

from __future__ import annotations

from typing import Any

import numpy as np

from robustness.perturb.image.spatial.base import GeometricPerturbation, physical_aspect
from robustness.perturb.image.spatial.warp import affine, rotation
from robustness.registry import PERTURBATIONS
from robustness.types import Case, Params


@PERTURBATIONS.add("rotation")
class Rotation(GeometricPerturbation):
    """Turn the image about its centre by 5 to 30 degrees, clockwise or not as drawn.

    Imitates a tilted head, an oblique slice plane or a camera that is not level. The laterality of a structure stays,
    locations are judged again in the turned frame.
    Source: Boone et al., "ROOD-MRI", 2023, arXiv:2203.06060 (affine transforms that move the labels too).
    """

    name = "rotation"
    values = (5.0, 10.0, 15.0, 22.0, 30.0)

    def move(self, value: Any, case: Case, rng: np.random.Generator) -> Params:
        """Return the turn in degrees, positive clockwise."""
        degrees = float(value) * (1.0 if rng.random() < 0.5 else -1.0)
        return {"degrees": degrees, **affine(rotation(degrees, physical_aspect(case)))}
