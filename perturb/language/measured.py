"""Attributes that a mask and its image show: number, size, area, location, shape and colour in words.

Locations are thirds of the image's height and of its *width*. Several components give lists ("top left, center").
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from robustness.perturb.language.grammar.numerals import spell
from robustness.perturb.language.truth import facts
from robustness.types import Image, Mask

# Upper limits as shares of the image; inside of what every convention allows (see `truth`).
SIZE_LIMITS = (("tiny", 0.0025), ("small", 0.02), ("medium", 0.15), ("large", 1.0))
_ROWS = ("top", "", "bottom")
_COLUMNS = ("left", "", "right")
_ROUND_UP_TO = 1.25
_SOLID = 0.85
# 1 / (mu20 mu02 - mu11^2) * mu00^4 of an ellipse is 16 pi^2, of a rectangle 144, of a triangle 108.
_TRIANGLE = (98.0, 119.0)
# sRGB values of the colour names that the lexicon has opposites for.
COLOURS: dict[str, tuple[int, int, int]] = {
    "black": (20, 18, 18),
    "white": (238, 236, 232),
    "gray": (128, 128, 128),
    "red": (185, 35, 35),
    "orange": (230, 130, 40),
    "yellow": (225, 205, 60),
    "green": (60, 140, 60),
    "blue": (50, 80, 180),
    "purple": (120, 50, 140),
    "pink": (230, 150, 155),
    "brown": (110, 65, 35),
    "tan": (205, 170, 125),
    "peach": (245, 195, 160),
}


class Shape(NamedTuple):
    """What a component's outline is nearest to, and the figures behind it.

    Attributes:
        name: "round", "oval", "square", "rectangular", "triangular" or "irregular"; "" below 16 pixels.
        solidity: area by area of the convex hull, in (0, 1].
        aspect: long by short axis of the ellipse with the same second moments, at least 1.
        moment: mu00^4 / (mu20 mu02 - mu11^2), the affine invariant: ellipse 158, rectangle 144, triangle 108.
    """

    name: str
    solidity: float
    aspect: float
    moment: float


def measure(mask: Mask, image: Image | None = None) -> dict[str, Any]:
    """Return the attributes of a mask: `number size area location shape colour`, as far as they can be measured.

    Args:
        mask: bool (H, W). An empty one gives ``{"number": "no", "area": 0.0}``; one without pixels gives nothing.
        image: uint8 (H, W, 3); without it there is no colour.
    """
    measured = facts(mask)
    if measured is None:
        return {}
    if not measured.centroids:
        return {"number": "no", "area": 0.0}
    count = len(measured.centroids)
    labels, areas = _components(mask)
    shape = shape_of(labels == int(np.argmax(areas)) + 1).name
    words: dict[str, Any] = {
        "number": spell(count) if count < 200 else "many",
        "size": ", ".join(size_words([a / mask.size for a in areas])),
        "area": round(measured.area_fraction, 6),
        "location": ", ".join(dict.fromkeys(place_of(row, column) for row, column in measured.centroids)),
    }
    if shape:
        words["shape"] = shape
    if image is not None and image.shape[:2] == mask.shape:
        words["colour"] = colour_of(image[mask])
    return words


def size_words(shares: list[float]) -> list[str]:
    """Return the distinct size words of components, given as shares of the image, smallest first."""
    names = [next(name for name, limit in SIZE_LIMITS if share <= limit) for share in shares]
    return [name for name, _ in SIZE_LIMITS if name in names]


def place_of(row: float, column: float) -> str:
    """Return the cell of a point in the grid of thirds; `row` and `column` are shares of height and width.

    Example:
        >>> place_of(0.1, 0.9), place_of(0.5, 0.5), place_of(0.5, 0.1)
        ('top right', 'center', 'left')
    """
    words = f"{_ROWS[min(int(row * 3), 2)]} {_COLUMNS[min(int(column * 3), 2)]}".strip()
    return words or "center"


def shape_of(component: Mask) -> Shape:
    """Return the shape family of one component (H, W) by its moments and its convex hull.

    Source: Rosin 2003, "Measuring shape: ellipticity, rectangularity, and triangularity", Machine Vision and
    Applications, doi:10.1007/s00138-002-0118-6.
    """
    rows, columns = np.nonzero(component)
    area = len(rows)
    if area < 16:
        return Shape("", math.nan, math.nan, math.nan)
    points = np.stack([rows - rows.mean(), columns - columns.mean()])
    # Each pixel is a unit square, which has moments of its own.
    moments = points @ points.T + np.eye(2) * area / 12
    small, large = np.linalg.eigvalsh(moments)
    aspect = math.sqrt(large / small)
    moment = float(area**4 / np.linalg.det(moments))
    solidity = area / _hull_area(rows, columns)
    return Shape(_name(points, moments, area, solidity, aspect, moment), solidity, aspect, moment)


def _name(
    points: npt.NDArray[np.float64],
    moments: npt.NDArray[np.float64],
    area: int,
    solidity: float,
    aspect: float,
    moment: float,
) -> str:
    if solidity < _SOLID:
        return "irregular"
    if _TRIANGLE[0] <= moment <= _TRIANGLE[1]:
        return "triangular"
    ellipse, box = _fits(points, moments, area)
    if max(ellipse, box) < 0.8:
        return "irregular"
    if ellipse >= box:
        return "round" if aspect < _ROUND_UP_TO else "oval"
    return "square" if aspect < _ROUND_UP_TO else "rectangular"


def _fits(points: npt.NDArray[np.float64], moments: npt.NDArray[np.float64], area: int) -> tuple[float, float]:
    """Return the share of the pixels inside the ellipse and inside the rectangle of the component's own area."""
    values, axes = np.linalg.eigh(moments / area)
    along = axes.T @ points / np.sqrt(values)[:, None]
    # Scaled by the square root of the moments, an ellipse is a disc of radius 2, a rectangle a box of half-side sqrt 3.
    ellipse = float((np.hypot(*along) <= 2).mean())
    box = float((np.abs(along).max(axis=0) <= math.sqrt(3)).mean())
    if abs(values[1] / values[0] - 1) < 0.1:
        # The axes of a square's moments are arbitrary: its sides are where the pixels reach least far.
        turns = np.radians(np.arange(0, 90, 5))
        box = max(float((np.abs(_turned(along, t)).max(axis=0) <= math.sqrt(3)).mean()) for t in turns)
    return ellipse, box


