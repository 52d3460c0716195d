"""Aspect ratio: an image squeezed in one direction."""

from __future__ import annotations

from typing import Any

import numpy as np

from robustness.perturb.image.spatial.base import GeometricPerturbation
from robustness.perturb.image.spatial.warp import affine
from robustness.registry import PERTURBATIONS
from robustness.types import Case, Params


@PERTURBATIONS.add("aspect_ratio")
class AspectRatio(GeometricPerturbation):
    """Squeeze the image to 1/1.1 to 1/1.8 of its width or of its height, as drawn; the margin is filled.

    Imitates an export that takes oblong pixels or a wide screen for square ones. Size words are judged again; a prompt
    that names a shape which the squeeze changes makes it not applicable.
    Source: DICOM PS3.3, Pixel Aspect Ratio (0028,0034), which viewers and exports have to apply and some do not.
    """

    name = "aspect_ratio"
    values = (1.1, 1.2, 1.35, 1.55, 1.8)
    identity = 1.0

    def move(self, value: Any, case: Case, rng: np.random.Generator) -> Params:
        """Return by how much, and which side ("width" or "height") is squeezed."""
        squeeze, side = float(value), "width" if rng.random() < 0.5 else "height"
        factors = (squeeze, 1.0) if side == "width" else (1.0, squeeze)
        return {"squeeze": squeeze, "side": side, "spacing": [factors[1], factors[0]], **affine(np.diag(factors))}
