"""Average symmetric surface distance."""

from __future__ import annotations

from robustness.metrics.scores.base import DistanceMetric
from robustness.metrics.scores.pair import MaskPair
from robustness.registry import METRICS


@METRICS.add("assd")
class ASSD(DistanceMetric):
    """Mean edge distance, both directions pooled (Heimann 2009, doi:10.1109/TMI.2009.2013851)."""

    definition = "mean of the edge distances of both directions together"

    def compute(self, pair: MaskPair) -> float:
        """Return the distance of two masks that are not empty, in the units of the spacing."""
        there, back = pair.distances
        return float((there.sum() + back.sum()) / (there.size + back.size))
