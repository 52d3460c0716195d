"""Area of the prediction."""

from __future__ import annotations

from robustness.metrics.scores.base import ShapeMetric
from robustness.metrics.scores.pair import MaskPair
from robustness.registry import METRICS


@METRICS.add("area_fraction")
class AreaFraction(ShapeMetric):
    """Predicted pixels as a share of the image, |P| / (H W)."""

    definition = "|P| / (H W)"
    units = "fraction of the image"

    def compute(self, pair: MaskPair) -> float:
        """Return the area of the prediction; 0 where it is empty."""
        return pair.n_predicted / pair.prediction.size
