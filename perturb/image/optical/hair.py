"""Hair across the skin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from robustness.perturb.image.overlay import Canvas, Colour, Layer, Overlay, Point, bent, spread
from robustness.registry import PERTURBATIONS

_COLOURS: tuple[Colour, ...] = ((0.09, 0.06, 0.05), (0.14, 0.09, 0.07), (0.2, 0.13, 0.09))


@PERTURBATIONS.add("hair")
class Hair(Overlay):
    """Lay curved, tapering dark hairs over the image.

    Imitates body hair in dermoscopy and skin photographs: all hairs of one image have one colour and grow in about
    one direction, each with its own bend, width and a soft shadow. The value is the number of hairs on a square.

    Source: Lee et al., "DullRazor: a software approach to hair removal from images", Comput. Biol. Med. 1997,
    doi:10.1016/S0010-4825(97)00020-6.
    """

    name = "hair"
    values = (4.2, 7.5, 15.0, 24.0, 40.0)
    span: ClassVar[tuple[float, float]] = (1.0, 120.0)

    def layers(self, rng: np.random.Generator, size: tuple[int, int], amount: Any) -> Sequence[Layer]:
        """Return the hairs' shadow and the hairs."""
        hairs, shadow = Canvas(size), Canvas(size)
        colour = _COLOURS[int(rng.integers(len(_COLOURS)))]
        growth = rng.uniform(0, np.pi)
        count = max(1, round(float(amount) * hairs.width * hairs.height))
        for point in spread(rng, hairs, count):
            path = _path(rng, point, growth + rng.normal(0, 0.45))
            width = float(rng.uniform(0.005, 0.011))
            _tapered(hairs, path, width)
            shadow.line([(x + 0.006, y + 0.006) for x, y in path], width)
        return [Layer(0.25 * shadow.alpha(soft=0.004), (0.1, 0.05, 0.05)), Layer(0.93 * hairs.alpha(), colour)]


def _path(rng: np.random.Generator, point: Point, direction: float) -> list[Point]:
    length, bend = rng.uniform(0.25, 0.75), rng.normal(0, 0.12)
    along, across = (np.cos(direction), np.sin(direction)), (-np.sin(direction), np.cos(direction))
    start, middle, end = (
        (float(point[0] + a * along[0] + b * across[0]), float(point[1] + a * along[1] + b * across[1]))
        for a, b in ((-length / 2, 0.0), (rng.normal(0, 0.05), bend), (length / 2, rng.normal(0, 0.04)))
    )
    return bent(start, middle, end)


def _tapered(canvas: Canvas, path: Sequence[Point], width: float) -> None:
    """Draw in three pieces, the last ones thinner, as a hair ends."""
    for start, stop, share in ((0, 17, 1.0), (16, 21, 0.75), (20, 24, 0.5)):
        canvas.line(path[start:stop], width * share)
