"""Effects of radiation besides the shadow it casts: scatter, grid lines, beam hardening, focal-spot blur."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from robustness.perturb.image.base import ImagePerturbation
from robustness.perturb.image.fields import wide_blur
from robustness.perturb.image.pixels import column, detail_scale, stacked
from robustness.perturb.image.xray.exposure import DECADES
from robustness.registry import PERTURBATIONS
from robustness.types import Case, NotApplicable, Params

if TYPE_CHECKING:
    import torch


@PERTURBATIONS.add("scatter")
class Scatter(ImagePerturbation):
    """Add radiation that was scattered in the body: a smooth veil that takes contrast.

    With radiation ``I = 10 ** (-2 v)`` behind the patient, scatter adds a wide blur of it:
    ``I' = (I + value * blur(I)) / (1 + value)``. The value is the ratio of scattered to primary radiation; without a
    grid a chest has 1 to 5.

    Source: Boone and Seibert, "An analytical model of the scattered radiation distribution in diagnostic radiology",
    Med. Phys. 1988, doi:10.1118/1.596186.
    """

    name = "scatter"
    values = (0.2, 0.4, 0.8, 1.7, 4.0)
    span: ClassVar[tuple[float, float]] = (0.01, 4.0)
    keys: ClassVar[tuple[str, ...]] = ("scatter_to_primary",)

    def change(self, pixels: torch.Tensor, params: Sequence[Params]) -> torch.Tensor:
        """Return the images with scatter; an image without any passes through unchanged."""
        ratio = column(params, "scatter_to_primary", pixels)
        primary = 10 ** (-DECADES * pixels)
        total = (primary + ratio * wide_blur(primary, 0.12)) / (1 + ratio)
        return (-total.log10() / DECADES).where(ratio > 0, pixels)


@PERTURBATIONS.add("grid_lines")
class GridLines(ImagePerturbation):
    """Add the fine parallel lines of an anti-scatter grid that beats with the detector's pixels.

    Imitates a stationary or decentred grid: a sinusoid over rows or columns with a period of a few pixels and a slow
    cut-off to one side. The value is its amplitude (of a range of 1).

    Source: Lin et al., "A Study of Grid Artifacts Formation and Elimination in Computed Radiographic Images",
    J. Digit. Imaging 2006, doi:10.1007/s10278-006-0630-8.
    """

    name = "grid_lines"
    values = (0.012, 0.018, 0.028, 0.038, 0.054)
    span: ClassVar[tuple[float, float]] = (0.002, 0.2)

    def parameters(self, value: Any, case: Case, rng: np.random.Generator) -> Params | NotApplicable:
        """Return the amplitude, the period in pixels, the phase, the axis, and the side that the grid cuts off."""
        period = float(rng.uniform(3.2, 5.5)) * max(1.0, detail_scale(case))
        return {
            "amplitude": value,
            "period": round(period, 4),
            "phase": round(float(rng.uniform(0, 2 * math.pi)), 4),
            "vertical": bool(rng.random() < 0.7),
            "cut_off": int(rng.choice((-1, 1))),
        }

    def change(self, pixels: torch.Tensor, params: Sequence[Params]) -> torch.Tensor:
        """Return the images with grid lines."""
        size = (int(pixels.shape[-2]), int(pixels.shape[-1]))
        lines = stacked([_lines(size, one) for one in params], pixels)[:, None]
        return pixels + column(params, "amplitude", pixels) * lines


def _lines(size: tuple[int, int], one: Params) -> np.ndarray:
    length = size[1] if one["vertical"] else size[0]
    position = np.arange(length)
    wave = np.sin(2 * np.pi * position / one["period"] + one["phase"])
    wave = wave + 0.6 * one["cut_off"] * (position / max(length - 1, 1) - 0.5)
    return np.broadcast_to(wave[None, :] if one["vertical"] else wave[:, None], size)


@PERTURBATIONS.add("beam_hardening")
class BeamHardening(ImagePerturbation):
    """Darken where much dense matter lies around: ``v * (1 - value * density)``.

    Imitates a polychromatic beam that loses its soft part: what lies behind or between dense parts appears less dense
    than it is (cupping of a skull in CT, flattened bone in a radiograph). Density is a wide blur of the image, scaled
    to a maximum of 1. The value is the share that is lost at the densest place.

    Source: Brooks and Di Chiro, "Beam hardening in x-ray reconstructive tomography", Phys. Med. Biol. 1976,
    doi:10.1088/0031-9155/21/3/004; Barrett and Keat, "Artifacts in CT: recognition and avoidance", Radiographics 2004,
    doi:10.1148/rg.246045065.
    """

    name = "beam_hardening"
    values = (0.3, 0.43, 0.58, 0.71, 0.85)
    span: ClassVar[tuple[float, float]] = (0.03, 0.85)
    keys: ClassVar[tuple[str, ...]] = ("loss",)

    def change(self, pixels: torch.Tensor, params: Sequence[Params]) -> torch.Tensor:
        """Return the cupped images."""
        density = wide_blur(pixels, 0.12)
        density = density / density.amax((1, 2, 3), keepdim=True).clamp(min=1e-6)
        return pixels * (1 - column(params, "loss", pixels) * density)


@PERTURBATIONS.add("xray_blur")
class XrayBlur(ImagePerturbation):
    """Blur as a focal spot and a screen do: a line spreads as a two-sided exponential.

    The modulation transfer is ``1 / (1 + (2 pi f L) ** 2)``, whose tails are longer than those of a Gaussian, so fine
    detail loses contrast before edges lose their place. The value is L in pixels of an image with a shorter side of
    256.

    Source: Boone and Seibert, "An analytical edge spread function model for computer fitting and subsequent calculation
    of the LSF and MTF", Med. Phys. 1994, doi:10.1118/1.597264.
    """

    name = "xray_blur"
    values = (0.7, 1.4, 2.5, 4.2, 7.0)
    span: ClassVar[tuple[float, float]] = (0.2, 7.0)
    lengths: ClassVar[bool] = True

    def parameters(self, value: Any, case: Case, rng: np.random.Generator) -> Params | NotApplicable:
        """Return the decay length of the line spread in pixels of this image; nothing is drawn."""
        return {"decay": value * detail_scale(case)}

    def change(self, pixels: torch.Tensor, params: Sequence[Params]) -> torch.Tensor:
        """Return the blurred images."""
        import torch
        from torch.nn.functional import pad

        decay = column(params, "decay", pixels)
        margin = min(math.ceil(8 * float(decay.max())) + 1, min(pixels.shape[-2:]) - 1)
        # The Fourier transform wraps around; mirrored borders keep the far side out.
        wide = pad(pixels, (margin, margin, margin, margin), mode="reflect")
        rows = torch.fft.fftfreq(wide.shape[-2], device=pixels.device).view(-1, 1)
        columns = torch.fft.rfftfreq(wide.shape[-1], device=pixels.device).view(1, -1)
        transfer = 1 / (1 + (2 * math.pi * decay) ** 2 * (rows**2 + columns**2))
        blurred = torch.fft.irfft2(torch.fft.rfft2(wide) * transfer, s=wide.shape[-2:])
        return blurred[..., margin:-margin, margin:-margin].where(decay > 0, pixels)
