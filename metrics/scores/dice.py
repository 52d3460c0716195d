"""Dice."""

from __future__ import annotations

from robustness.metrics.scores.base import MaskMetric
from robustness.metrics.scores.pair import MaskPair
from robustness.registry import METRICS


@METRICS.add("dice")
class Dice(MaskMetric):
    """Overlap, 2 |P and G| / (|P| + |G|) (Dice 1945, doi:10.2307/1932409)."""

    definition = "2 |P and G| / (|P| + |G|)"

    def compute(self, pair: MaskPair) -> float:
        """Return Dice of two masks that are not empty."""
        return 2.0 * pair.n_shared / (pair.n_predicted + pair.n_reference)
