"""Cataract: a clouded lens before the retina."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from robustness.perturb.image.base import ImagePerturbation
from robustness.perturb.image.fields import field_of_view, low_pass, luminance
from robustness.perturb.image.pixels import detail_scale
from robustness.registry import PERTURBATIONS
from robustness.types import Case, NotApplicable, Params

if TYPE_CHECKING:
    import torch

# What an opaque lens shows: yellowish, for it swallows blue.
_VEIL = (0.78, 0.66, 0.42)
# Blur in pixels of an image with a shorter side of 256 for a lens that lets nothing straight through.
_BLUR = 6.0


@PERTURBATIONS.add("cataract")
class Cataract(ImagePerturbation):
    """Blur the retina and veil it with light that the lens scatters: ``(1 - value) * blur(x) + value * veil``.

    Imitates fundus images through a cataract or vitreous haze: contrast and fine vessels go, a yellowish haze comes,
    blur and veil grow together. What lies outside the round field of view stays black. The value is the share of light
    that is scattered.

    Source: Shen et al., "Modeling and Enhancing Low-quality Retinal Fundus Images", IEEE Trans. Med. Imaging 2021,
    arXiv:2005.05594; Peli and Peli, "Restoration of retinal images obtained through cataracts", IEEE Trans. Med.
    Imaging 1989, doi:10.1109/42.41493.
    """

    name = "cataract"
    values = (0.12, 0.2, 0.33, 0.5, 0.72)
    span: ClassVar[tuple[float, float]] = (0.02, 0.72)

    def parameters(self, value: Any, case: Case, rng: np.random.Generator) -> Params | NotApplicable:
        """Return the scattered share and the blur in pixels of this image; nothing is drawn."""
        return {"scattered": value, "sigma": round(_BLUR * value * detail_scale(case), 4)}

    def change(self, pixels: torch.Tensor, params: Sequence[Params]) -> torch.Tensor:
        """Return the images behind a clouded lens."""
        import torch

        return torch.stack([_clouded(one[None], params[i])[0] for i, one in enumerate(pixels)])


def _clouded(image: torch.Tensor, one: Params) -> torch.Tensor:
    share = one["scattered"]
    if share == 0:
        return image
    veil = image.new_tensor(_VEIL).view(1, 3, 1, 1)
    if image.shape[1] == 1:
        veil = luminance(veil)
    seen = field_of_view(image)
    # The lens scatters the light that it gets, so a dark image has a dark veil.
    bright = (luminance(image) * seen).sum() / seen.sum().clamp(min=1e-6)
    veil = veil * (0.35 + bright).clamp(max=1.0) * seen
    return low_pass(image, one["sigma"]) * (1 - share) + share * veil
