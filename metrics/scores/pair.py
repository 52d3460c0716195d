"""A prediction beside its reference: counts, edges and distances, each computed once."""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from robustness.errors import InputError, counted
from robustness.metrics.scores.empty import Emptiness, emptiness, image_diagonal

if TYPE_CHECKING:
    from robustness.metrics.scores.boundary_distances import Box, ReferenceEdge, SurfaceDistances
    from robustness.types import Mask


class Overlap(NamedTuple):
    """Foreground pixels of a prediction, of its reference, and of both at once, counted where the masks lay."""

    n_predicted: int
    n_reference: int
    n_shared: int


class MaskPair:
    """Two masks (H, W) of one image and what all metrics share.

    Args:
        prediction: bool or 0/1 array (H, W).
        reference: bool or 0/1 array (H, W).
        spacing_mm: pixel size (row, column) in mm; None: unknown, distances are then in pixels.
        nsd_tolerance_mm: tolerance of the surface dice, in mm (pixels where the spacing is unknown).
        reference_edges: the edge of `reference`, by a caller who scores it often.
        overlap: the pixel counts of this pair, by a caller who has them; they are not counted again.

    Raises:
        InputError: an array is not a mask, the shapes differ, or a spacing or tolerance is out of range.
    """

    def __init__(
        self,
        prediction: npt.ArrayLike,
        reference: npt.ArrayLike,
        *,
        spacing_mm: tuple[float, float] | None = (1.0, 1.0),
        nsd_tolerance_mm: float = 2.0,
        reference_edges: ReferenceEdge | None = None,
        overlap: Overlap | None = None,
    ) -> None:
        self.prediction = as_mask(prediction, "prediction")
        self.reference = as_mask(reference, "reference")
        if self.prediction.shape != self.reference.shape:
            raise InputError(
                f"prediction: expected the reference's shape {self.reference.shape}, got {self.prediction.shape};"
                " resize one of them to the other's size"
            )
        self.spacing = _checked_spacing(spacing_mm)
        if not nsd_tolerance_mm >= 0:
            raise InputError(f"nsd_tolerance_mm: expected a number of at least 0, got {nsd_tolerance_mm!r}")
        self.nsd_tolerance = float(nsd_tolerance_mm)
        self._reference_edges = reference_edges
        self._overlap = overlap

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        height, width = self.reference.shape
        return height, width

    @cached_property
    def n_predicted(self) -> int:
        """Foreground pixels of the prediction."""
        return int(np.count_nonzero(self.prediction)) if self._overlap is None else self._overlap.n_predicted

    @cached_property
    def n_reference(self) -> int:
        """Foreground pixels of the reference."""
        return int(np.count_nonzero(self.reference)) if self._overlap is None else self._overlap.n_reference

    @cached_property
    def n_shared(self) -> int:
        """Pixels that are foreground in both."""
        if self._overlap is not None:
            return self._overlap.n_shared
        return int(np.count_nonzero(self.prediction & self.reference))

    @cached_property
    def box(self) -> Box | None:
        """Rows and columns that hold the prediction's foreground; None where it is empty."""
        from robustness.metrics.scores.boundary_distances import bounding_box

        return bounding_box(self.prediction)

    @cached_property
    def flags(self) -> Emptiness:
        """Which of the two is empty."""
        return emptiness(self.n_predicted, self.n_reference)

    @cached_property
    def diagonal(self) -> float:
        """Worst possible distance, in the units of the spacing."""
        return image_diagonal(self.shape, self.spacing)

    @cached_property
    def distances(self) -> SurfaceDistances:
        """Edge distances; only for pairs in which neither mask is empty."""
        from robustness.metrics.scores.boundary_distances import edge_pixels, surface_distances

        reference = edge_pixels(self.reference) if self._reference_edges is None else self._reference_edges
        return surface_distances(edge_pixels(self.prediction, self.box), reference, spacing=self.spacing)


def as_mask(values: npt.ArrayLike, name: str) -> Mask:
    """Return `values` as a bool array (H, W).

    Raises:
        InputError: not two-dimensional, without pixels, or a value that is neither 0 nor 1.
    """
    try:
        array = np.asarray(values)
    except ValueError:
        raise InputError(f"{name}: expected a mask of shape (H, W), got rows of different lengths") from None
    refuse_masked(values, name)
    if array.ndim != 2 or array.size == 0:
        raise InputError(f"{name}: expected a mask of shape (H, W), got shape {array.shape}")
    if array.dtype == np.bool_:
        return array
    if array.dtype.kind not in "iuf" or not ((array == 0) | (array == 1)).all():
        raise InputError(
            f"{name}: expected bool or 0/1 values, got {array.dtype} values; threshold probabilities first, as in"
            f" {name} > 0.5"
        )
    return array.astype(bool)


def refuse_masked(values: npt.ArrayLike, name: str) -> None:
    """Refuse a `numpy.ma` array that hides pixels: what lies below its mask would count.

    Raises:
        InputError: a pixel is masked.
    """
    # Late: who looks up a metric needs no types.
    from robustness.types import masked_pixels

    if hidden := masked_pixels(values):
        raise InputError(
            f"{name}: expected a value in every pixel, got {counted(hidden, 'masked pixel')}; write {name}.filled(0)"
        )


def overlap_coefficient(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    """Return |A and B| / min(|A|, |B|) of two masks (H, W): 0 where they lie apart, 1 where one holds the other.

    NaN where one is empty.

    Raises:
        InputError: an array is not a mask or the shapes differ.

    Source: Simpson 1960, "Notes on the measurement of faunal resemblance", Am. J. Sci. 258-A.

    Example:
        >>> overlap_coefficient([[1, 1, 1, 0]], [[0, 1, 1, 1]]), overlap_coefficient([[1, 1, 1, 1]], [[1, 0, 0, 0]])
        (0.6666666666666666, 1.0)
    """
    pair = MaskPair(first, second)
    smaller = min(pair.n_predicted, pair.n_reference)
    return pair.n_shared / smaller if smaller else math.nan


def _checked_spacing(spacing_mm: tuple[float, float] | None) -> tuple[float, float]:
    if spacing_mm is None:
        return 1.0, 1.0
    values = np.asarray(spacing_mm, dtype=float)
    if values.shape != (2,) or not np.isfinite(values).all() or not (values > 0).all():
        raise InputError(f"spacing_mm: expected two positive numbers (row, column) or None, got {spacing_mm!r}")
    return float(values[0]), float(values[1])
