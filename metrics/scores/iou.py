"""Intersection over union."""

from __future__ import annotations

from robustness.metrics.scores.base import MaskMetric
from robustness.metrics.scores.pair import MaskPair
from robustness.registry import METRICS


@METRICS.add("iou")
class IoU(MaskMetric):
    """Overlap, |P and G| / |P or G| (Jaccard 1912, doi:10.1111/j.1469-8137.1912.tb05611.x)."""

    definition = "|P and G| / |P or G|"

    def compute(self, pair: MaskPair) -> float:
        """Return the intersection over union of two masks that are not empty."""
        return pair.n_shared / (pair.n_predicted + pair.n_reference - pair.n_shared)
