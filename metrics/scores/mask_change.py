"""Change of a prediction, measured without any reference."""

from __future__ import annotations

import numpy.typing as npt

from robustness.metrics.scores.base import MaskMetric
from robustness.metrics.scores.iou import IoU
from robustness.metrics.scores.pair import MaskPair
from robustness.registry import METRICS


@METRICS.add("mask_change")
class MaskChange(MaskMetric):
    """Change of the prediction, 1 - IoU with the clean prediction; `reference` of the pair is the clean prediction.

    Both empty: 0. One empty: 1.
    """

    definition = "1 - |P and C| / |P or C|, C the clean prediction"
    higher_is_better = False
    needs = "clean"
    empty = None

    def compute(self, pair: MaskPair) -> float:
        """Return the change between two predictions."""
        return 1.0 - IoU()(pair)


def mask_change(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    """Return 1 - IoU of two predictions (H, W), in [0, 1]; both empty: 0, one empty: 1.

    Raises:
        InputError: an array is not a mask or the shapes differ.

    Example:
        >>> mask_change([[1, 1, 0]], [[0, 1, 1]])
        0.6666666666666667
    """
    return MaskChange()(MaskPair(first, second))
