"""Inversion: black and white exchanged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from robustness.perturb.image.base import ImagePerturbation
from robustness.perturb.image.pixels import n_planes
from robustness.registry import PERTURBATIONS
from robustness.types import Case, NotApplicable, Params

if TYPE_CHECKING:
    import torch


@PERTURBATIONS.add("inversion")
class Inversion(ImagePerturbation):
    """Turn a gray image into its negative: ``1 - x``.

    Imitates a DICOM file with photometric interpretation MONOCHROME1 (low values are bright) read as MONOCHROME2, a
    frequent error with radiographs. It has one severity. Not applicable to colour images, which have no such tag.

    Source: DICOM PS3.3 section C.7.6.3.1.2 (Photometric Interpretation).
    """

    name = "inversion"
    severities = (1,)
    values = (1,)
    identity = 0
    keys: ClassVar[tuple[str, ...]] = ("inverted",)

    def parameters(self, value: Any, case: Case, rng: np.random.Generator) -> Params | NotApplicable:
        """Return whether the image is inverted; nothing is drawn."""
        if n_planes(case) == 3:
            return NotApplicable("the image is in colour: only gray images are stored as MONOCHROME1")
        return {"inverted": value}

    def change(self, pixels: torch.Tensor, params: Sequence[Params]) -> torch.Tensor:
        """Return the negatives."""
        invert = pixels.new_tensor([one["inverted"] for one in params]).view(-1, 1, 1, 1) > 0
        return (1 - pixels).where(invert, pixels)
