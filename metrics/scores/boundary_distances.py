"""Edges of a mask and the distances between two edges."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from robustness.types import Mask


Distances = npt.NDArray[np.float64]
Points = npt.NDArray[np.intp]

# Above this many edge pixels a distance transform of the cropped image is faster than a tree.
_TREE_LIMIT = 20_000
# The fastest of 8 to 64 for outlines of some hundred pixels.
_LEAF = 16


class SurfaceDistances(NamedTuple):
    """Distance of every edge pixel of one mask to the nearest edge pixel of the other."""

    prediction_to_reference: Distances
    reference_to_prediction: Distances


def edge_pixels(mask: Mask) -> Points:
    """Return the (row, column) of every edge pixel of `mask` (H, W), as an integer array (N, 2).

    A foreground pixel is an edge pixel where one of its four neighbours is background; what lies outside the image is
    background, so an object that touches the border has an edge there.
    """
    rows = np.flatnonzero(mask.any(axis=1))
    if rows.size == 0:
        return np.empty((0, 2), dtype=np.intp)
    top, band = rows[0], mask[rows[0] : rows[-1] + 1]
    columns = np.flatnonzero(band.any(axis=0))
    left = columns[0]
    box = np.zeros((len(band) + 2, columns[-1] - left + 3), dtype=bool)
    box[1:-1, 1:-1] = band[:, left : columns[-1] + 1]
    inside = box[:-2, 1:-1] & box[2:, 1:-1] & box[1:-1, :-2] & box[1:-1, 2:]
    edge: Points = np.argwhere(box[1:-1, 1:-1] & ~inside) + np.array([top, left])
    return edge


def surface_distances(prediction: Points, reference: Points, *, spacing: tuple[float, float]) -> SurfaceDistances:
    """Return the two directed sets of edge distances, in the units of `spacing` (row, column).

    Args:
        prediction: edge pixels (N, 2), N > 0.
        reference: edge pixels (M, 2), M > 0.
        spacing: size of a pixel along rows and columns.
    """
    if len(prediction) + len(reference) > _TREE_LIMIT:
        return _by_transform(prediction, reference, spacing)
    return _by_tree(prediction, reference, spacing)


def percentile(distances: Distances, percent: float) -> float:
    """Return a percentile with linear interpolation, as `numpy.percentile`, whose checks cost more than the sorting."""
    place = (distances.size - 1) * percent / 100
    low = int(place)
    high = min(low + 1, distances.size - 1)
    ordered = np.partition(distances, (low, high))
    return float(ordered[low] + (ordered[high] - ordered[low]) * (place - low))


def _by_tree(prediction: Points, reference: Points, spacing: tuple[float, float]) -> SurfaceDistances:
    from scipy.spatial import cKDTree

    def tree(points: Points) -> cKDTree:
        return cKDTree(points * np.asarray(spacing), leafsize=_LEAF, balanced_tree=False, compact_nodes=False)

    def directed(start: Points, goal: Points, goal_tree: cKDTree) -> Distances:
        _, nearest = goal_tree.query(start * np.asarray(spacing))
        # Whole pixel steps times the spacing: no rounding of the two positions, so that a distance which equals the
        # tolerance of the surface dice is not pushed over it.
        step = (start - goal[nearest]) * np.asarray(spacing)
        distance: Distances = np.sqrt((step * step).sum(axis=1))
        return distance

    return SurfaceDistances(
        directed(prediction, reference, tree(reference)), directed(reference, prediction, tree(prediction))
    )


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
