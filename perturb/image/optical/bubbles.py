"""Bubbles: foam on mucosa, air in immersion gel, air under a cover slip."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from robustness.perturb.image.overlay import Canvas, Colour, Layer, Overlay, Point, outline, somewhere
from robustness.registry import PERTURBATIONS


class _Bubbles(Overlay):
    """Round bubbles with a rim, a faint filling and the lamp's reflex; the value is the share that they cover.

    Class attributes:
        radii: smallest and largest radius in units of the shorter side.
        rim: colour of the rim, which refracts light away from the lens or toward it.
        rim_level: opacity of the rim.
        filling: opacity of the white filling.
        clustered: how closely bubbles gather, 0 for evenly spread ones.
    """

    radii: ClassVar[tuple[float, float]] = (0.01, 0.05)
    rim: ClassVar[Colour] = (1.0, 1.0, 1.0)
    rim_level: ClassVar[float] = 0.7
    filling: ClassVar[float] = 0.2
    clustered: ClassVar[float] = 0.0

    def layers(self, rng: np.random.Generator, size: tuple[int, int], amount: Any) -> Sequence[Layer]:
        """Return filling, rims and reflexes of bubbles that cover the share `amount`."""
        filling, rims, reflexes = Canvas(size), Canvas(size), Canvas(size)
        for centre, radius in self._places(rng, filling, float(amount)):
            self._draw(rng, filling, rims, reflexes, centre, radius)
        return [
            Layer(filling.alpha(soft=0.002), (0.95, 0.95, 0.92)),
            Layer(rims.alpha(soft=0.0015), self.rim),
            Layer(reflexes.alpha(soft=0.001), (1.0, 1.0, 1.0)),
        ]

    def _places(self, rng: np.random.Generator, canvas: Canvas, share: float) -> list[tuple[Point, float]]:
        """Draw bubbles, few of which overlap, until their areas add up to the share; at most 600."""
        placed: list[tuple[Point, float]] = []
        heart, area = somewhere(rng, canvas, 0.2), 0.0
        while area < share * canvas.width * canvas.height and len(placed) < 600:
            low, high = self.radii
            radius = float(low * (high / low) ** rng.random() ** 1.5)
            point = self._near(rng, canvas, heart)
            crowded = any((point[0] - x) ** 2 + (point[1] - y) ** 2 < (0.9 * (radius + r)) ** 2 for (x, y), r in placed)
            if crowded and rng.random() < 0.9:
                area += 1e-5  # a full image must end the search as well
                continue
            placed.append((point, radius))
            area += np.pi * radius**2
        return placed

    def _near(self, rng: np.random.Generator, canvas: Canvas, heart: Point) -> Point:
        if rng.random() >= self.clustered:
            return somewhere(rng, canvas)
        x, y = heart[0] + rng.normal(0, 0.22), heart[1] + rng.normal(0, 0.22)
        return float(np.clip(x, 0, canvas.width)), float(np.clip(y, 0, canvas.height))

    def _draw(
        self, rng: np.random.Generator, filling: Canvas, rims: Canvas, reflexes: Canvas, centre: Point, radius: float
    ) -> None:
        shape = outline(rng, centre, radius, ragged=0.02, stretch=float(rng.uniform(1.0, 1.12)))
        filling.blob(shape, self.filling)
        rims.line([*shape, shape[0]], max(0.12 * radius, 0.002), self.rim_level)
        turn = -0.75 * np.pi + rng.normal(0, 0.15)
        spot = (centre[0] + 0.5 * radius * np.cos(turn), centre[1] + 0.5 * radius * np.sin(turn))
        reflexes.disk((float(spot[0]), float(spot[1])), 0.17 * radius, 0.95)


@PERTURBATIONS.add("bubbles")
class Bubbles(_Bubbles):
    """Lay clusters of foam bubbles over the image.

    Imitates the bubbles of rinsing fluid and mucus in endoscopy: bright rims, a milky filling and the lamp's reflex, in
    many sizes. The value is the share of the image that they cover.

    Source: Ali et al., "An objective comparison of detection and segmentation algorithms for artefacts in clinical
    endoscopy", Sci. Rep. 2020, doi:10.1038/s41598-020-59413-5 (class "bubbles").
    """

    name = "bubbles"
    inside = True
    values = (0.029, 0.064, 0.14, 0.22, 0.38)
    span: ClassVar[tuple[float, float]] = (0.01, 0.8)
    radii = (0.012, 0.07)
    clustered = 0.6
    filling = 0.28


@PERTURBATIONS.add("gel_bubbles")
class GelBubbles(_Bubbles):
    """Lay air bubbles of the immersion fluid over the image.

    Imitates contact dermoscopy with gel or oil: clear round bubbles, mostly of one size, with thin bright rims. The
    value is the share of the image that they cover.

    Source: Celebi et al., "A methodological approach to the classification of dermoscopy images", Comput. Med. Imaging
    Graph. 2007, doi:10.1016/j.compmedimag.2007.01.003 (air bubbles among the artefacts of dermoscopy).
    """

    name = "gel_bubbles"
    values = (0.035, 0.068, 0.15, 0.23, 0.41)
    span: ClassVar[tuple[float, float]] = (0.01, 0.7)
    radii = (0.015, 0.045)
    filling = 0.14
    rim_level = 0.75
    clustered = 0.3


@PERTURBATIONS.add("air_bubbles")
class AirBubbles(_Bubbles):
    """Lay large air bubbles under the cover slip over the image.

    Imitates trapped air in mounting medium: the edge of a bubble refracts the light out of the objective and is a broad
    dark ring, its inside is pale. The value is the share of the image that they cover.

    Source: Di Salvo et al., "MedMNIST-C", 2024, arXiv:2406.17536 (corruption "bubble" of microscopy).
    """

    name = "air_bubbles"
    values = (0.046, 0.11, 0.2, 0.33, 0.5)
    span: ClassVar[tuple[float, float]] = (0.01, 0.5)
    radii = (0.05, 0.2)
    rim = (0.12, 0.1, 0.12)
    rim_level = 0.85
    filling = 0.3
