"""Stain shift: another laboratory's haematoxylin and eosin."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from robustness.perturb.image.base import ImagePerturbation
from robustness.perturb.image.pixels import column
from robustness.registry import PERTURBATIONS
from robustness.types import Case, NotApplicable, Params

if TYPE_CHECKING:
    import torch

# Optical density of haematoxylin, eosin and what is left (DAB) in red, green and blue.
STAINS = ((0.65, 0.70, 0.29), (0.07, 0.99, 0.11), (0.27, 0.57, 0.78))


@PERTURBATIONS.add("stain_shift")
class StainShift(ImagePerturbation):
    """Take an image apart into stains and put it together with other amounts of haematoxylin and eosin.

    Imitates staining protocols, ages of the dye and scanners of different laboratories. By colour deconvolution with
    Ruifrok and Johnston's vectors the optical density of each pixel becomes concentrations of the stains; haematoxylin
    is multiplied by ``exp(value * cos(t))`` and eosin by ``exp(value * sin(t))`` for a drawn t around 135 or 315
    degrees: one stain gains while the other loses. White stays white. Not applicable to gray images, which show no
    stain.

    Source: Ruifrok and Johnston, "Quantification of histochemical staining by color deconvolution", Anal. Quant. Cytol.
    Histol. 2001, 23:291-299; Tellez et al., "Quantifying the effects of data augmentation and stain color normalization
    in convolutional neural networks for computational pathology", Med. Image Anal. 2019,
    doi:10.1016/j.media.2019.101544.
    """

    name = "stain_shift"
    values = (0.37, 0.55, 0.78, 0.94, 1.2)
    span: ClassVar[tuple[float, float]] = (0.05, 1.2)
    colour_only = True

    def parameters(self, value: Any, case: Case, rng: np.random.Generator) -> Params | NotApplicable:
        """Return the log factors of haematoxylin and eosin."""
        turn = math.pi * (0.75 + rng.integers(2)) + rng.uniform(-0.4, 0.4)
        return {"haematoxylin": round(value * math.cos(turn), 6), "eosin": round(value * math.sin(turn), 6)}

    def change(self, pixels: torch.Tensor, params: Sequence[Params]) -> torch.Tensor:
        """Return the restained images; factors of 1 leave the image as it is."""
        import torch

        stains = torch.tensor(STAINS, dtype=torch.float32, device=pixels.device)
        stains = stains / stains.norm(dim=1, keepdim=True)
        # Half a level keeps black, whose density is infinite, within range.
        density = -((pixels + 0.5 / 255) / (1 + 0.5 / 255)).log()
        amounts = torch.einsum("bchw,cs->bshw", density, torch.linalg.inv(stains))
        logs = [column(params, key, pixels) for key in ("haematoxylin", "eosin")]
        factors = torch.cat([*(log.exp() for log in logs), torch.ones_like(logs[0])], dim=1)
        restained = torch.einsum("bshw,sc->bchw", amounts * factors, stains)
        out = (-restained).exp() * (1 + 0.5 / 255) - 0.5 / 255
        same = (logs[0] == 0) & (logs[1] == 0)
        return pixels.where(same, out)
