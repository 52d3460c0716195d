"""Normalised surface dice."""

from __future__ import annotations

import numpy as np

from robustness.metrics.scores.base import MaskMetric
from robustness.metrics.scores.pair import MaskPair
from robustness.registry import METRICS

_ROUNDING = 1e-9


@METRICS.add("nsd")
class NSD(MaskMetric):
    """Share of the edge pixels of both masks that lie within the tolerance of the other edge (at most, inclusive).

    Counted by edge pixels, equal to MONAI's `compute_surface_dice(use_subvoxels=False)`.
    Source: Nikolov 2021, doi:10.2196/26151.
    """

    definition = "share of edge pixels, of both masks together, within the tolerance of the other edge"

    def compute(self, pair: MaskPair) -> float:
        """Return the surface dice of two masks that are not empty."""
        # Multiples of a spacing such as 0.1 mm miss a tolerance that they equal by a rounding.
        limit = pair.nsd_tolerance * (1 + _ROUNDING)
        within = sum(int(np.count_nonzero(directed <= limit)) for directed in pair.distances)
        return within / sum(directed.size for directed in pair.distances)