def _turned(points: npt.NDArray[np.float64], angle: float) -> npt.NDArray[np.float64]:
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    turned: npt.NDArray[np.float64] = turn @ points
    return turned


def _hull_area(rows: npt.NDArray[np.int64], columns: npt.NDArray[np.int64]) -> float:
    from scipy.spatial import ConvexHull, QhullError

    # The corners of the outermost pixels of each row, since a pixel is a square and not a point.
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for r, c in zip(rows.tolist(), columns.tolist(), strict=True):
        first[r] = min(first.get(r, c), c)
        last[r] = max(last.get(r, c), c)
    corners = [(r + d, e) for r in first for d in (0, 1) for e in (first[r], last[r] + 1)]
    try:
        return float(ConvexHull(np.asarray(corners, dtype=float)).volume)
    except QhullError:
        return float(len(rows))


def colour_of(pixels: npt.NDArray[np.uint8]) -> str:
    """Return the name of the colour in `COLOURS` nearest, in CIELAB, to the median of pixels (N, 3)."""
    middle = _lab(np.median(pixels.reshape(-1, 3), axis=0))
    return min(COLOURS, key=lambda name: float(np.linalg.norm(_lab(np.asarray(COLOURS[name], dtype=float)) - middle)))


def _lab(rgb: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return CIELAB (D65) of one sRGB colour, 0 to 255."""
    part = rgb / 255
    linear = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
    weights = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = weights @ linear / np.array([0.9505, 1.0, 1.089])
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def _components(mask: Mask) -> tuple[npt.NDArray[np.int32], list[int]]:
    from scipy import ndimage

    labels, _ = ndimage.label(mask, structure=np.ones((3, 3)))
    return labels, np.bincount(labels.ravel())[1:].tolist()
