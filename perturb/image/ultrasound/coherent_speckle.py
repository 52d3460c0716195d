"""Speckle of coherent imaging: ultrasound and optical coherence tomography."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from robustness.perturb.image.base import ImagePerturbation
from robustness.perturb.image.fields import Map, seeded, stream
from robustness.perturb.image.pixels import column, detail_scale, stacked
from robustness.registry import PERTURBATIONS
from robustness.types import Case, NotApplicable, Params

if TYPE_CHECKING:
    import torch


class _CoherentSpeckle(ImagePerturbation):
    """Multiply by ``1 + value * (A - 1)``, A the envelope of a complex normal field with mean 1.

    The envelope of many scatterers with random phases is Rayleigh distributed (standard deviation 0.52 of the mean) and
    correlated over one resolution cell. A value of 1 is fully developed speckle.

    Class attributes:
        cell: standard deviations of the resolution cell along rows (depth) and columns, in pixels of an image with a
            shorter side of 256.
    """

    cell: ClassVar[tuple[float, float]] = (0.8, 1.6)

    def parameters(self, value: Any, case: Case, rng: np.random.Generator) -> Params | NotApplicable:
        """Return how far the speckle is developed, the size of its grains in pixels, and the seed of the field."""
        scale = detail_scale(case)
        return {"developed": value, "cell": [round(one * scale, 4) for one in self.cell], "seed": seeded(rng)}

    def change(self, pixels: torch.Tensor, params: Sequence[Params]) -> torch.Tensor:
        """Return the speckled images."""
        size = (int(pixels.shape[-2]), int(pixels.shape[-1]))
        envelopes = [rayleigh(stream(one, self.name), size, (one["cell"][0], one["cell"][1])) for one in params]
        return pixels * (1 + column(params, "developed", pixels) * (stacked(envelopes, pixels)[:, None] - 1))


def rayleigh(rng: np.random.Generator, size: tuple[int, int], cell: tuple[float, float]) -> Map:
    """Return the envelope (H, W), with mean 1, of complex normal noise that is correlated over `cell`."""
    from scipy import ndimage

    real, imaginary = (
        ndimage.gaussian_filter(rng.standard_normal(size, dtype=np.float32), cell, mode="wrap") for _ in range(2)
    )
    envelope = np.hypot(real, imaginary)
    return np.asarray(envelope / envelope.mean(), dtype=np.float32)


@PERTURBATIONS.add("ultrasound_speckle")
class UltrasoundSpeckle(_CoherentSpeckle):
    """Multiply by correlated Rayleigh speckle whose grains are wider than deep.

    Imitates another transducer, frequency or less compounding: a stronger and coarser granular texture that follows
    brightness. The value is the weight of the speckle; 1 is fully developed.

    Source: Burckhardt, "Speckle in Ultrasound B-Mode Scans", IEEE Trans. Sonics Ultrason. 1978,
    doi:10.1109/T-SU.1978.30978; Wagner et al., "Statistics of Speckle in Ultrasound B-Scans", ibid. 1983,
    doi:10.1109/T-SU.1983.31404.
    """

    name = "ultrasound_speckle"
    values = (0.11, 0.16, 0.26, 0.34, 0.5)
    span: ClassVar[tuple[float, float]] = (0.02, 1.5)


@PERTURBATIONS.add("oct_speckle")
class OctSpeckle(_CoherentSpeckle):
    """Multiply by correlated Rayleigh speckle with fine grains.

    Imitates optical coherence tomography with less averaging of B-scans. The value is the weight of the speckle; 1 is
    the speckle of a single scan.

    Source: Schmitt, Xiang and Yung, "Speckle in optical coherence tomography", J. Biomed. Opt. 1999,
    doi:10.1117/1.429925.
    """

    name = "oct_speckle"
    values = (0.16, 0.25, 0.37, 0.52, 0.72)
    span: ClassVar[tuple[float, float]] = (0.02, 1.5)
    cell = (0.6, 0.9)
