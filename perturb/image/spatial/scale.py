"""Scale: the same anatomy taken from nearer or from farther away."""

from __future__ import annotations

from typing import Any

import numpy as np

from robustness.perturb.image.spatial.base import GeometricPerturbation
from robustness.perturb.image.spatial.warp import affine
from robustness.registry import PERTURBATIONS
from robustness.types import Case, Params


class _Scale(GeometricPerturbation):
    """Enlarge about the centre by a factor; pixels shrink in mm by the same factor."""

    identity = 1.0

    def move(self, value: Any, case: Case, rng: np.random.Generator) -> Params:
        """Return the factor; nothing is drawn."""
        factor = float(value)
        return {"factor": factor, "spacing": [1 / factor, 1 / factor], **affine(np.eye(2) / factor)}


@PERTURBATIONS.add("zoom_in")
class ZoomIn(_Scale):
    """Enlarge the image about its centre by factors from 1.1 to 1.75; the margin leaves the frame.

    Imitates a smaller field of view, or a camera held nearer. Size words are judged again.
    Source: Boone et al., "ROOD-MRI", 2023, arXiv:2203.06060 (affine transforms that move the labels too).
    """

    name = "zoom_in"
    values = (1.1, 1.2, 1.35, 1.5, 1.75)


@PERTURBATIONS.add("zoom_out")
class ZoomOut(_Scale):
    """Shrink the image about its centre to 0.9 to 0.5 of its sides; the margin is filled.

    Imitates a larger field of view, or a camera held farther away. Size words are judged again.
    Source: Boone et al., "ROOD-MRI", 2023, arXiv:2203.06060 (affine transforms that move the labels too).
    """

    name = "zoom_out"
    values = (0.9, 0.8, 0.7, 0.6, 0.5)
