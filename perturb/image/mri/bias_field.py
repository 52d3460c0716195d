"""Bias field: the receive coil sees one side better than the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.polynomial import legendre

from robustness.perturb.image.base import ImagePerturbation
from robustness.perturb.image.fields import Map, seeded
from robustness.perturb.image.pixels import column, stacked
from robustness.registry import PERTURBATIONS
from robustness.types import Case, NotApplicable, Params

if TYPE_CHECKING:
    import torch

_DEGREE = 3


@PERTURBATIONS.add("bias_field")
class BiasField(ImagePerturbation):
    """Multiply by a smooth gain field, the exponential of a polynomial of degree 3.

    Imitates the intensity inhomogeneity of surface coils and of high field strengths. The polynomial (Legendre,
    coefficients uniform in [-1, 1]) is the one that MONAI's RandBiasField draws for the seed; it is scaled so that its
    root mean square over the image is the value, in natural log units, and its mean is 0. So a severity means the same
    strength in every image. The display follows the signal: the mean brightness of the image stays.

    Source: Van Leemput et al., "Automated model-based bias field correction of MR images of the brain", IEEE Trans.
    Med. Imaging 1999, doi:10.1109/42.811268; Sudre, Cardoso and Ourselin, Med. Image Anal. 2017,
    doi:10.1016/j.media.2017.04.008; MONAI `RandBiasField`.
    """

    name = "bias_field"
    values = (0.2, 0.35, 0.55, 0.8, 1.2)
    span: ClassVar[tuple[float, float]] = (0.05, 1.2)

    def parameters(self, value: Any, case: Case, rng: np.random.Generator) -> Params | NotApplicable:
        """Return the root mean square of the log gain and the seed of the field."""
        return {"log_gain": value, "seed": seeded(rng)}

    def change(self, pixels: torch.Tensor, params: Sequence[Params]) -> torch.Tensor:
        """Return the images under the coil's gain."""
        size = (int(pixels.shape[-2]), int(pixels.shape[-1]))
        fields = stacked([log_field(one["seed"], size) for one in params], pixels)[:, None]
        gain = (column(params, "log_gain", pixels) * fields).exp()
        # A scanner's display follows the signal: the mean brightness stays.
        mean = (pixels * gain).mean((1, 2, 3), keepdim=True) / pixels.mean((1, 2, 3), keepdim=True).clamp(min=1e-6)
        return pixels * gain / mean.clamp(min=1e-6)


def log_field(seed: int, size: tuple[int, int]) -> Map:
    """Return the polynomial of a seed, (H, W), with mean 0 and root mean square 1.

    Equal to MONAI's bit for bit, without the seconds that its import takes.
    """
    rng = np.random.RandomState(seed)
    # MONAI's first draw decides whether anything is drawn.
    rng.rand()
    coefficients = np.zeros((_DEGREE + 1, _DEGREE + 1))
    lower = np.tril_indices(_DEGREE + 1)
    coefficients[lower] = rng.uniform(-1.0, 1.0, len(lower[0]))
    rows, columns = (np.linspace(-1.0, 1.0, length, dtype=np.float32) for length in size)
    gain = np.exp(legendre.leggrid2d(rows, columns, coefficients))
    # MONAI returns the gain of an image of ones in single precision.
    field = np.log(gain.astype(np.float32).astype(np.float64))
    field -= field.mean()
    return np.asarray(field / max(float(np.sqrt((field**2).mean())), 1e-9), dtype=np.float32)
