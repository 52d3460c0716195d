"""Metrics of a stored probability map, beside those of its thresholded mask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from robustness.errors import InputError
from robustness.metrics.scores.base import checked_value
from robustness.metrics.scores.masks import mask_metrics
from robustness.metrics.scores.pair import as_mask, refuse_masked
from robustness.registry import METRICS

Values = npt.NDArray[np.float64]


class DiceCurve(NamedTuple):
    """Dice of the mask ``probability > threshold`` at every threshold; parallel arrays."""

    threshold: Values
    dice: Values

    @property
    def best(self) -> tuple[float, float]:
        """The lowest threshold with the largest Dice, and that Dice; chosen on this reference, so optimistic."""
        index = int(np.argmax(self.dice))
        return float(self.threshold[index]), float(self.dice[index])


def prediction_metrics(
    probability: npt.ArrayLike,
    reference: npt.ArrayLike,
    *,
    threshold: float = 0.5,
    spacing_mm: tuple[float, float] | None = (1.0, 1.0),
    nsd_tolerance_mm: float = 2.0,
    names: Sequence[str] | None = None,
) -> dict[str, float | bool]:
    """Return metrics of a probability map (H, W): those of its mask ``probability > threshold`` and of the map itself.

    Args:
        probability: values in [0, 1].
        reference: bool or 0/1 array (H, W).
        threshold: of the mask; strict.
        spacing_mm: as for `mask_metrics`.
        nsd_tolerance_mm: as for `mask_metrics`.
        names: of `METRICS`, whether they need masks or the map; None: the columns of the results table, ece and brier.

    Raises:
        InputError: as for `mask_metrics`; or a value outside [0, 1].
    """
    needs_of = None if names is None else [(name, METRICS.get(name).needs) for name in names]
    of_map = ["ece", "brier"] if needs_of is None else [name for name, needs in needs_of if needs == "probability"]
    of_mask = None if needs_of is None else [name for name, needs in needs_of if needs != "probability"]
    refuse_masked(probability, "probability")
    masked = np.asarray(probability) > threshold
    scores = mask_metrics(masked, reference, spacing_mm=spacing_mm, nsd_tolerance_mm=nsd_tolerance_mm, names=of_mask)
    return scores | {name: checked_value(name, METRICS.get(name), probability, reference) for name in of_map}


def dice_curve(
    probability: npt.ArrayLike, reference: npt.ArrayLike, *, thresholds: Sequence[float] | None = None
) -> DiceCurve:
    """Return the Dice of ``probability > t`` for every threshold t.

    Both masks empty: 1; one empty: 0 (`robustness.metrics.scores.empty`).

    Args:
        probability: map (H, W), values in [0, 1].
        reference: bool or 0/1 array (H, W).
        thresholds: ascending; None: 0, 0.05, ..., 0.95.

    Raises:
        InputError: the shapes differ, a value lies outside [0, 1], or the thresholds do not ascend.
    """
    truth = as_mask(reference, "reference").ravel()
    refuse_masked(probability, "probability")
    values = np.asarray(probability, dtype=np.float64).ravel()
    if np.shape(probability) != np.shape(reference):
        raise InputError(
            f"probability: expected the reference's shape {np.shape(reference)}, got {np.shape(probability)}"
        )
    if not ((values >= 0) & (values <= 1)).all():
        raise InputError("probability: expected values in [0, 1]; apply a sigmoid to logits first")
    limits = np.arange(20) / 20 if thresholds is None else np.asarray(thresholds, dtype=np.float64)
    if limits.ndim != 1 or limits.size == 0 or (np.diff(limits) <= 0).any():
        raise InputError(f"thresholds: expected ascending numbers, got {thresholds!r}")
    # How many limits each pixel exceeds, and from that how many pixels exceed each limit.
    passed = np.searchsorted(limits, values, side="left")
    predicted, shared = (_above(passed[where], limits.size) for where in (slice(None), truth))
    total = predicted + int(truth.sum())
    return DiceCurve(limits, np.where(total > 0, 2 * shared / np.maximum(total, 1), 1.0))


def _above(passed: npt.NDArray[np.intp], n_limits: int) -> npt.NDArray[np.int64]:
    counts = np.bincount(passed, minlength=n_limits + 1)
    return counts[::-1].cumsum()[::-1][1:].astype(np.int64)
