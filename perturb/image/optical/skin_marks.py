"""Marks of a clinic beside a lesion: rulers and surgical ink."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from robustness.perturb.image.overlay import Canvas, Colour, Layer, Overlay, Point, bent
from robustness.registry import PERTURBATIONS

_INKS: tuple[Colour, ...] = ((0.25, 0.1, 0.5), (0.1, 0.15, 0.5), (0.1, 0.35, 0.3))
_TICK = 0.02


@PERTURBATIONS.add("ruler_marks")
class RulerMarks(Overlay):
    """Lay a ruler along a border: a pale strip with ticks and figures, beginning at the edge of the image.

    Imitates the scale that is photographed with a lesion or a wound. The strip grows with severity, so it reaches
    farther into the image; a structure at the border may come to lie below it. The value is its width in units of the
    shorter side.

    Source: Bissoto et al., "(De)Constructing Bias on Skin Lesion Datasets", CVPR Workshops 2019, arXiv:1904.08818
    (rulers among the artefacts).
    """

    name = "ruler_marks"
    values = (0.03, 0.058, 0.14, 0.23, 0.35)
    span: ClassVar[tuple[float, float]] = (0.02, 0.35)

    def layers(self, rng: np.random.Generator, size: tuple[int, int], amount: Any) -> Sequence[Layer]:
        """Return the strip and what is printed on it."""
        strip, print_ = Canvas(size), Canvas(size)
        edge, phase = int(rng.integers(4)), float(rng.uniform(0, _TICK))
        width, long = float(amount), strip.width if edge < 2 else strip.height
        strip.blob([_on(strip, edge, a, b) for a, b in ((0, 0), (long, 0), (long, width), (0, width))], 0.9)
        for number in range(int(long / _TICK) + 1):
            reach = width * (0.6 if number % 10 == 0 else 0.45 if number % 5 == 0 else 0.3)
            position = phase + number * _TICK
            # Ticks stand on the side towards the lesion.
            print_.line([_on(print_, edge, position, width), _on(print_, edge, position, width - reach)], 0.003)
            if number % 10 == 0:
                x, y = _on(print_, edge, position + 0.006, 0.25 * width)
                print_.text((x, y), str(number // 10), 0.3 * width)
        return [Layer(strip.alpha(), (0.93, 0.92, 0.86)), Layer(0.9 * print_.alpha(), (0.08, 0.08, 0.1))]


@PERTURBATIONS.add("ink_marks")
class InkMarks(Overlay):
    """Draw strokes and dots of a surgical skin marker over the image.

    Imitates the gentian violet that marks a lesion before excision: translucent strokes that frame the middle of the
    image, some crossing it. Ink absorbs light, skin stays visible below. The value is the number of strokes.

    Source: Winkler et al., "Association Between Surgical Skin Markings in Dermoscopic Images and Diagnostic Performance
    of a Deep Learning Convolutional Neural Network for Melanoma Recognition", JAMA Dermatol. 2019,
    doi:10.1001/jamadermatol.2019.1735.
    """

    name = "ink_marks"
    values = (2, 4, 7, 11, 16)
    span: ClassVar[tuple[float, float]] = (1.0, 16.0)
    whole_numbers: ClassVar[bool] = True

    def layers(self, rng: np.random.Generator, size: tuple[int, int], amount: Any) -> Sequence[Layer]:
        """Return the strokes, which absorb."""
        canvas = Canvas(size)
        ink = _INKS[int(rng.integers(len(_INKS)))]
        width = float(rng.uniform(0.02, 0.03))
        for _ in range(max(1, round(float(amount)))):
            canvas.line(_stroke(rng, canvas), width * float(rng.uniform(0.7, 1.2)), float(rng.uniform(0.75, 0.95)))
        return [Layer(canvas.alpha(soft=0.003), ink, "absorb"), Layer(0.35 * canvas.alpha(soft=0.003), ink)]


def _stroke(rng: np.random.Generator, canvas: Canvas) -> list[Point]:
    """Draw an arc around the middle, now and then a stroke across."""
    angle, reach = rng.uniform(0, 2 * np.pi), rng.uniform(0.22, 0.46)
    turn = rng.uniform(0.5, 1.1)
    middle = (canvas.width / 2, canvas.height / 2)
    start, pull, end = (
        (float(middle[0] + r * np.cos(a)), float(middle[1] + r * np.sin(a)))
        for a, r in ((angle, reach), (angle + turn / 2, reach * rng.uniform(0.6, 1.4)), (angle + turn, reach))
    )
    return bent(start, pull, end)


def _on(canvas: Canvas, edge: int, along: float, inside: float) -> Point:
    """Return the place `along` an edge (0 top, 1 bottom, 2 left, 3 right) and `inside` the image."""
    return (
        (along, inside),
        (along, canvas.height - inside),
        (inside, along),
        (canvas.width - inside, along),
    )[edge]
