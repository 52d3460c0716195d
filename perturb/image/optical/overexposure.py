"""Overexposure: the lamp too near, the aperture too wide."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from robustness.perturb.image.base import ImagePerturbation
from robustness.perturb.image.fields import Map, coordinates
from robustness.perturb.image.pixels import column, stacked
from robustness.registry import PERTURBATIONS
from robustness.types import Case, NotApplicable, Params

if TYPE_CHECKING:
    import torch


@PERTURBATIONS.add("overexposure")
class Overexposure(ImagePerturbation):
    """Multiply the light by a lobe around a drawn place until the sensor saturates: ``min(1, x * (1 + gain * lobe))``.

    Imitates an endoscope that comes too near to the mucosa: the lamp's lobe burns out to white, its rim keeps its
    colour. The value is the additional gain in the middle of the lobe.

    Source: Ali et al., Sci. Rep. 2020, doi:10.1038/s41598-020-59413-5 (class "saturation": overexposed regions).
    """

    name = "overexposure"
    values = (0.54, 0.83, 1.4, 2.3, 4.0)
    span: ClassVar[tuple[float, float]] = (0.05, 4.0)

    def parameters(self, value: Any, case: Case, rng: np.random.Generator) -> Params | NotApplicable:
        """Return the gain and the place of the lobe, in shares of height and width."""
        row, column_ = (round(float(rng.uniform(0.3, 0.7)), 4) for _ in range(2))
        return {"gain": value, "row": row, "column": column_}

    def change(self, pixels: torch.Tensor, params: Sequence[Params]) -> torch.Tensor:
        """Return the overexposed images."""
        size = (int(pixels.shape[-2]), int(pixels.shape[-1]))
        lobe = stacked([_lobe(size, one["row"], one["column"]) for one in params], pixels)[:, None]
        light = pixels * (1 + column(params, "gain", pixels) * lobe)
        # What exceeds full scale in one channel spills into the others: burnt-out tissue is white, not red.
        spill = (light - 1).clamp(min=0).amax(1, keepdim=True) * 0.5
        return light + spill


def _lobe(size: tuple[int, int], row: float, column_: float) -> Map:
    rows, columns = coordinates(size)
    side = min(size)
    distance = (rows - row * size[0] / side) ** 2 + (columns - column_ * size[1] / side) ** 2
    return np.asarray(0.12 + 0.88 * np.exp(-distance / (2 * 0.22**2)), dtype=np.float32)
