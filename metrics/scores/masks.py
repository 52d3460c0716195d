"""Mask metrics of one pair, keyed like the columns of the results table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy.typing as npt

from robustness.errors import InputError
from robustness.metrics.scores.base import checked_value
from robustness.metrics.scores.mask_change import mask_change
from robustness.metrics.scores.pair import MaskPair, Overlap
from robustness.registry import METRICS

if TYPE_CHECKING:
    from robustness.metrics.scores.boundary_distances import ReferenceEdge

__all__ = ["DEFAULT_NAMES", "mask_change", "mask_metrics"]

DEFAULT_NAMES: tuple[str, ...] = (
    "dice",
    "iou",
    "hd95",
    "nsd",
    "area_fraction",
    "components",
    "centroid_row",
    "centroid_col",
)


def mask_metrics(
    prediction: npt.ArrayLike,
    reference: npt.ArrayLike,
    *,
    spacing_mm: tuple[float, float] | None = (1.0, 1.0),
    nsd_tolerance_mm: float = 2.0,
    names: Sequence[str] | None = None,
    reference_edges: ReferenceEdge | None = None,
    overlap: Overlap | None = None,
) -> dict[str, float | bool]:
    """Return the metrics of a prediction against its reference.

    Args:
        prediction: bool or 0/1 array (H, W).
        reference: bool or 0/1 array (H, W).
        spacing_mm: pixel size (row, column) in mm; None: unknown, distances and the tolerance are then in pixels.
        nsd_tolerance_mm: tolerance of the normalised surface dice.
        names: metrics to compute, of those in `METRICS` that need masks only; None: the columns of the results table.
        reference_edges: the edge of `reference`, where a caller has it; see `MaskPair`.
        overlap: pixel counts of the pair, where a caller has them; see `MaskPair`.

    Returns:
        The metrics by name, then the flags `both_empty`, `missed` and `hallucinated`. Every value is finite, except
        the centroid of an empty prediction, which is NaN and flagged (`both_empty` or `missed`). Empty masks: see
        `robustness.metrics.scores.empty`.

    Raises:
        InputError: an array is not a mask, the shapes differ, a spacing, tolerance or name is wrong.

    Example:
        >>> scores = mask_metrics([[1, 1], [0, 0]], [[1, 0], [0, 0]], names=["dice", "iou"])
        >>> scores["iou"], scores["missed"]
        (0.5, False)
    """
    pair = MaskPair(
        prediction,
        reference,
        spacing_mm=spacing_mm,
        nsd_tolerance_mm=nsd_tolerance_mm,
        reference_edges=reference_edges,
        overlap=overlap,
    )
    values: dict[str, float | bool] = {}
    for name in DEFAULT_NAMES if names is None else names:
        metric = METRICS.get(name)
        if metric.needs != "masks":
            raise InputError(f"names: expected metrics of a prediction and its reference, got {name!r}; leave it out")
        values[name] = checked_value(name, metric, pair)
    return values | pair.flags._asdict()
