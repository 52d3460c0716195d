"""Blood on the mucosa or the lens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from robustness.perturb.image.base import ImagePerturbation
from robustness.perturb.image.fields import Map, ranked, seeded, smooth_noise, smoothstep, stream
from robustness.perturb.image.pixels import stacked
from robustness.registry import PERTURBATIONS
from robustness.types import Case, NotApplicable, Params

if TYPE_CHECKING:
    import torch

# Optical density of a thick smear for red, green and blue: haemoglobin absorbs green and blue about tenfold.
_DENSITY = (0.6, 2.8, 2.6)
# What the smear itself scatters back.
_SCATTERED = (0.13, 0.01, 0.012)


@PERTURBATIONS.add("blood")
class Blood(ImagePerturbation):
    """Cover a share of the image with smears of blood that let red light through and swallow green and blue.

    Imitates bleeding during endoscopy: ``x * exp(-density * thickness)`` per channel (Beer and Lambert) plus a little
    red that the smear scatters itself; thickness falls off towards the rim. On a gray image, which shows brightness
    alone, the smear darkens as much as its luminance says. The value is the share of the image that is covered.

    Source: Ali et al., Sci. Rep. 2020, doi:10.1038/s41598-020-59413-5 (class "blood"); Jacques, "Optical properties of
    biological tissues: a review", Phys. Med. Biol. 2013, doi:10.1088/0031-9155/58/11/R37 (haemoglobin).
    """

    name = "blood"
    values = (0.059, 0.13, 0.28, 0.44, 0.76)
    span: ClassVar[tuple[float, float]] = (0.01, 0.8)

    def parameters(self, value: Any, case: Case, rng: np.random.Generator) -> Params | NotApplicable:
        """Return the share that is covered and the seed of the smears."""
        return {"share": value, "seed": seeded(rng)}

    def change(self, pixels: torch.Tensor, params: Sequence[Params]) -> torch.Tensor:
        """Return the images with blood on them."""
        import torch

        size = (int(pixels.shape[-2]), int(pixels.shape[-1]))
        thick = stacked([_thickness(stream(one, self.name), size, one["share"]) for one in params], pixels)[:, None]
        density = pixels.new_tensor(_DENSITY).view(1, 3, 1, 1)
        back = pixels.new_tensor(_SCATTERED).view(1, 3, 1, 1)
        if pixels.shape[1] == 1:
            weights = pixels.new_tensor((0.299, 0.587, 0.114)).view(1, 3, 1, 1)
            through = (torch.exp(-density * thick) * weights).sum(1, keepdim=True)
            return pixels * through + (back * weights).sum() * (1 - torch.exp(-thick))
        return pixels * torch.exp(-density * thick) + back * (1 - torch.exp(-thick))


def _thickness(rng: np.random.Generator, size: tuple[int, int], share: float) -> Map:
    pools, runs = smooth_noise(rng, size, 2.5), smooth_noise(rng, size, 9)
    fine = smooth_noise(rng, size, 24)
    rank = ranked(pools + 0.4 * runs + 0.12 * fine)
    depth = smoothstep(rank, 1 - share, 1 - share + 0.25 * share + 0.01)
    return np.asarray(depth * (0.8 + 0.35 * (rank - 1 + share) / max(share, 1e-6)), dtype=np.float32)
