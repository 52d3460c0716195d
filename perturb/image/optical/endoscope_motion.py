"""Motion of the endoscope while the image is read: combs of interlaced video, fringes of sequential colour."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from robustness.perturb.image.base import ImagePerturbation
from robustness.perturb.image.pixels import detail_scale
from robustness.registry import PERTURBATIONS
from robustness.types import Case, NotApplicable, Params

if TYPE_CHECKING:
    import torch

_STEPS = 9


@PERTURBATIONS.add("interlacing")
class Interlacing(ImagePerturbation):
    """Shift every second row sideways: the two fields of one frame were taken at two moments.

    Imitates interlaced video of an endoscope in motion: edges turn into combs. The value is the motion between the two
    fields in pixels of an image with a shorter side of 256; the fields move half of it each way, so the mask stays
    where the structure is on average.

    Source: Kage et al., "A comparison of basic deinterlacing approaches for a computer assisted diagnosis approach of
    videoscope images", SPIE Medical Imaging 2010.
    """

    name = "interlacing"
    values = (2.7, 4.2, 7.5, 11.0, 21.0)
    span: ClassVar[tuple[float, float]] = (0.3, 24.0)
    lengths: ClassVar[bool] = True

    def parameters(self, value: Any, case: Case, rng: np.random.Generator) -> Params | NotApplicable:
        """Return the shift between the fields in pixels and which of them leads."""
        return {"shift": value * detail_scale(case), "lead": int(rng.integers(2))}

    def change(self, pixels: torch.Tensor, params: Sequence[Params]) -> torch.Tensor:
        """Return the combed images."""
        out = pixels.clone()
        for number, one in enumerate(params):
            if one["shift"] == 0:
                continue
            for field in (0, 1):
                half = one["shift"] / 2 * (1 if field == one["lead"] else -1)
                out[number, :, field::2] = shifted(pixels[number], 0.0, half)[:, field::2]
        return out


@PERTURBATIONS.add("endoscope_motion")
class EndoscopeMotion(ImagePerturbation):
    """Blur along a drawn direction and pull red and blue apart along it.

    Imitates a fast endoscope with sequential colour: each colour is exposed in turn while the tip moves, so every
    colour is smeared and the three lie side by side as coloured fringes. Green stays in the middle, where the mask is.
    A gray image is smeared alone. The value is the motion during one exposure in pixels of an image with a shorter
    side of 256; the three exposures follow each other without a gap.

    Source: Dahyot et al., "Improving the Quality of Color Colonoscopy Videos", EURASIP J. Image Video Process. 2008,
    doi:10.1155/2008/139429.
    """

    name = "endoscope_motion"
    values = (1.3, 2.6, 5.0, 9.0, 14.0)
    span: ClassVar[tuple[float, float]] = (0.3, 14.0)
    lengths: ClassVar[bool] = True

    def parameters(self, value: Any, case: Case, rng: np.random.Generator) -> Params | NotApplicable:
        """Return the length of the motion in pixels and its direction in radians."""
        return {"length": value * detail_scale(case), "angle": round(float(rng.uniform(0, 2 * math.pi)), 4)}

    def change(self, pixels: torch.Tensor, params: Sequence[Params]) -> torch.Tensor:
        """Return the smeared images with their colours apart."""
        out = pixels.clone()
        for number, one in enumerate(params):
            if one["length"] == 0:
                continue
            for channel in range(pixels.shape[1]):
                offset = channel - 1 if pixels.shape[1] == 3 else 0
                plane = pixels[number, channel : channel + 1]
                out[number, channel : channel + 1] = _smeared(plane, one["length"], one["angle"], offset)
        return out


def _smeared(plane: torch.Tensor, length: float, angle: float, offset: int) -> torch.Tensor:
    steps = [length * (offset + (k + 0.5) / _STEPS - 0.5) for k in range(_STEPS)]
    moved = [shifted(plane, step * math.sin(angle), step * math.cos(angle)) for step in steps]
    return sum(moved[1:], moved[0]) / _STEPS


def shifted(planes: torch.Tensor, rows: float, columns: float) -> torch.Tensor:
    """Return (C, H, W) moved down and to the right by fractions of pixels, edges extended."""
    for axis, amount in ((-2, rows), (-1, columns)):
        whole = math.floor(amount)
        part = amount - whole
        planes = _rolled(planes, whole, axis) * (1 - part) + _rolled(planes, whole + 1, axis) * part
    return planes


def _rolled(planes: torch.Tensor, steps: int, axis: int) -> torch.Tensor:
    import torch

    length = planes.shape[axis]
    index = (torch.arange(length, device=planes.device) - steps).clamp(0, length - 1)
    return planes.index_select(planes.ndim + axis, index)
