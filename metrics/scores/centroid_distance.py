"""Distance between the centres of prediction and reference."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from robustness.metrics.scores.base import DistanceMetric
from robustness.metrics.scores.pair import MaskPair
from robustness.registry import METRICS

if TYPE_CHECKING:
    from robustness.types import Mask


@METRICS.add("centroid_distance")
class CentroidDistance(DistanceMetric):
    """Distance between the mean positions of the predicted and of the reference pixels."""

    definition = "distance between the centroids of prediction and reference"

    def compute(self, pair: MaskPair) -> float:
        """Return the distance of two masks that are not empty, in the units of the spacing."""
        steps = zip(centre(pair.prediction), centre(pair.reference), pair.spacing, strict=True)
        return math.hypot(*((there - here) * size for there, here, size in steps))


def centre(mask: Mask) -> tuple[float, float]:
    """Return the mean (row, column) of the foreground of a mask that is not empty."""
    rows, columns = np.count_nonzero(mask, axis=1), np.count_nonzero(mask, axis=0)
    total = int(rows.sum())
    return float(rows @ np.arange(rows.size)) / total, float(columns @ np.arange(columns.size)) / total
