"""Noise of magnitude MR images, and the contrast and noise of weaker fields."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from robustness.perturb.image.base import ImagePerturbation
from robustness.perturb.image.fields import luminance, seeded
from robustness.registry import PERTURBATIONS
from robustness.types import Case, NotApplicable, Params

if TYPE_CHECKING:
    import torch

# Noise of the reference scanner (of a range of 1), and how contrast depends on the field.
_REFERENCE_SD = 0.012
_CONTRAST_EXPONENT = 1 / 3


@PERTURBATIONS.add("rician_noise")
class RicianNoise(ImagePerturbation):
    """Add complex normal noise and take the magnitude: ``sqrt((x + n1) ** 2 + n2 ** 2)``.

    Imitates a magnitude MR image with a low signal-to-noise ratio; in air the noise is Rayleigh distributed with a mean
    of 1.25 times the value, so the background is no longer black. The value is the standard deviation of either part
    (of a range of 1). Equal to MONAI's RandRicianNoise bit for bit, without the seconds that its import takes.

    Source: Gudbjartsson and Patz, "The Rician Distribution of Noisy MRI Data", Magn. Reson. Med. 1995,
    doi:10.1002/mrm.1910340618; MONAI `RandRicianNoise`.
    """

    name = "rician_noise"
    values = (0.016, 0.027, 0.042, 0.063, 0.097)
    span: ClassVar[tuple[float, float]] = (0.001, 0.25)

    def parameters(self, value: Any, case: Case, rng: np.random.Generator) -> Params | NotApplicable:
        """Return the standard deviation and the seed of the noise."""
        return {"sd": value, "seed": seeded(rng)}

    def change(self, pixels: torch.Tensor, params: Sequence[Params]) -> torch.Tensor:
        """Return the noisy images."""
        import torch

        return torch.stack([noisy(one, params[i]["sd"], params[i]["seed"]) for i, one in enumerate(pixels)])


def noisy(image: torch.Tensor, sd: float, seed: int) -> torch.Tensor:
    """Return an image (C, H, W) with Rician noise that belongs to the seed."""
    import torch

    if sd == 0:
        return image
    rng = np.random.RandomState(seed)
    # MONAI's first draw decides whether anything is drawn.
    rng.rand()
    real, imaginary = (
        torch.from_numpy(rng.normal(0.0, float(sd), size=image.shape).astype(np.float32)).to(image.device)
        for _ in range(2)
    )
    return ((image + real) ** 2 + imaginary**2).sqrt()


@PERTURBATIONS.add("low_field")
class LowField(ImagePerturbation):
    """Show a T1-weighted image as a scanner of a lower field strength would.

    The signal-to-noise ratio falls in proportion to the field, so Rician noise grows; T1 grows with the cube root of
    the field and differs less between tissues at a low one, so gray and white matter come closer: the image's
    contrast about the mean of its foreground shrinks by ``value ** (-1/3)``. The value is the ratio of the reference
    field to the new one (1.5 T to 0.3 T is 5).

    Source: Bottomley et al., "A review of normal tissue hydrogen NMR relaxation times and relaxation mechanisms from
    1-100 MHz", Med. Phys. 1984, doi:10.1118/1.595535; Marques, Simonis and Webb, "Low-field MRI: An MR physics
    perspective", J. Magn. Reson. Imaging 2019, doi:10.1002/jmri.26637.
    """

    name = "low_field"
    values = (1.6, 2.0, 3.0, 4.0, 5.9)
    span: ClassVar[tuple[float, float]] = (1.02, 20.0)
    identity: Any = 1.0

    def parameters(self, value: Any, case: Case, rng: np.random.Generator) -> Params | NotApplicable:
        """Return the ratio of the fields and the seed of the noise."""
        return {"ratio": value, "seed": seeded(rng)}

    def change(self, pixels: torch.Tensor, params: Sequence[Params]) -> torch.Tensor:
        """Return the images of the weaker scanner."""
        import torch

        return torch.stack([_weaker(one, params[i]) for i, one in enumerate(pixels)])


def _weaker(image: torch.Tensor, one: Params) -> torch.Tensor:
    import torch

    ratio = one["ratio"]
    if ratio == 1:
        return image
    bright = luminance(image[None])[0]
    # Air has no T1: it stays dark, and between air and tissue the change fades in.
    weight = (bright / 0.15).clamp(0, 1)
    mean = (image * weight).sum() / weight.sum().clamp(min=1e-6)
    flat = mean + (image - mean) * ratio**-_CONTRAST_EXPONENT
    # The reference scanner's own noise is in the image already; only what exceeds it is added.
    sd = _REFERENCE_SD * (ratio**2 - 1) ** 0.5
    return torch.as_tensor(noisy(image + weight * (flat - image), sd, one["seed"]))
