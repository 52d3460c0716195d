"""Labels of a scatter plot: the points that can carry their name without covering another."""

from __future__ import annotations

from collections.abc import Sequence

_CHARACTER, _LINE, _GAP = 0.0075, 0.05, 0.012


def uncrowded(points: Sequence[tuple[float, float]], labels: Sequence[str]) -> list[str]:
    """Return the labels, those that would cover a point or an earlier label left empty.

    Args:
        points: x and y in [0, 1], as shares of the plot's width and height; labels stand to their right.
        labels: one per point; the points far from the origin choose first.
    """
    shown = [""] * len(points)
    taken: list[tuple[float, float, float, float]] = []
    for i in sorted(range(len(points)), key=lambda i: -(points[i][0] + points[i][1])):
        x, y = points[i]
        box = (x + _GAP, x + _GAP + _CHARACTER * len(labels[i]), y - _LINE / 2, y + _LINE / 2)
        others = [
            (a - _GAP / 2, a + _GAP / 2, b - _LINE / 2, b + _LINE / 2) for j, (a, b) in enumerate(points) if j != i
        ]
        if box[1] <= 1 and not any(_meet(box, other) for other in (*taken, *others)):
            shown[i] = labels[i]
            taken.append(box)
    return shown


def _meet(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] < b[1] and b[0] < a[1] and a[2] < b[3] and b[2] < a[3]
