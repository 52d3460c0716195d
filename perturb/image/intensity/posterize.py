"""Fewer gray levels than the image had."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from robustness.perturb.image.base import ImagePerturbation
from robustness.perturb.image.pixels import column
from robustness.registry import PERTURBATIONS
from robustness.types import Case, NotApplicable, Params

if TYPE_CHECKING:
    import torch


@PERTURBATIONS.add("posterize")
class Posterize(ImagePerturbation):
    """Round each channel to `levels` evenly spaced values from 0 to 1; 0 stands for no rounding.

    Imitates a display or a palette format with few levels.

    Source: Cubuk et al., "AutoAugment", CVPR 2019, arXiv:1805.09501 (posterize); Gonzalez and Woods, "Digital Image
    Processing", section 2.4 (intensity quantization and false contours).
    """

    name = "posterize"
    values = (18, 12, 6, 3, 2)
    identity = 0
    span: ClassVar[tuple[float, float]] = (128.0, 2.0)
    whole_numbers = True

    def parameters(self, value: Any, case: Case, rng: np.random.Generator) -> Params | NotApplicable:
        """Return the number of levels; nothing is drawn."""
        return {"levels": round(value)}

    def change(self, pixels: torch.Tensor, params: Sequence[Params]) -> torch.Tensor:
        """Return the images with few levels."""
        steps = (column(params, "levels", pixels) - 1).clamp(min=1)
        few = (pixels * steps).round() / steps
        return few.where(column(params, "levels", pixels) > 0, pixels)


@PERTURBATIONS.add("requantize")
class Requantize(ImagePerturbation):
    """Keep the upper `bits` of 8 and drop the rest, without rounding; 0 stands for all that the image has.

    Imitates a deep image pushed into 8 bits by a wrong scale, so that part of the range stays unused: the lower bits
    are gone, and all values lie half a step too low. A deep (16-bit) image loses its depth at every severity.

    Source: DICOM PS3.5 section 8.1.1 (Bits Allocated, Bits Stored, High Bit).
    """

    name = "requantize"
    values = (6, 5, 4, 2, 1)
    identity = 0
    span: ClassVar[tuple[float, float]] = (7.0, 1.0)
    whole_numbers = True

    def parameters(self, value: Any, case: Case, rng: np.random.Generator) -> Params | NotApplicable:
        """Return the number of bits; nothing is drawn."""
        return {"bits": round(value)}

    def change(self, pixels: torch.Tensor, params: Sequence[Params]) -> torch.Tensor:
        """Return the images without their lower bits."""
        step = 2 ** (8 - column(params, "bits", pixels))
        quantized = ((pixels * 255).round() / step).floor() * step / 255
        return quantized.where(column(params, "bits", pixels) > 0, pixels)
