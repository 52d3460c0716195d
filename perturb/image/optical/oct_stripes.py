"""Columns of an OCT scan that are dark: behind vessels, during a blink."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from robustness.perturb.image.base import ImagePerturbation
from robustness.perturb.image.fields import Map, coordinates, seeded, smooth_noise, smoothstep, stream
from robustness.perturb.image.pixels import column, stacked
from robustness.registry import PERTURBATIONS
from robustness.types import Case, NotApplicable, Params

if TYPE_CHECKING:
    import torch


class _Stripes(ImagePerturbation):
    """Take light from columns that cover a share of the image.

    Class attributes:
        depth: share of the light that is lost in a stripe.
        soft: width of a stripe's rim in units of its own width.
        counts: fewest and most stripes.
    """

    depth: ClassVar[float] = 0.8
    soft: ClassVar[float] = 0.5
    counts: ClassVar[tuple[int, int]] = (3, 6)
    below: ClassVar[bool] = False

    def parameters(self, value: Any, case: Case, rng: np.random.Generator) -> Params | NotApplicable:
        """Return the share of the columns and the seed of their places."""
        return {"share": value, "seed": seeded(rng)}

    def change(self, pixels: torch.Tensor, params: Sequence[Params]) -> torch.Tensor:
        """Return the striped images."""
        size = (int(pixels.shape[-2]), int(pixels.shape[-1]))
        shade = stacked([self._shade(stream(one, self.name), size, one["share"]) for one in params], pixels)[:, None]
        return pixels * (1 - self.depth * shade * (column(params, "share", pixels) > 0))

    def _shade(self, rng: np.random.Generator, size: tuple[int, int], share: float) -> Map:
        rows, columns = coordinates(size)
        position = columns / float(columns.max())
        count = int(rng.integers(self.counts[0], self.counts[1] + 1))
        shares, gaps = rng.dirichlet(np.full(count, 6.0)) * share, rng.dirichlet(np.full(count + 1, 2.0)) * (1 - share)
        shade, start = np.zeros(size, np.float32), 0.0
        for width, gap in zip(shares, gaps[:count], strict=True):
            start += gap
            edge = self.soft * width / 2
            across = 1 - smoothstep(np.abs(position - start - width / 2), width / 2 - edge, width / 2 + edge / 2)
            reach = smoothstep(rows, rng.uniform(0.15, 0.35), 0.45) if self.below else np.ones_like(rows)
            shade = np.maximum(shade, across * reach)
            start += width
        texture = 1 + 0.06 * smooth_noise(rng, size, 20)
        return np.asarray(np.clip(shade * texture, 0, 1), dtype=np.float32)


@PERTURBATIONS.add("vessel_shadow")
class VesselShadow(_Stripes):
    """Darken soft columns below the inner retina.

    Imitates the shadows of retinal vessels and haemorrhages in an OCT B-scan: blood absorbs and scatters, so every
    layer below is darker. The value is the share of the columns that lie in shadow.

    Source: Girard et al., "Shadow Removal and Contrast Enhancement in Optical Coherence Tomography Images of the Human
    Optic Nerve Head", Invest. Ophthalmol. Vis. Sci. 2011, doi:10.1167/iovs.10-6925.
    """

    name = "vessel_shadow"
    values = (0.04, 0.1, 0.22, 0.4, 0.6)
    span: ClassVar[tuple[float, float]] = (0.02, 0.6)
    depth = 0.85
    soft = 0.6
    counts = (4, 7)
    below = True


@PERTURBATIONS.add("blink_stripes")
class BlinkStripes(_Stripes):
    """Lose whole columns of the scan.

    Imitates a blink or a saccade during an OCT B-scan: neighbouring A-scans get no light and are nearly black over all
    depths, with sharp borders. The value is the share of the columns that are lost.

    Source: Spaide, Fujimoto and Waheed, "Image Artifacts in Optical Coherence Tomography Angiography", Retina 2015,
    doi:10.1097/IAE.0000000000000765.
    """

    name = "blink_stripes"
    values = (0.039, 0.093, 0.2, 0.31, 0.48)
    span: ClassVar[tuple[float, float]] = (0.02, 0.75)
    depth = 0.93
    soft = 0.06
    counts = (1, 3)
