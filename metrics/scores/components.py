"""Number of objects in the prediction."""

from __future__ import annotations

import numpy as np

from robustness.metrics.scores.base import ShapeMetric
from robustness.metrics.scores.pair import MaskPair
from robustness.registry import METRICS


@METRICS.add("components")
class Components(ShapeMetric):
    """Connected components of the prediction; pixels that touch at a corner are connected (8-connected)."""

    definition = "8-connected components of the prediction"
    units = "count"
    high = None

    def compute(self, pair: MaskPair) -> float:
        """Return the number of components; 0 where the prediction is empty."""
        from scipy.ndimage import label

        if pair.box is None:
            return 0.0
        return float(label(pair.prediction[pair.box], structure=np.ones((3, 3), dtype=bool))[1])
