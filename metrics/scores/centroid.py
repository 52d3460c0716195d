"""Centroid of the prediction."""

from __future__ import annotations

import math

import numpy as np

from robustness.metrics.scores.base import ShapeMetric
from robustness.metrics.scores.pair import MaskPair
from robustness.registry import METRICS


class _Centroid(ShapeMetric):
    """Mean position of the predicted pixels along one axis.

    NaN where the prediction is empty: nothing has a place there. Such a pair carries the flag `both_empty` or `missed`.
    """

    units = "pixels"
    high = None
    axis: int

    def compute(self, pair: MaskPair) -> float:
        """Return the mean index of the predicted pixels; NaN where there are none."""
        if pair.box is None:
            return math.nan
        per_line = np.count_nonzero(pair.prediction[pair.box], axis=1 - self.axis)
        lines = np.arange(pair.box[self.axis].start, pair.box[self.axis].stop)
        return float(per_line @ lines / pair.n_predicted)


@METRICS.add("centroid_row")
class CentroidRow(_Centroid):
    """Mean row of the predicted pixels, 0 at the top; NaN where the prediction is empty (flagged)."""

    definition = "mean row index of the prediction, 0 at the top"
    axis = 0


@METRICS.add("centroid_col")
class CentroidColumn(_Centroid):
    """Mean column of the predicted pixels, 0 at the left; NaN where the prediction is empty (flagged)."""

    definition = "mean column index of the prediction, 0 at the left"
    axis = 1
