"""Edges of a mask and the distances between two edges."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from robustness.types import Mask


Distances = npt.NDArray[np.float64]
Points = npt.NDArray[np.intp]
Box = tuple[slice, slice]

# Above this many edge pixels a distance transform of the cropped image is faster than a tree.
_TREE_LIMIT = 20_000
# So many pairs of edge pixels are compared one by one, sooner than by a tree.
_PAIR_LIMIT = 2**16
_NARROW_SIDE = 2**15
# The fastest of 8 to 64 for outlines of some hundred pixels.
_LEAF = 16
# Of images up to this many pixels a reference that is compared often has a map of distances; more costs memory.
_MAP_LIMIT = 2**18


class SurfaceDistances(NamedTuple):
    """Distance of every edge pixel of one mask to the nearest edge pixel of the other."""

    prediction_to_reference: Distances
    reference_to_prediction: Distances


@dataclass(frozen=True, eq=False)
class ReferenceEdge:
    """The edge of a reference that many predictions are compared with, and what is found once for all of them.

    Attributes:
        points: edge pixels (N, 2).
        shape: height and width of the mask.
    """

    points: Points
    shape: tuple[int, ...]

    @cached_property
    def squares(self) -> npt.NDArray[np.int32] | None:
        """Squared distance in pixels (H, W) from every pixel to the edge; None where there is none, or too large."""
        from scipy.ndimage import distance_transform_edt

        if len(self.points) == 0 or np.prod(self.shape) > _MAP_LIMIT:
            return None
        background = np.ones(self.shape, dtype=bool)
        background[tuple(self.points.T)] = False
        nearest = distance_transform_edt(background, return_distances=False, return_indices=True)
        steps = nearest - np.indices(self.shape)
        return np.asarray((steps * steps).sum(axis=0), dtype=np.int32)


def bounding_box(mask: Mask) -> Box | None:
    """Return the rows and columns of `mask` (H, W) from its first to its last foreground pixel; None where empty."""
    rows = np.flatnonzero(mask.any(axis=1))
    if rows.size == 0:
        return None
    band = slice(int(rows[0]), int(rows[-1]) + 1)
    columns = np.flatnonzero(mask[band].any(axis=0))
    return band, slice(int(columns[0]), int(columns[-1]) + 1)


def edge_pixels(mask: Mask, box: Box | None = None) -> Points:
    """Return the (row, column) of every edge pixel of `mask` (H, W), as an integer array (N, 2).

    A foreground pixel is an edge pixel where one of its four neighbours is background; what lies outside the image is
    background, so an object that touches the border has an edge there.

    Args:
        mask: bool (H, W).
        box: its `bounding_box`, where a caller has it.
    """
    box = bounding_box(mask) if box is None else box
    if box is None:
        return np.empty((0, 2), dtype=np.intp)
    inner = mask[box]
    padded = np.zeros((inner.shape[0] + 2, inner.shape[1] + 2), dtype=bool)
    padded[1:-1, 1:-1] = inner
    inside = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    edge: Points = np.argwhere(inner & ~inside) + np.array([box[0].start, box[1].start])
    return edge


def surface_distances(
    prediction: Points, reference: Points | ReferenceEdge, *, spacing: tuple[float, float]
) -> SurfaceDistances:
    """Return the two directed sets of edge distances, in the units of `spacing` (row, column).

    Args:
        prediction: edge pixels (N, 2), N > 0.
        reference: edge pixels (M, 2), M > 0, or a `ReferenceEdge`: the same values, sooner.
        spacing: size of a pixel along rows and columns.
    """
    points = reference.points if isinstance(reference, ReferenceEdge) else reference
    if len(prediction) + len(points) > _TREE_LIMIT:
        return _by_transform(prediction, points, spacing)
    # Whole squares: with any other pixel, which of two equally near ones is found may move the last bit.
    squares = reference.squares if isinstance(reference, ReferenceEdge) and spacing == (1.0, 1.0) else None
    return _by_tree(prediction, points, spacing, squares)


def percentile(distances: Distances, percent: float) -> float:
    """Return a percentile with linear interpolation, as `numpy.percentile`, whose checks cost more than the sorting."""
    position = (distances.size - 1) * percent / 100
    low = int(position)
    high = min(low + 1, distances.size - 1)
    ordered = np.partition(distances, (low, high))
    return float(ordered[low] + (ordered[high] - ordered[low]) * (position - low))


def _by_tree(
    prediction: Points,
    reference: Points,
    spacing: tuple[float, float],
    squares: npt.NDArray[np.int32] | None = None,
) -> SurfaceDistances:
    if squares is None:
        forth = _to_nearest(prediction, reference, spacing)
    else:
        forth = np.sqrt(squares[prediction[:, 0], prediction[:, 1]].astype(np.float64))
    return SurfaceDistances(forth, _to_nearest(reference, prediction, spacing))


def _to_nearest(start: Points, goal: Points, spacing: tuple[float, float]) -> Distances:
    if spacing == (1.0, 1.0) and len(start) * len(goal) <= _PAIR_LIMIT:
        return _to_nearest_of_few(start, goal)
    from scipy.spatial import cKDTree

    # Whole pixel steps times the spacing: no rounding of the two positions, so that a distance which equals the
    # tolerance of the surface dice is not pushed over it.
    scale: Any = 1 if spacing == (1.0, 1.0) else np.asarray(spacing)
    tree = cKDTree(goal * scale, leafsize=_LEAF, balanced_tree=False, compact_nodes=False)
    step = (start - goal[tree.query(start * scale)[1]]) * scale
    distance: Distances = np.sqrt((step * step).sum(axis=1).astype(np.float64))
    return distance


def _to_nearest_of_few(start: Points, goal: Points) -> Distances:
    """Return the distances in whole pixels: sums of whole squares, so the same bits by whatever search."""
    # Half as wide numbers are compared twice as fast; the squares of larger images do not fit.
    width = np.int32 if max(start.max(), goal.max()) < _NARROW_SIDE else np.int64
    (rows, columns), (goal_rows, goal_columns) = start.T.astype(width), goal.T.astype(width)
    squares, across = rows[:, None] - goal_rows, columns[:, None] - goal_columns
    squares *= squares
    across *= across
    squares += across
    distance: Distances = np.sqrt(squares.min(axis=1).astype(np.float64))
    return distance


def _by_transform(prediction: Points, reference: Points, spacing: tuple[float, float]) -> SurfaceDistances:
    from scipy.ndimage import distance_transform_edt

    both = np.concatenate([prediction, reference])
    corner = both.min(axis=0)
    shape = tuple(both.max(axis=0) - corner + 1)

    def directed(start: Points, goal: Points) -> Distances:
        background = np.ones(shape, dtype=bool)
        background[tuple((goal - corner).T)] = False
        distance: Distances = distance_transform_edt(background, sampling=spacing)
        reached: Distances = distance[tuple((start - corner).T)]
        return reached

    return SurfaceDistances(directed(prediction, reference), directed(reference, prediction))
