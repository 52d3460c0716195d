"""95th percentile Hausdorff distance."""

from __future__ import annotations

from robustness.metrics.scores.base import DistanceMetric
from robustness.metrics.scores.pair import MaskPair
from robustness.registry import METRICS


@METRICS.add("hd95")
class HD95(DistanceMetric):
    """Larger of the two directed 95th percentiles of the edge distances (percentile with linear interpolation).

    Pooling both directions before the percentile is another metric and can differ twentyfold. Equal to MONAI's
    `compute_hausdorff_distance(percentile=95)`. Source: Huttenlocher 1993, doi:10.1109/34.232073.
    """

    definition = "max of the two directed 95th percentiles of the edge distances"

    def compute(self, pair: MaskPair) -> float:
        """Return the distance of two masks that are not empty, in the units of the spacing."""
        from robustness.metrics.scores.boundary_distances import percentile

        return max(percentile(directed, 95) for directed in pair.distances)
