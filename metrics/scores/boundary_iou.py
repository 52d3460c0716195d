"""Boundary IoU."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from robustness.metrics.scores.base import MaskMetric
from robustness.metrics.scores.pair import MaskPair
from robustness.registry import METRICS

if TYPE_CHECKING:
    from robustness.types import Mask

_SHARE_OF_DIAGONAL = 0.02


@METRICS.add("boundary_iou")
class BoundaryIoU(MaskMetric):
    """IoU of the two inner rims, as wide as 2% of the image diagonal (at least one pixel).

    The rim of a mask is what a square of 2 d + 1 pixels cannot reach by erosion; what lies outside the image is
    background. Sees the outline of large objects, on which IoU depends little. Source: Cheng 2021, arXiv:2103.16562.
    """

    definition = "IoU of the inner rims of both masks, rim width 2% of the image diagonal"

    def compute(self, pair: MaskPair) -> float:
        """Return the IoU of the rims of two masks that are not empty."""
        width = max(1, round(_SHARE_OF_DIAGONAL * math.hypot(*pair.shape)))
        one, other = inner_rim(pair.prediction, width), inner_rim(pair.reference, width)
        return int(np.count_nonzero(one & other)) / int(np.count_nonzero(one | other))


def inner_rim(mask: Mask, width: int) -> Mask:
    """Return the pixels of `mask` (H, W) within `width` pixels (chessboard distance) of its outside."""
    from scipy.ndimage import minimum_filter

    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    rim = mask.copy()
    if rows.size:
        box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        rim[box] &= ~minimum_filter(mask[box], size=2 * width + 1, mode="constant", cval=False)
    return rim
