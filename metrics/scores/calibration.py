"""Calibration of the probabilities: Brier score and expected calibration error over pixels."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from robustness.errors import InputError
from robustness.metrics.scores.pair import as_mask, refuse_masked
from robustness.registry import METRICS

Values = npt.NDArray[np.float64]


class ProbabilityMetric:
    """Base of metrics of a probability map (H, W) in [0, 1] against a reference mask; defined for empty masks."""

    definition: ClassVar[str]
    higher_is_better: ClassVar[bool | None] = False
    units: ClassVar[str] = ""
    low: ClassVar[float] = 0.0
    high: ClassVar[float | None] = 1.0
    needs: ClassVar[str] = "probability"
    empty: ClassVar[None] = None

    def compute(self, probability: Values, reference: Values) -> float:
        """Return the metric of flat arrays, the reference as 0 and 1."""
        raise NotImplementedError

    def __call__(self, probability: npt.ArrayLike, reference: npt.ArrayLike) -> float:
        """Return the metric of a map and its reference.

        Raises:
            InputError: the shapes differ or a value lies outside [0, 1].
        """
        truth = as_mask(reference, "reference")
        refuse_masked(probability, "probability")
        values = np.asarray(probability, dtype=np.float64)
        if values.shape != truth.shape:
            raise InputError(f"probability: expected the reference's shape {truth.shape}, got {values.shape}")
        if not ((values >= 0) & (values <= 1)).all():
            raise InputError("probability: expected values in [0, 1]; apply a sigmoid to logits first")
        return self.compute(values.ravel(), truth.ravel().astype(np.float64))


@METRICS.add("brier")
class Brier(ProbabilityMetric):
    """Mean squared error of the probabilities over pixels (Brier 1950)."""

    definition = "mean over pixels of (p - g)^2"

    def compute(self, probability: Values, reference: Values) -> float:
        """Return the Brier score."""
        return float(np.mean((probability - reference) ** 2))


@METRICS.add("ece")
class ECE(ProbabilityMetric):
    """Expected calibration error of the foreground probability, 15 bins of equal width.

    sum over bins of (n_b / N) |mean p - mean g|; empty bins count nothing. Source: Naeini 2015,
    doi:10.1609/aaai.v29i1.9602.
    """

    definition = "sum over 15 bins of (n_b / N) |mean p - mean g|"
    bins = 15

    def compute(self, probability: Values, reference: Values) -> float:
        """Return the expected calibration error."""
        bin_index = np.minimum((probability * self.bins).astype(np.intp), self.bins - 1)
        gap = np.bincount(bin_index, weights=probability - reference, minlength=self.bins)
        return float(np.abs(gap).sum() / probability.size)
