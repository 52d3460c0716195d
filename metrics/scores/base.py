"""Base class of the mask metrics: metadata that reports need, and one hole to fill."""

from __future__ import annotations

from typing import ClassVar

from robustness.metrics.scores.empty import Kind, value_when_empty
from robustness.metrics.scores.pair import MaskPair


class MaskMetric:
    """Base of the entries of `METRICS` that are computed from a prediction and its reference.

    The base applies the empty-mask policy (`robustness.metrics.scores.empty`); an entry computes the ordinary case.

    Attributes:
        definition: what is computed, in one line.
        higher_is_better: None where the metric has no direction.
        units: "" (a ratio), "mm" (pixels where the spacing is unknown), "fraction of the image", ...
        low: smallest possible value.
        high: largest possible value; None where there is no common bound.
        needs: "masks" (prediction and reference), "clean" (two predictions), "probability" (a map and a reference).
        empty: which row of the empty-mask policy applies; None: the metric is defined for empty masks.
    """

    definition: ClassVar[str]
    higher_is_better: ClassVar[bool | None] = True
    units: ClassVar[str] = ""
    low: ClassVar[float] = 0.0
    high: ClassVar[float | None] = 1.0
    needs: ClassVar[str] = "masks"
    empty: ClassVar[Kind | None] = "overlap"

    def compute(self, pair: MaskPair) -> float:
        """Return the metric of a pair; neither mask is empty unless `empty` is None."""
        raise NotImplementedError

    def __call__(self, pair: MaskPair) -> float:
        """Return the metric of a pair, the empty-mask policy applied."""
        decided = None if self.empty is None else value_when_empty(pair.flags, self.empty, pair.diagonal)
        return self.compute(pair) if decided is None else decided


class DistanceMetric(MaskMetric):
    """Base of metrics that are distances between edges."""

    higher_is_better = False
    units = "mm"
    high = None
    empty = "distance"


class ShapeMetric(MaskMetric):
    """Base of metrics that describe the prediction alone; they have no direction."""

    higher_is_better = None
    empty = None
