"""Channel order: red and blue exchanged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from robustness.perturb.image.base import ImagePerturbation
from robustness.registry import PERTURBATIONS
from robustness.types import Params

if TYPE_CHECKING:
    import torch


@PERTURBATIONS.add("channel_swap")
class ChannelSwap(ImagePerturbation):
    """Exchange the red and the blue channel.

    Imitates an image read as BGR (OpenCV's order) by software that takes it for RGB. It has one severity. Not
    applicable to gray images.

    Source: OpenCV documentation of `imread` (decoded channels are stored in the order B G R); Bradski, "The OpenCV
    Library", Dr. Dobb's Journal 2000.
    """

    name = "channel_swap"
    severities = (1,)
    values = (1,)
    identity = 0
    keys: ClassVar[tuple[str, ...]] = ("swapped",)
    colour_only = True

    def change(self, pixels: torch.Tensor, params: Sequence[Params]) -> torch.Tensor:
        """Return the images with red and blue exchanged."""
        swapped = pixels.flip(1)
        swap = swapped.new_tensor([one["swapped"] for one in params]).view(-1, 1, 1, 1) > 0
        return swapped.where(swap, pixels)
