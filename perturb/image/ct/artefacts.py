"""Artefacts of computed tomography, drawn where reconstruction puts them: streaks, rings, noise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from robustness.perturb.image.base import ImagePerturbation
from robustness.perturb.image.fields import (
    Map,
    coordinates,
    field_of_view,
    luminance,
    seeded,
    smoothstep,
    stream,
    wide_blur,
)
from robustness.perturb.image.pixels import column, detail_scale, stacked
from robustness.registry import PERTURBATIONS
from robustness.types import Case, NotApplicable, Params

if TYPE_CHECKING:
    import torch

_ANGLES = 720


class _Seeded(ImagePerturbation):
    def parameters(self, value: Any, case: Case, rng: np.random.Generator) -> Params | NotApplicable:
        """Return the amount, the size of a detail in pixels, and the seed of the pattern."""
        return {"amount": value, "detail": round(detail_scale(case), 4), "seed": seeded(rng)}


@PERTURBATIONS.add("metal_streaks")
class MetalStreaks(_Seeded):
    """Add two metal implants with the streaks that radiate from them and the dark band between them.

    Imitates beam hardening and photon starvation along rays through metal: rays of one direction are wrong on both
    sides of the implant, so the streaks are even in angle; they fade with distance. The value is the amplitude of the
    streaks beside the metal (of a range of 1).

    Source: De Man et al., "Metal streak artifacts in X-ray computed tomography: a simulation study", IEEE Trans. Nucl.
    Sci. 1999, doi:10.1109/23.775600; Barrett and Keat, Radiographics 2004, doi:10.1148/rg.246045065.
    """

    name = "metal_streaks"
    values = (0.027, 0.051, 0.095, 0.14, 0.25)
    span: ClassVar[tuple[float, float]] = (0.01, 1.2)

    def change(self, pixels: torch.Tensor, params: Sequence[Params]) -> torch.Tensor:
        """Return the images with streaks and metal."""
        size = (int(pixels.shape[-2]), int(pixels.shape[-1]))
        drawn = [_metal(stream(one, self.name), size) for one in params]
        streaks, metal = (stacked([one[k] for one in drawn], pixels)[:, None] for k in range(2))
        amount = column(params, "amount", pixels)
        streaked = (pixels + amount * streaks).clamp(0, 1)
        return streaked + (1 - streaked) * metal * (amount > 0)


def _metal(rng: np.random.Generator, size: tuple[int, int]) -> tuple[Map, Map]:
    """Return the streaks for an amplitude of 1 and the coverage by metal, both (H, W)."""
    rows, columns = coordinates(size)
    middle = np.array([rows.max() / 2, columns.max() / 2])
    turn, apart = rng.uniform(-0.5, 0.5), rng.uniform(0.13, 0.2)
    step = apart * np.array([np.sin(turn), np.cos(turn)])
    shift = rng.uniform(-0.1, 0.1, 2)
    streaks, metal = np.zeros(size, np.float32), np.zeros(size, np.float32)
    for position in (middle + shift - step, middle + shift + step):
        away, radius = np.hypot(rows - position[0], columns - position[1]), rng.uniform(0.018, 0.03)
        angle = np.arctan2(rows - position[0], columns - position[1]) % np.pi
        streaks += _even(rng, angle) / (1 + away / 0.12)
        metal = np.maximum(metal, 1 - smoothstep(away, radius - 0.006, radius + 0.006))
    along = ((rows - middle[0] - shift[0]) * step[0] + (columns - middle[1] - shift[1]) * step[1]) / apart
    across = ((rows - middle[0] - shift[0]) * step[1] - (columns - middle[1] - shift[1]) * step[0]) / apart
    streaks -= 1.2 * np.exp(-((across / 0.045) ** 2)) * np.exp(-((along / 0.35) ** 4))
    return np.asarray(streaks, np.float32), np.asarray(metal, np.float32)


def _even(rng: np.random.Generator, angle: Map) -> Map:
    """Return streaks over angles in [0, pi): sharp lobes of either sign, a few of them strong."""
    from scipy import ndimage

    lobes = rng.standard_normal(_ANGLES) * (rng.random(_ANGLES) < 0.12) * 3 + 0.3 * rng.standard_normal(_ANGLES)
    lobes = ndimage.gaussian_filter1d(lobes, 1.2, mode="wrap")
    return np.asarray(np.interp(angle / np.pi * _ANGLES, np.arange(_ANGLES), lobes, period=_ANGLES))


@PERTURBATIONS.add("ring_artifact")
class RingArtifact(_Seeded):
    """Add concentric rings around the centre of rotation.

    Imitates detector elements with a wrong gain: each writes a circle about the isocentre, which is taken as the middle
    of the image; rings are stronger towards the centre. The value is the standard deviation of the rings at a
    quarter of the shorter side (of a range of 1).

    Source: Barrett and Keat, Radiographics 2004, doi:10.1148/rg.246045065; Sijbers and Postnov, "Reduction of ring
    artefacts in high resolution micro-CT reconstructions", Phys. Med. Biol. 2004, doi:10.1088/0031-9155/49/14/N06.
    """

    name = "ring_artifact"
    values = (0.016, 0.026, 0.045, 0.067, 0.12)
    span: ClassVar[tuple[float, float]] = (0.003, 0.3)

    def change(self, pixels: torch.Tensor, params: Sequence[Params]) -> torch.Tensor:
        """Return the images with rings."""
        size = (int(pixels.shape[-2]), int(pixels.shape[-1]))
        rings = stacked([_rings(stream(one, self.name), size, one["detail"]) for one in params], pixels)[:, None]
        # Detector errors scale with the signal behind the body; around it the reconstruction is cut to air.
        return pixels + column(params, "amount", pixels) * rings * (0.25 + pixels).clamp(max=1)


def _rings(rng: np.random.Generator, size: tuple[int, int], detail: float) -> Map:
    rows, columns = coordinates(size)
    side = min(size)
    away = np.hypot(rows - size[0] / side / 2, columns - size[1] / side / 2)
    width = 1.5 * detail / side
    values = rng.standard_normal(int(2.0 * max(size) / side / width) + 2)
    values = values * np.where(rng.random(values.size) < 0.15, 2.2, 0.6)
    return np.asarray(np.interp(away / width, np.arange(values.size), values) * 1.25 / (0.25 + away) * 0.5, np.float32)


@PERTURBATIONS.add("photon_starvation")
class PhotonStarvation(_Seeded):
    """Add noise in horizontal streaks where a row holds much dense matter.

    Imitates rays that lose nearly all photons in the wide direction of shoulders, hips or skull base: their noise is
    smeared along them. Its standard deviation grows with the square of the row's mean density; the value is the one in
    the densest row (of a range of 1).

    Source: Barrett and Keat, Radiographics 2004, doi:10.1148/rg.246045065; Hsieh, "Adaptive streak artifact reduction
    in computed tomography resulting from excessive x-ray photon noise", Med. Phys. 1998, doi:10.1118/1.598410.
    """

    name = "photon_starvation"
    values = (0.032, 0.047, 0.081, 0.12, 0.21)
    span: ClassVar[tuple[float, float]] = (0.003, 0.5)

    def change(self, pixels: torch.Tensor, params: Sequence[Params]) -> torch.Tensor:
        """Return the streaked images."""
        size = (int(pixels.shape[-2]), int(pixels.shape[-1]))
        noise = stacked([_streaked(stream(one, self.name), size, one["detail"]) for one in params], pixels)[:, None]
        load = luminance(pixels).mean(-1, keepdim=True)
        load = (load / load.amax(-2, keepdim=True).clamp(min=1e-6)) ** 2
        # Streaks leave the body, but the air around it takes little of them up.
        position = 0.35 + 0.65 * field_of_view(pixels)
        return pixels + column(params, "amount", pixels) * noise * load * position


def _streaked(rng: np.random.Generator, size: tuple[int, int], detail: float) -> Map:
    from scipy import ndimage

    white = rng.standard_normal(size, dtype=np.float32)
    noise = ndimage.gaussian_filter(white, (0.5 * detail, 0.12 * size[1]), mode="nearest")
    noise += 0.4 * ndimage.gaussian_filter(white, (0.4 * detail, 0.02 * size[1]), mode="nearest")
    return np.asarray(noise / max(float(noise.std()), 1e-6), dtype=np.float32)


@PERTURBATIONS.add("low_dose_noise")
class LowDoseNoise(_Seeded):
    """Add the coloured noise of filtered back-projection, stronger inside a large body.

    Imitates a scan at a lower tube current: its power spectrum rises with frequency and falls again before the limit
    (ramp filter times kernel), so the noise is grainy and has no slow part; deep inside the body, where fewer photons
    pass, it is stronger. The value is its standard deviation at the densest place (of a range of 1).

    Source: Riederer, Pelc and Chesler, "The noise power spectrum in computed X-ray tomography", Phys. Med. Biol. 1978,
    doi:10.1088/0031-9155/23/3/008; Yu et al., "Development and validation of a practical lower-dose-simulation tool for
    optimizing computed tomography scan protocols", J. Comput. Assist. Tomogr. 2012, doi:10.1097/RCT.0b013e318258e891.
    """

    name = "low_dose_noise"
    values = (0.012, 0.017, 0.029, 0.042, 0.072)
    span: ClassVar[tuple[float, float]] = (0.003, 0.3)

    def change(self, pixels: torch.Tensor, params: Sequence[Params]) -> torch.Tensor:
        """Return the noisy images."""
        size = (int(pixels.shape[-2]), int(pixels.shape[-1]))
        noise = stacked([ramp_noise(stream(one, self.name), size, one["detail"]) for one in params], pixels)[:, None]
        load = wide_blur(luminance(pixels), 0.15)
        load = load / load.amax((1, 2, 3), keepdim=True).clamp(min=1e-6)
        return pixels + column(params, "amount", pixels) * noise * (0.2 + 0.8 * load)


def ramp_noise(rng: np.random.Generator, size: tuple[int, int], detail: float) -> Map:
    """Return noise (H, W) of standard deviation 1 with power proportional to ``f * exp(-(f / f0) ** 2)``.

    f0 is a quarter of the sampling frequency for a `detail` of one pixel, lower for larger details.
    """
    white = np.fft.rfft2(rng.standard_normal(size))
    frequency = np.hypot(np.fft.fftfreq(size[0])[:, None], np.fft.rfftfreq(size[1])[None, :])
    shaped = np.fft.irfft2(white * np.sqrt(frequency * np.exp(-((frequency * 4 * max(detail, 0.75)) ** 2))), s=size)
    return np.asarray(shaped / max(float(shaped.std()), 1e-9), dtype=np.float32)
