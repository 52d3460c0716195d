"""Specificity (true negative rate)."""

from __future__ import annotations

from robustness.metrics.scores.base import MaskMetric
from robustness.metrics.scores.pair import MaskPair
from robustness.registry import METRICS


@METRICS.add("specificity")
class Specificity(MaskMetric):
    """Share of the background that is left alone, |not P and not G| / |not G|; 1 where the reference fills the image.

    Defined for empty masks, so the empty-mask policy does not apply.
    """

    definition = "|not P and not G| / |not G|"
    empty = None

    def compute(self, pair: MaskPair) -> float:
        """Return the specificity of a pair."""
        background = pair.reference.size - pair.n_reference
        false_positives = pair.n_predicted - pair.n_shared
        return 1.0 if background == 0 else (background - false_positives) / background
