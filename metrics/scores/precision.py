"""Precision (positive predictive value)."""

from __future__ import annotations

from robustness.metrics.scores.base import MaskMetric
from robustness.metrics.scores.pair import MaskPair
from robustness.registry import METRICS


@METRICS.add("precision")
class Precision(MaskMetric):
    """Share of the prediction that is right, |P and G| / |P|."""

    definition = "|P and G| / |P|"

    def compute(self, pair: MaskPair) -> float:
        """Return the precision of two masks that are not empty."""
        return pair.n_shared / pair.n_predicted
