"""Elastic deformation: the same anatomy in another body."""

from __future__ import annotations

from typing import Any

import numpy as np

from robustness.perturb.image.spatial.base import GeometricPerturbation
from robustness.perturb.image.spatial.warp import affine
from robustness.registry import PERTURBATIONS
from robustness.types import Case, Params

_CELLS = 4


@PERTURBATIONS.add("elastic")
class Elastic(GeometricPerturbation):
    """Bend the image by a smooth random field that fades towards its border.

    Imitates other anatomy, breathing, or pressure of a probe. The field is a cubic B-spline with 4 x 4 control points,
    normal with a standard deviation of 2% to 9.5% of half of the shorter side and cut at two of them, which never folds
    the image over itself.
    Source: Simard et al., "Best Practices for Convolutional Neural Networks", ICDAR 2003,
    doi:10.1109/ICDAR.2003.1227801; Boone et al., "ROOD-MRI", 2023, arXiv:2203.06060.
    """

    name = "elastic"
    values = (0.02, 0.04, 0.06, 0.08, 0.095)

    def move(self, value: Any, case: Case, rng: np.random.Generator) -> Params:
        """Return the strength and the seed of the field."""
        height, width = case.image.shape[:2]
        shorter = min(height, width)
        drawn = {"strength": float(value), "cells": _CELLS, "seed": int(rng.integers(2**31))}
        return {**drawn, "short": [shorter / width, shorter / height], **affine(np.eye(2))}
