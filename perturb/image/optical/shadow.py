"""A shadow over the scene."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from robustness.perturb.image.base import ImagePerturbation
from robustness.perturb.image.fields import Map, coordinates, ranked, seeded, smooth_noise, smoothstep, stream
from robustness.perturb.image.pixels import column, stacked
from robustness.registry import PERTURBATIONS
from robustness.types import Case, NotApplicable, Params

if TYPE_CHECKING:
    import torch

_SHARE = 0.45


@PERTURBATIONS.add("shadow")
class Shadow(ImagePerturbation):
    """Darken one side of the scene behind a soft, curved edge: ``x * (1 - value * shadow)``.

    Imitates the shadow of the photographer, the camera or a limb on skin and wounds. Nearly half of the image lies in
    the shadow; the value is the share of light that it takes away.

    Source: Finlayson et al., "On the Removal of Shadows from Images", IEEE Trans. Pattern Anal. Mach. Intell. 2006,
    doi:10.1109/TPAMI.2006.18.
    """

    name = "shadow"
    values = (0.29, 0.4, 0.56, 0.68, 0.85)
    span: ClassVar[tuple[float, float]] = (0.03, 0.85)

    def parameters(self, value: Any, case: Case, rng: np.random.Generator) -> Params | NotApplicable:
        """Return the depth of the shadow and the seed of its shape."""
        return {"depth": value, "seed": seeded(rng)}

    def change(self, pixels: torch.Tensor, params: Sequence[Params]) -> torch.Tensor:
        """Return the images with a shadow."""
        size = (int(pixels.shape[-2]), int(pixels.shape[-1]))
        shade = stacked([_shade(stream(one, self.name), size) for one in params], pixels)[:, None]
        return pixels * (1 - column(params, "depth", pixels) * shade)


def _shade(rng: np.random.Generator, size: tuple[int, int]) -> Map:
    """Draw a half plane with a wavy, soft edge that covers the same share of every image."""
    rows, columns = coordinates(size)
    turn = rng.uniform(0, 2 * np.pi)
    plane = np.cos(turn) * columns + np.sin(turn) * rows + 0.09 * smooth_noise(rng, size, 2.5)
    rank = ranked(np.asarray(plane, dtype=np.float32))
    return np.asarray(smoothstep(rank, 1 - _SHARE - 0.06, 1 - _SHARE + 0.06), dtype=np.float32)
