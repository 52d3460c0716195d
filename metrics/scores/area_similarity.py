"""Similarity of the two areas."""

from __future__ import annotations

from robustness.metrics.scores.base import MaskMetric
from robustness.metrics.scores.pair import MaskPair
from robustness.registry import METRICS


@METRICS.add("area_similarity")
class AreaSimilarity(MaskMetric):
    """Volumetric similarity of 2D masks, 1 - ||P| - |G|| / (|P| + |G|); says nothing about where the areas lie.

    Source: Taha & Hanbury 2015, doi:10.1186/s12880-015-0068-x.
    """

    definition = "1 - ||P| - |G|| / (|P| + |G|)"

    def compute(self, pair: MaskPair) -> float:
        """Return the similarity of two areas that are not zero."""
        return 1 - abs(pair.n_predicted - pair.n_reference) / (pair.n_predicted + pair.n_reference)
