"""Gain of an ultrasound machine: over all depths, or growing with depth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from robustness.perturb.image.base import ImagePerturbation
from robustness.perturb.image.fields import field_of_view
from robustness.perturb.image.pixels import column
from robustness.registry import PERTURBATIONS
from robustness.types import Params

if TYPE_CHECKING:
    import torch

# Dynamic range of the display in dB: black is this far below white.
_RANGE_DB = 60.0


class _Gain(ImagePerturbation):
    """Add decibels to a log-compressed image: ``x + dB / 60`` for a display range of 60 dB.

    A gain multiplies echoes, and log compression makes the product a sum. Inside the field of view dark places follow
    as well (their noise is amplified); what lies outside stays black.

    Class attributes:
        direction: 1 brightens, -1 darkens.
        with_depth: whether the change grows from nothing at the transducer (top row) to the value at the bottom.
    """

    keys: ClassVar[tuple[str, ...]] = ("decibels",)
    direction: ClassVar[float] = 1.0
    with_depth: ClassVar[bool] = False

    def change(self, pixels: torch.Tensor, params: Sequence[Params]) -> torch.Tensor:
        """Return the images with another gain."""
        import torch

        change = self.direction * column(params, "decibels", pixels) / _RANGE_DB
        if self.with_depth:
            change = change * torch.linspace(0, 1, pixels.shape[-2], device=pixels.device).view(1, 1, -1, 1)
        return pixels + change * field_of_view(pixels)


@PERTURBATIONS.add("gain_up")
class GainUp(_Gain):
    """Raise the gain of all depths.

    Imitates a receiver gain that is set too high: echoes saturate and anechoic regions turn gray. The value is the
    excess in dB on a display of 60 dB.

    Source: Prince and Links, "Medical Imaging Signals and Systems", 2nd ed. 2014, chapter 11 (log compression).
    """

    name = "gain_up"
    values = (8.8, 13.0, 19.0, 24.0, 29.0)
    span: ClassVar[tuple[float, float]] = (0.5, 40.0)


@PERTURBATIONS.add("gain_down")
class GainDown(_Gain):
    """Lower the gain of all depths.

    Imitates a receiver gain that is set too low: weak echoes fall below the display's range and vanish. The value is
    the deficit in dB on a display of 60 dB.

    Source: Prince and Links, "Medical Imaging Signals and Systems", 2nd ed. 2014, chapter 11 (log compression).
    """

    name = "gain_down"
    values = (6.2, 8.3, 12.0, 15.0, 19.0)
    span: ClassVar[tuple[float, float]] = (0.5, 35.0)
    direction = -1.0


@PERTURBATIONS.add("time_gain_up")
class TimeGainUp(_Gain):
    """Compensate attenuation too much: the far field is too bright.

    Imitates time-gain compensation with sliders too far to the right at depth; the change grows linearly in dB from
    the transducer at the top to the value at the bottom.

    Source: Hughes and Duck, "Automatic attenuation compensation for ultrasonic imaging", Ultrasound Med. Biol. 1997,
    doi:10.1016/S0301-5629(97)00002-1.
    """

    name = "time_gain_up"
    values = (16.0, 24.0, 37.0, 44.0, 58.0)
    span: ClassVar[tuple[float, float]] = (1.0, 60.0)
    with_depth = True


@PERTURBATIONS.add("time_gain_down")
class TimeGainDown(_Gain):
    """Compensate attenuation too little: the far field fades to black.

    Imitates time-gain compensation with sliders too far to the left at depth, or tissue that attenuates more than
    expected; the change grows linearly in dB from the transducer at the top to the value at the bottom.

    Source: Hughes and Duck, "Automatic attenuation compensation for ultrasonic imaging", Ultrasound Med. Biol. 1997,
    doi:10.1016/S0301-5629(97)00002-1.
    """

    name = "time_gain_down"
    values = (9.6, 13.0, 20.0, 26.0, 37.0)
    span: ClassVar[tuple[float, float]] = (1.0, 60.0)
    direction = -1.0
    with_depth = True
