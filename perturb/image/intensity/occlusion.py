"""Occlusion: something covers a part of the image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from robustness.perturb.image.base import ImagePerturbation
from robustness.perturb.image.pixels import per_image
from robustness.registry import PERTURBATIONS
from robustness.types import Case, NotApplicable, Params

if TYPE_CHECKING:
    import torch


@PERTURBATIONS.add("occlusion")
class Occlusion(ImagePerturbation):
    """Cover a rectangle at a drawn place with the image's mean colour (Cutout).

    Imitates a label, an instrument or a patch of dirt. The rectangle has the image's aspect ratio and lies wholly
    inside. It may cover the target: the reference stays, for the target is still there, and a model can only guess it.

    Source: DeVries and Taylor, "Improved Regularization of Convolutional Neural Networks with Cutout", 2017,
    arXiv:1708.04552.
    """

    name = "occlusion"
    values = (0.0493, 0.0944, 0.19, 0.298, 0.478)
    span: ClassVar[tuple[float, float]] = (0.001, 0.6)

    def parameters(self, value: Any, case: Case, rng: np.random.Generator) -> Params | NotApplicable:
        """Return the share of the area, and the place as shares of the room that the rectangle leaves."""
        row, column = rng.random(2)
        return {"share": value, "row": round(float(row), 6), "column": round(float(column), 6)}

    def change(self, pixels: torch.Tensor, params: Sequence[Params]) -> torch.Tensor:
        """Return the covered images."""
        return per_image(pixels, params, _covered)


def _covered(image: torch.Tensor, params: Params) -> torch.Tensor:
    if params["share"] == 0:
        return image
    height, width = image.shape[-2:]
    rows, columns = (max(1, round(length * params["share"] ** 0.5)) for length in (height, width))
    top, left = round((height - rows) * params["row"]), round((width - columns) * params["column"])
    covered = image.clone()
    covered[:, top : top + rows, left : left + columns] = image.mean(dim=(1, 2), keepdim=True)
    return covered
