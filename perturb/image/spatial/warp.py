"""Moving pixels: where each pixel of the moved image comes from, at any resolution.

Positions are shares of the half-sides, (x, y) in [-1, 1] from the outer edge of the first pixel to that of the last, so
that one record moves an image, its mask and a prediction of another size alike.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from robustness.seeds import generator
from robustness.types import Mask, Params

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]


class Source(NamedTuple):
    """For each pixel of the moved image the (fractional) row and column that it comes from, (H, W) each."""

    row: Floats
    column: Floats


def affine(matrix: Floats, offset: tuple[float, float] = (0.0, 0.0)) -> Params:
    """Return the record of an affine move: `matrix` and `offset` lead from moved positions to original ones."""
    return {"matrix": [[float(v) for v in line] for line in matrix], "offset": [float(v) for v in offset]}


def rotation(degrees: float, aspect: float) -> Floats:
    """Return the matrix of an image turned clockwise by `degrees`; `aspect` is its physical width by height."""
    turn = math.radians(degrees)
    # Half-sides are of unequal length: turn in physical units, go back to shares.
    return np.array([[math.cos(turn), math.sin(turn) / aspect], [-math.sin(turn) * aspect, math.cos(turn)]])


def sources(params: Params, shape: tuple[int, ...]) -> Source:
    """Return where the pixels of a moved image of `shape` (H, W) come from."""
    height, width = shape[:2]
    x, y = np.meshgrid(_centres(width), _centres(height))
    (xx, xy), (yx, yy) = params["matrix"]
    from_x = xx * x + xy * y + params["offset"][0]
    from_y = yx * x + yy * y + params["offset"][1]
    if "strength" in params:
        bend_x, bend_y = bending(params, (height, width))
        from_x, from_y = from_x + bend_x, from_y + bend_y
    return Source(((from_y + 1) * height - 1) / 2, ((from_x + 1) * width - 1) / 2)


def bending(params: Params, shape: tuple[int, int]) -> tuple[Floats, Floats]:
    """Return a smooth displacement (x, y) in shares of the half-sides, fading towards the border.

    A uniform cubic B-spline whose `cells` x `cells` inner control points are normal draws, cut at two standard
    deviations; `strength` is the standard deviation in shares of the half of the shorter side. No control point goes
    farther than 0.48 of their distance while ``strength < 0.48 / (cells + 1)``, so that the image never folds.

    Source: Choi and Lee, "Injectivity conditions of 2D and 3D uniform cubic B-spline functions", Graphical Models 2000,
    doi:10.1006/gmod.2000.0531.
    """
    cells, strength = int(params["cells"]), float(params["strength"])
    drawn = np.clip(generator(int(params["seed"]), "elastic").standard_normal((2, cells, cells)), -2, 2)
    down, across = _spline(shape[0], cells), _spline(shape[1], cells)
    by_width, by_height = params["short"]
    return strength * by_width * (down @ drawn[0] @ across.T), strength * by_height * (down @ drawn[1] @ across.T)


def _spline(count: int, cells: int) -> Floats:
    """Return the weights (count, cells) of the inner control points at each pixel."""
    spacing = 2 / (cells + 1)
    knots = -1 + spacing * np.arange(1, cells + 1)
    t = np.abs(_centres(count)[:, None] - knots) / spacing
    near, far = (4 - 6 * t**2 + 3 * t**3) / 6, np.clip(2 - t, 0, None) ** 3 / 6
    return np.where(t < 1, near, far)


def moved_pixels(pixels: Array, where: Source, fill: Array) -> Array:
    """Return pixels (H, W) or (H, W, C) moved bilinearly, as float64; what comes from outside is `fill`."""
    height, width = pixels.shape[:2]
    top, left = np.floor(where.row).astype(int), np.floor(where.column).astype(int)
    down, right = where.row - top, where.column - left
    total = np.zeros((*where.row.shape, *pixels.shape[2:]))
    for row, by_row in ((top, 1 - down), (top + 1, down)):
        for column, by_column in ((left, 1 - right), (left + 1, right)):
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            source = pixels[np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)]
            weight = by_row * by_column
            if pixels.ndim == 3:
                inside, weight = inside[..., None], weight[..., None]
            total += weight * np.where(inside, source, fill)
    return total


def moved_labels(labels: Array, where: Source) -> Array:
    """Return labels (H, W) moved by the nearest pixel; what comes from outside is 0."""
    height, width = labels.shape
    row, column = np.rint(where.row).astype(int), np.rint(where.column).astype(int)
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    source = labels[np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)]
    return np.ascontiguousarray(np.where(inside, source, np.zeros((), labels.dtype)))


def moved_mask(mask: Mask, params: Params) -> Mask:
    """Return a mask (H, W) moved by the nearest pixel; what comes from outside is no part of it."""
    moved: Mask = moved_labels(mask, sources(params, mask.shape))
    return moved


def border_fill(pixels: Array) -> Floats:
    """Return the median of the border pixels of (H, W) or (H, W, C), per channel: what lies outside an image."""
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    median: Floats = np.median(border, axis=0)
    return median


def _centres(count: int) -> Floats:
    return (np.arange(count) + 0.5) * 2 / count - 1
