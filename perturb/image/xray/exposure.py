"""Exposure of a radiograph: too much or too little radiation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from robustness.perturb.image.base import ImagePerturbation
from robustness.perturb.image.fields import seeded, stream
from robustness.perturb.image.pixels import column, stacked
from robustness.registry import PERTURBATIONS
from robustness.types import Case, NotApplicable, Params

if TYPE_CHECKING:
    import torch

# A display from black (air) to white (dense bone) spans this many decades of detected radiation.
DECADES = 2.0
# Quanta per pixel behind air at the exposure of the clean image.
_QUANTA = 20_000.0


class _Exposure(ImagePerturbation):
    """Change the exposure by a number of doublings; the display shows the negative logarithm, bone white.

    With v the pixel, radiation behind the patient is ``10 ** (-2 v)``; k times the exposure shifts v by
    ``-log10(k) / 2``. What leaves the range is lost, as on film or in an export with a fixed window.
    """

    direction: ClassVar[float] = 1.0

    def parameters(self, value: Any, case: Case, rng: np.random.Generator) -> Params | NotApplicable:
        """Return the number of doublings, negative for less exposure, and the seed of the quantum noise."""
        return {"doublings": self.direction * value, "seed": seeded(rng)}

    def change(self, pixels: torch.Tensor, params: Sequence[Params]) -> torch.Tensor:
        """Return the images at another exposure."""
        doublings = column(params, "doublings", pixels)
        shifted = pixels - doublings * math.log10(2) / DECADES
        size = (int(pixels.shape[-2]), int(pixels.shape[-1]))
        noise = stacked([stream(one, self.name).standard_normal(size, dtype=np.float32) for one in params], pixels)
        # Poisson noise of the lost quanta: its variance is what the lower exposure has in excess of the clean one.
        lost = (2.0 ** (-doublings) - 1).clamp(min=0)
        sd = (lost * 10 ** (DECADES * pixels) / _QUANTA).sqrt() / (math.log(10) * DECADES)
        return shifted + sd * noise[:, None]


@PERTURBATIONS.add("exposure_up")
class ExposureUp(_Exposure):
    """Expose a radiograph too much: it darkens and lungs burn out to black.

    Imitates an overexposed film or an export without exposure correction, bone shown white. The value is the number of
    doublings of the exposure.

    Source: Huda and Abrahams, "Radiographic Techniques, Contrast, and Noise in X-Ray Imaging", AJR 2015,
    doi:10.2214/AJR.14.13116.
    """

    name = "exposure_up"
    values = (0.38, 0.58, 0.87, 1.1, 1.7)
    span: ClassVar[tuple[float, float]] = (0.05, 4.0)


@PERTURBATIONS.add("exposure_down")
class ExposureDown(_Exposure):
    """Expose a radiograph too little: it is pale, and quantum mottle appears where the body is dense.

    Imitates an underexposed film or an export without exposure correction, bone shown white; the noise is that of the
    quanta which are missing. The value is the number of halvings of the exposure.

    Source: Huda and Abrahams, "Radiographic Techniques, Contrast, and Noise in X-Ray Imaging", AJR 2015,
    doi:10.2214/AJR.14.13116.
    """

    name = "exposure_down"
    values = (0.49, 0.85, 1.6, 2.5, 4.0)
    span: ClassVar[tuple[float, float]] = (0.05, 4.0)
    direction = -1.0
