"""Specular highlights: the light source mirrored by wet mucosa."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from robustness.perturb.image.base import ImagePerturbation
from robustness.perturb.image.fields import Map, luminance, ranked, seeded, smooth_noise, smoothstep, stream
from robustness.perturb.image.overlay import Canvas, bent, somewhere
from robustness.perturb.image.pixels import column, stacked
from robustness.registry import PERTURBATIONS
from robustness.types import Case, NotApplicable, Params

if TYPE_CHECKING:
    import torch


@PERTURBATIONS.add("specular_highlights")
class SpecularHighlights(ImagePerturbation):
    """Put saturated, sharply bounded white patches where a wet surface mirrors the lamp.

    Imitates the glare of endoscopy: clusters of small, elongated, nearly white spots, denser where the mucosa is
    bright, that hide what lies below. The value is the share of the image that they cover.

    Source: Arnold et al., "Automatic Segmentation and Inpainting of Specular Highlights for Endoscopic Imaging",
    EURASIP J. Image Video Process. 2010, doi:10.1155/2010/814319; Ali et al., Sci. Rep. 2020,
    doi:10.1038/s41598-020-59413-5 (class "specularity").
    """

    name = "specular_highlights"
    values = (0.0096, 0.025, 0.058, 0.099, 0.18)
    span: ClassVar[tuple[float, float]] = (0.002, 0.3)

    def parameters(self, value: Any, case: Case, rng: np.random.Generator) -> Params | NotApplicable:
        """Return the share that is covered and the seed of the spots."""
        return {"share": value, "seed": seeded(rng)}

    def change(self, pixels: torch.Tensor, params: Sequence[Params]) -> torch.Tensor:
        """Return the images with highlights."""
        bright = luminance(pixels).cpu().numpy()[:, 0]
        glare = stacked([self._glare(bright[i], one) for i, one in enumerate(params)], pixels)[:, None]
        glare = glare * (column(params, "share", pixels) > 0)
        white = pixels.new_tensor((1.0, 1.0, 0.97)[-pixels.shape[1] :]).view(1, -1, 1, 1)
        return pixels * (1 - glare) + white * glare

    def _glare(self, bright: Map, params: Params) -> Map:
        rng, size = stream(params, self.name), (bright.shape[0], bright.shape[1])
        texture = _streaks(rng, size)
        where = smooth_noise(rng, size, 2.5)
        # Mucosa mirrors where it faces the lamp, which is where it is bright already.
        rank = ranked(texture + 0.35 * where + 1.2 * bright)
        edge = max(0.004, 0.25 * params["share"])
        return np.asarray(smoothstep(rank, 1 - params["share"] - edge / 2, 1 - params["share"] + edge / 2), np.float32)


def _streaks(rng: np.random.Generator, size: tuple[int, int]) -> Map:
    """Draw a texture whose peaks are elongated along one surface direction."""
    from scipy import ndimage

    canvas = Canvas(size)
    for _ in range(60):
        x, y = somewhere(rng, canvas)
        length, tilt = rng.uniform(0.01, 0.07), rng.normal(0.0, 0.6)
        end = (x + length * np.cos(tilt), y + length * np.sin(tilt))
        middle = ((x + end[0]) / 2, (y + end[1]) / 2 + rng.normal(0, 0.012))
        canvas.line(bent((x, y), middle, end, 8), rng.uniform(0.008, 0.028), rng.uniform(0.5, 1.0))
    spots = canvas.alpha(soft=0.006)
    fine = ndimage.gaussian_filter(rng.standard_normal(size, dtype=np.float32), 0.009 * min(size))
    return np.asarray(3 * spots + 0.5 * fine / max(float(fine.std()), 1e-6), dtype=np.float32)
