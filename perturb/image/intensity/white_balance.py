"""White balance: colour casts and colour temperature."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from robustness.perturb.image.base import ImagePerturbation
from robustness.registry import PERTURBATIONS
from robustness.types import Case, NotApplicable, Params

if TYPE_CHECKING:
    import torch

_LUMINANCE = (0.299, 0.587, 0.114)
# sRGB of a black body between 3,300 K and 11,000 K bends along this line: log gains of red, green and blue per step.
_TEMPERATURE = (1.0, 0.1, -1.0)


class _Gains(ImagePerturbation):
    """Multiply red, green and blue by own gains that keep the brightness of white."""

    colour_only = True
    identity: Any = 0.0

    def change(self, pixels: torch.Tensor, params: Sequence[Params]) -> torch.Tensor:
        """Return the images under another light."""
        gains = pixels.new_tensor([one["gains"] for one in params]) if params else pixels.new_ones((0, 3))
        return pixels * gains[:, : pixels.shape[1], None, None]


@PERTURBATIONS.add("colour_cast")
class ColourCast(_Gains):
    """Tint the image in a drawn hue.

    Imitates a missed white balance of an endoscopy processor, or another lamp: every channel has its own gain,
    ``exp(value * direction)``, normalised so that white keeps its brightness. Not applicable to gray images. The
    value is the largest log gain.

    Source: Afifi and Brown, "What Else Can Fool Deep Learning? Addressing Color Constancy Errors on Deep Neural Network
    Performance", ICCV 2019, arXiv:1912.06960.
    """

    name = "colour_cast"
    values = (0.19, 0.27, 0.39, 0.5, 0.65)
    span: ClassVar[tuple[float, float]] = (0.03, 0.65)

    def parameters(self, value: Any, case: Case, rng: np.random.Generator) -> Params | NotApplicable:
        """Return the gains of red, green and blue for a drawn hue."""
        hue = rng.uniform(0, 2 * math.pi)
        return {"gains": _normalised([value * math.cos(hue + 2 * math.pi * k / 3) for k in range(3)])}


class _Temperature(_Gains):
    direction: ClassVar[float] = 1.0

    def parameters(self, value: Any, case: Case, rng: np.random.Generator) -> Params | NotApplicable:
        """Return the gains of red, green and blue; nothing is drawn."""
        return {"gains": _normalised([self.direction * value * step for step in _TEMPERATURE])}


@PERTURBATIONS.add("colour_temperature_warm")
class ColourTemperatureWarm(_Temperature):
    """Shift the light towards red and yellow, as if daylight balance met incandescent light.

    Imitates photographs and dermoscopy under a lamp of lower colour temperature than the camera assumes: red gains,
    blue loses, white keeps its brightness. Not applicable to gray images. The value is the log gain of red.

    Source: Afifi and Brown, ICCV 2019, arXiv:1912.06960.
    """

    name = "colour_temperature_warm"
    values = (0.16, 0.21, 0.28, 0.36, 0.5)
    span: ClassVar[tuple[float, float]] = (0.03, 0.5)


@PERTURBATIONS.add("colour_temperature_cool")
class ColourTemperatureCool(_Temperature):
    """Shift the light towards blue, as if incandescent balance met daylight or LED light.

    Imitates photographs and dermoscopy under a lamp of higher colour temperature than the camera assumes: blue gains,
    red loses, white keeps its brightness. Not applicable to gray images. The value is the log gain of blue.

    Source: Afifi and Brown, ICCV 2019, arXiv:1912.06960.
    """

    name = "colour_temperature_cool"
    values = (0.15, 0.22, 0.31, 0.39, 0.5)
    span: ClassVar[tuple[float, float]] = (0.03, 0.5)
    direction = -1.0


def _normalised(logs: Sequence[float]) -> list[float]:
    gains = [math.exp(one) for one in logs]
    white = sum(gain * weight for gain, weight in zip(gains, _LUMINANCE, strict=True))
    return [round(gain / white, 6) if any(logs) else 1.0 for gain in gains]
