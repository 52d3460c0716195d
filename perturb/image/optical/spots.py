"""Dirt: debris on a slide, dust on a camera."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from robustness.perturb.image.overlay import Canvas, Layer, Overlay, bent, outline, somewhere, spread
from robustness.registry import PERTURBATIONS


@PERTURBATIONS.add("debris")
class Debris(Overlay):
    """Lay dust, crumbs and fibres over the image, some of them out of focus.

    Imitates dirt on a slide or a cover slip and stain precipitate: dark, irregular, translucent specks of many sizes,
    and a few fibres. The value is the number of particles on a square.

    Source: Di Salvo et al., "MedMNIST-C", 2024, arXiv:2406.17536 (corruption "stain deposit" of microscopy); Janowczyk
    et al., "HistoQC: An Open-Source Quality Control Tool for Digital Pathology Slides", JCO Clin. Cancer Inform. 2019,
    doi:10.1200/CCI.18.00157.
    """

    name = "debris"
    values = (12.0, 28.0, 55.0, 90.0, 140.0)
    span: ClassVar[tuple[float, float]] = (2.0, 140.0)

    def layers(self, rng: np.random.Generator, size: tuple[int, int], amount: Any) -> Sequence[Layer]:
        """Return blurred and sharp particles."""
        blurred, sharp = Canvas(size), Canvas(size)
        for point in spread(rng, sharp, max(1, round(float(amount) * sharp.width * sharp.height))):
            canvas = blurred if rng.random() < 0.4 else sharp
            radius = float(0.008 * 4 ** rng.random())
            if rng.random() < 0.15:
                turn, length = rng.uniform(0, 2 * np.pi), rng.uniform(0.08, 0.2)
                end = (point[0] + length * float(np.cos(turn)), point[1] + length * float(np.sin(turn)))
                pull = (point[0] + float(rng.normal(0, 0.08)), point[1] + float(rng.normal(0, 0.08)))
                canvas.line(bent(point, pull, end), 0.006, 0.8)
            else:
                stretch = float(rng.uniform(1.0, 2.2))
                canvas.blob(outline(rng, point, radius, ragged=0.35, stretch=stretch), float(rng.uniform(0.6, 0.95)))
        return [
            Layer(0.8 * blurred.alpha(soft=0.008), (0.2, 0.16, 0.2)),
            Layer(sharp.alpha(soft=0.001), (0.16, 0.12, 0.17)),
        ]


@PERTURBATIONS.add("camera_spots")
class CameraSpots(Overlay):
    """Lay soft round spots of dust on the lens over the image.

    Imitates dirt and droplets on the front lens of a fundus camera, which are out of focus and scatter the flash: pale
    disks with soft rims in front of the retina. The value is the number of spots on a square.

    Source: Shen et al., "Modeling and Enhancing Low-quality Retinal Fundus Images", IEEE Trans. Med. Imaging 2021,
    arXiv:2005.05594 (retinal artifacts).
    """

    name = "camera_spots"
    inside = True
    values = (5.0, 10.0, 18.0, 30.0, 45.0)
    span: ClassVar[tuple[float, float]] = (1.0, 45.0)

    def layers(self, rng: np.random.Generator, size: tuple[int, int], amount: Any) -> Sequence[Layer]:
        """Return pale and dark spots."""
        pale, dark = Canvas(size), Canvas(size)
        for _ in range(max(1, round(float(amount) * pale.width * pale.height))):
            radius = float(0.02 * 3 ** rng.random())
            canvas = pale if rng.random() < 0.7 else dark
            canvas.disk(somewhere(rng, canvas), radius, float(rng.uniform(0.45, 0.7)))
        return [
            Layer(dark.alpha(soft=0.009), (0.15, 0.06, 0.04), "absorb"),
            Layer(pale.alpha(soft=0.009), (0.9, 0.8, 0.7)),
        ]
