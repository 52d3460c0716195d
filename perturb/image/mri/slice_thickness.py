"""Slice thickness: a reformatted image whose slices were thick."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from robustness.perturb.image.base import ImagePerturbation
from robustness.perturb.image.pixels import detail_scale
from robustness.registry import PERTURBATIONS
from robustness.types import Case, NotApplicable, Params

if TYPE_CHECKING:
    import torch


@PERTURBATIONS.add("slice_thickness")
class SliceThickness(ImagePerturbation):
    """Average along one axis over the thickness of a slice and interpolate between slices.

    Imitates a view that was reformatted from thick slices: along the drawn axis detail is lost to partial volume and
    edges become steps that are interpolated, along the other it stays. What a thick slice mixes in from above and below
    an image cannot be known from the image. The value is the thickness in pixels of an image with a shorter side of
    256.

    Source: Billot et al., "SynthSeg: Segmentation of brain MRI scans of any contrast and resolution without
    retraining", Med. Image Anal. 2023, doi:10.1016/j.media.2023.102789.
    """

    name = "slice_thickness"
    values = (2.5, 4.5, 7.5, 11.0, 16.0)
    span: ClassVar[tuple[float, float]] = (1.1, 16.0)
    identity: Any = 1.0

    def parameters(self, value: Any, case: Case, rng: np.random.Generator) -> Params | NotApplicable:
        """Return the number of slices along the drawn axis, and the axis."""
        axis = int(rng.integers(2))
        length = case.image.shape[axis]
        # One pixel is the thickness of the image itself, at any size.
        thickness = 1 + (value - 1) * detail_scale(case)
        return {"slices": max(2, round(length / thickness)), "axis": axis}

    def change(self, pixels: torch.Tensor, params: Sequence[Params]) -> torch.Tensor:
        """Return the images of thick slices."""
        import torch

        return torch.stack([_thick(one, params[i]["slices"], params[i]["axis"]) for i, one in enumerate(pixels)])


def _thick(image: torch.Tensor, slices: int, axis: int) -> torch.Tensor:
    import torch
    from torch.nn.functional import interpolate

    height, width = image.shape[-2:]
    if slices >= (height, width)[axis]:
        return image
    few = (slices, width) if axis == 0 else (height, slices)
    averaged = interpolate(image[None], size=few, mode="area")
    return torch.as_tensor(interpolate(averaged, size=(height, width), mode="bilinear", align_corners=False)[0])
