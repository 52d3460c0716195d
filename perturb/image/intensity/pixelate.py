"""Loss of resolution: images that were small at some point of their way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from robustness.perturb.image.base import ImagePerturbation
from robustness.perturb.image.pixels import per_record
from robustness.registry import PERTURBATIONS
from robustness.types import Case, NotApplicable, Params

if TYPE_CHECKING:
    import torch

_REFERENCE_SIDE = 256


class _Resampled(ImagePerturbation):
    """Shrink to a share of the sides and enlarge again.

    The share is that of an image whose shorter side has 256 pixels or fewer; a larger one shrinks to as many pixels.
    """

    identity = 1.0

    def parameters(self, value: Any, case: Case, rng: np.random.Generator) -> Params | NotApplicable:
        """Return the rows and columns that are left; nothing is drawn."""
        height, width = case.image.shape[:2]
        share = value if value == 1 else value * min(1.0, _REFERENCE_SIDE / min(height, width))
        return {"rows": max(1, round(height * share)), "columns": max(1, round(width * share))}

    def change(self, pixels: torch.Tensor, params: Sequence[Params]) -> torch.Tensor:
        """Return the images after the round trip."""
        return per_record(pixels, params, self._round_trip)

    def _round_trip(self, pixels: torch.Tensor, params: Params) -> torch.Tensor:
        size, small = tuple(pixels.shape[-2:]), (params["rows"], params["columns"])
        return pixels if small == size else self.resampled(pixels, small)

    def resampled(self, pixels: torch.Tensor, small: tuple[int, int]) -> torch.Tensor:
        """Return images (B, C, H, W) after a way through `small` (rows, columns)."""
        raise NotImplementedError(f"{type(self).__name__} must define resampled()")


@PERTURBATIONS.add("pixelate")
class Pixelate(_Resampled):
    """Shrink by area averages and enlarge by repeating pixels: visible blocks.

    Imitates a thumbnail that was enlarged, or a monitor wall of low resolution. Blocks whose sides are no whole numbers
    of pixels fall on uneven places, so similarity falls in waves with the share.

    Source: Hendrycks and Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and Perturbations",
    ICLR 2019, arXiv:1903.12261 (pixelate);
    Di Salvo et al., "MedMNIST-C", 2024, arXiv:2406.17536.
    """

    name = "pixelate"
    values = (0.5, 0.4, 0.33, 0.25, 0.2)
    span: ClassVar[tuple[float, float]] = (0.98, 0.04)
    smooth = False

    def resampled(self, pixels: torch.Tensor, small: tuple[int, int]) -> torch.Tensor:
        """Return the blocky images."""
        from torch.nn.functional import interpolate

        blocks = interpolate(pixels, size=small, mode="area")
        return interpolate(blocks, size=pixels.shape[-2:], mode="nearest-exact")


@PERTURBATIONS.add("resize_round_trip")
class ResizeRoundTrip(_Resampled):
    """Shrink and enlarge by bilinear interpolation with antialiasing: soft, without blocks.

    Imitates an archive, a viewer or a message service that stores a smaller copy, which is resized on import.

    Source: Parmar, Zhang and Zhu, "On Aliased Resizing and Surprising Subtleties in GAN Evaluation", CVPR 2022,
    arXiv:2104.11222 (what resizing does to images and to the networks that see them).
    """

    name = "resize_round_trip"
    values = (0.95, 0.7417, 0.441, 0.297, 0.164)
    span: ClassVar[tuple[float, float]] = (0.95, 0.04)

    def resampled(self, pixels: torch.Tensor, small: tuple[int, int]) -> torch.Tensor:
        """Return the softened images."""
        from torch.nn.functional import interpolate

        shrunk = interpolate(pixels, size=small, mode="bilinear", antialias=True)
        return interpolate(shrunk, size=pixels.shape[-2:], mode="bilinear", antialias=True)
