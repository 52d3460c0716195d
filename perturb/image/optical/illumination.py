"""Light that does not fall evenly: a tilted condenser, a pupil that vignettes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from robustness.perturb.image.base import ImagePerturbation
from robustness.perturb.image.fields import Map, coordinates, smoothstep
from robustness.perturb.image.pixels import column, stacked
from robustness.registry import PERTURBATIONS
from robustness.types import Case, NotApplicable, Params

if TYPE_CHECKING:
    import torch


class _Illumination(ImagePerturbation):
    """Multiply by ``1 - value * shade``, a smooth shade from 0 to 1 whose direction is drawn."""

    def parameters(self, value: Any, case: Case, rng: np.random.Generator) -> Params | NotApplicable:
        """Return the depth of the shade and its direction in radians."""
        return {"depth": value, "angle": round(float(rng.uniform(0, 2 * math.pi)), 4)}

    def change(self, pixels: torch.Tensor, params: Sequence[Params]) -> torch.Tensor:
        """Return the unevenly lit images."""
        size = (int(pixels.shape[-2]), int(pixels.shape[-1]))
        shades = stacked([self.shade(size, one["angle"]) for one in params], pixels)[:, None]
        return pixels * (1 - column(params, "depth", pixels) * shades)

    def shade(self, size: tuple[int, int], angle: float) -> Map:
        """Return where light is missing, (H, W) in [0, 1]."""
        raise NotImplementedError(f"{type(self).__name__} must define shade()")


@PERTURBATIONS.add("illumination_gradient")
class IlluminationGradient(_Illumination):
    """Let the light fall off from one side of the image to the other.

    Imitates a condenser or lamp that is not centred, or flat-field correction that was forgotten: the gain falls
    linearly along a drawn direction from 1 to ``1 - value``.

    Source: Peng et al., "A BaSiC tool for background and shading correction of optical microscopy images", Nat. Commun.
    2017, doi:10.1038/ncomms14836.
    """

    name = "illumination_gradient"
    values = (0.33, 0.47, 0.64, 0.77, 0.92)
    span: ClassVar[tuple[float, float]] = (0.05, 0.92)

    def shade(self, size: tuple[int, int], angle: float) -> Map:
        """Return a ramp along the angle."""
        rows, columns = coordinates(size)
        ramp = columns * math.cos(angle) + rows * math.sin(angle)
        return np.asarray((ramp - ramp.min()) / max(float(np.ptp(ramp)), 1e-6), dtype=np.float32)


@PERTURBATIONS.add("uneven_illumination")
class UnevenIllumination(_Illumination):
    """Darken a crescent at one side of the image and the rim around it.

    Imitates a fundus camera that is not aligned with the pupil, or a small pupil: light is full around an off-centre
    place and falls off to ``1 - value`` away from it.

    Source: Shen et al., "Modeling and Enhancing Low-quality Retinal Fundus Images", IEEE Trans. Med. Imaging 2021,
    arXiv:2005.05594 (light transmission disturbance); Foracchia, Grisan and Ruggeri, "Luminosity and contrast
    normalization in retinal images", Med. Image Anal. 2005, doi:10.1016/j.media.2004.07.001.
    """

    name = "uneven_illumination"
    values = (0.33, 0.47, 0.65, 0.77, 0.92)
    span: ClassVar[tuple[float, float]] = (0.05, 0.92)

    def shade(self, size: tuple[int, int], angle: float) -> Map:
        """Return the distance from an off-centre place, as a smooth rise."""
        rows, columns = coordinates(size)
        side = min(size)
        row, middle = size[0] / side / 2 + 0.1 * math.sin(angle), size[1] / side / 2 + 0.1 * math.cos(angle)
        away = np.hypot(rows - row, columns - middle)
        return np.asarray(smoothstep(away, 0.05, 0.65), dtype=np.float32)
