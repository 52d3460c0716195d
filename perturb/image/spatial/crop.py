"""Crop: a window of the image, seen at the image's size."""

from __future__ import annotations

from typing import Any

import numpy as np

from robustness.perturb.image.spatial.base import GeometricPerturbation
from robustness.perturb.image.spatial.warp import affine
from robustness.registry import PERTURBATIONS
from robustness.types import Case, Params


@PERTURBATIONS.add("crop")
class Crop(GeometricPerturbation):
    """Keep a window of 95% to 60% of each side, drawn anywhere in the image, and enlarge it to the full size.

    Imitates a collimated, cut or badly framed image. Size, number and location words are judged again: parts of the
    target that leave the frame are counted out.
    Source: Shorten and Khoshgoftaar, "A survey on Image Data Augmentation for Deep Learning", J. Big Data 2019,
    doi:10.1186/s40537-019-0197-0 (cropping, and which labels survive it).
    """

    name = "crop"
    values = (0.95, 0.9, 0.8, 0.7, 0.6)
    identity = 1.0

    def move(self, value: Any, case: Case, rng: np.random.Generator) -> Params:
        """Return the window's share of each side and its centre (x, y) in half-sides from the image's centre."""
        share = float(value)
        centre = [float(v) for v in rng.uniform(share - 1, 1 - share, size=2)]
        return {"share": share, "spacing": [share, share], **affine(np.eye(2) * share, (centre[0], centre[1]))}
