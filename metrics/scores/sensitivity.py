"""Sensitivity (recall)."""

from __future__ import annotations

from robustness.metrics.scores.base import MaskMetric
from robustness.metrics.scores.pair import MaskPair
from robustness.registry import METRICS


@METRICS.add("sensitivity")
class Sensitivity(MaskMetric):
    """Share of the reference that is predicted, |P and G| / |G|."""

    definition = "|P and G| / |G|"

    def compute(self, pair: MaskPair) -> float:
        """Return the sensitivity of two masks that are not empty."""
        return pair.n_shared / pair.n_reference
