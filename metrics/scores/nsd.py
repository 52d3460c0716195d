"""Normalised surface dice."""

from __future__ import annotations

import numpy as np

from robustness.metrics.scores.base import MaskMetric
from robustness.metrics.scores.pair import MaskPair
from robustness.registry import METRICS


@METRICS.add("nsd")
class NSD(MaskMetric):
    """Share of the edge pixels of both masks that lie within the tolerance of the other edge (at most, inclusive).

    Counted by edge pixels, equal to MONAI's `compute_surface_dice(use_subvoxels=False)`.
    Source: Nikolov 2021, doi:10.2196/26151.
    """

    definition = "share of edge pixels, of both masks together, within the tolerance of the other edge"

    def compute(self, pair: MaskPair) -> float:
        """Return the surface dice of two masks that are not empty."""
        within = sum(int(np.count_nonzero(directed <= pair.nsd_tolerance)) for directed in pair.distances)
        return within / sum(directed.size for directed in pair.distances)
