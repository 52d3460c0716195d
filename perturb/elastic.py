"""Elastic deformation: the same anatomy in another body."""

from __future__ import annotations

from typing import Any

import numpy as np

from robustness.perturb.geometry import GeometricPerturbation
from robustness.perturb.warp import affine
from robustness.registry import PERTURBATIONS
from robustness.types import Case, Params

_CELLS = 5


@PERTURBATIONS.add("elastic")
class Elastic(GeometricPerturbation):
    """Bend the picture by a smooth random field that is zero at its border.

    Imitates other anatomy, breathing, or pressure of a probe. The field has 5 x 5 knots with normal displacements of
    1.5% to 9% of half of the shorter side, joined by cubic splines.
    Source: Simard et al., "Best Practices for Convolutional Neural Networks", ICDAR 2003,
    doi:10.1109/ICDAR.2003.1227801; Boone et al., "ROOD-MRI", 2023, arXiv:2203.06060.
    """

    name = "elastic"
    values = (0.015, 0.03, 0.045, 0.065, 0.09)

    def move(self, value: Any, case: Case, rng: np.random.Generator) -> Params:
        """Return the strength and the seed of the field."""
        height, width = case.image.shape[:2]
        shorter = min(height, width)
        drawn = {"strength": float(value), "cells": _CELLS, "seed": int(rng.integers(2**31))}
        return {**drawn, "short": [shorter / width, shorter / height], **affine(np.eye(2))}
