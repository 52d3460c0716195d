"""Hue: all colours turn on the colour circle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from robustness.perturb.image.base import ImagePerturbation
from robustness.perturb.image.pixels import stacked
from robustness.registry import PERTURBATIONS
from robustness.types import Case, NotApplicable, Params

if TYPE_CHECKING:
    import torch


# NTSC's transform from RGB to luma and two axes of colour (ITU-R BT.601 luma).
_TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]])


@PERTURBATIONS.add("hue")
class Hue(ImagePerturbation):
    """Turn all colours by an angle at the same luma and saturation, to a drawn side; what leaves the range is clipped.

    Imitates another white balance, light source, dye lot or colour profile, beyond what a cast along one axis does. Not
    applicable to gray images.

    Source: Tellez et al., "Quantifying the effects of data augmentation and stain color normalization in convolutional
    neural networks for computational pathology", Med. Image Anal. 2019, doi:10.1016/j.media.2019.101544.
    """

    name = "hue"
    values = (9.7, 18.6, 40.1, 70.8, 178)
    span: ClassVar[tuple[float, float]] = (1.0, 180.0)
    colour_only = True

    def parameters(self, value: Any, case: Case, rng: np.random.Generator) -> Params | NotApplicable:
        """Return the angle in degrees with the drawn sign."""
        return {"degrees": value if rng.random() < 0.5 else -value}

    def change(self, pixels: torch.Tensor, params: Sequence[Params]) -> torch.Tensor:
        """Return the images with turned colours."""
        turns = stacked([turn(one["degrees"]) - np.eye(3) for one in params], pixels)[..., None, None]
        red, green, blue = pixels[:, None, 0], pixels[:, None, 1], pixels[:, None, 2]
        return pixels + (turns[:, :, 0] * red + turns[:, :, 1] * green + turns[:, :, 2] * blue)


def turn(degrees: float) -> Any:
    """Return the matrix (3, 3) that turns RGB colours about the gray axis."""
    sine, cosine = np.sin(np.radians(degrees)), np.cos(np.radians(degrees))
    rotation = np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])
    return np.linalg.inv(_TO_YIQ) @ rotation @ _TO_YIQ
