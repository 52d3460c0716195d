"""Networks that answer with instances: each is enlarged as its published post-processing does, then their union."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, get_args

import torch
from torch.nn import functional

from robustness.errors import InputError
from robustness.runners.inference.embedding import Tensors
from robustness.runners.inference.segmenter import SplitNetwork
from robustness.types import Probability

# The logit of a pixel that belongs to no instance: a probability of 2e-9, and finite.
NOTHING = -20.0
Enlarge = Literal["instances", "union"]
# Masks at the image's size that are held at once.
_AT_ONCE = 16


class InstanceNetwork(SplitNetwork):
    """A `SplitNetwork` whose logits are the union of instances; subclasses fill `instances` and `enlarged`.

    Attributes:
        enlarge: "instances" (the published order): each instance is enlarged to the image, and the union is taken
            there; "union": the union at the masks' own size is enlarged as probabilities, which is cheaper and, since
            the largest value moves between pixels, another mask for small objects.
    """

    enlarge: Enlarge = "instances"

    def instances(self, image: Tensors, text: Tensors) -> Iterator[torch.Tensor]:
        """Yield, for each pair, the mask logits (N, h, w) of the instances that count; N may be 0."""
        raise NotImplementedError(f"{type(self).__name__} must define instances()")

    def enlarged(self, masks: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """Return probabilities (N, H, W) of mask logits (N, h, w), as the published post-processing enlarges them."""
        raise NotImplementedError(f"{type(self).__name__} must define enlarged()")

    def decode(self, image: Tensors, text: Tensors) -> torch.Tensor:
        """Return logits (B, 1, h, w): at each pixel the largest of the instances; `NOTHING` without any."""
        return torch.stack([_largest(masks, floor=NOTHING) for masks in self.instances(image, text)])

    def maps(self, image: Tensors, text: Tensors, sizes: Sequence[tuple[int, int]]) -> list[Probability]:
        """Return one float32 map (H, W) per pair: the union of its instances, each enlarged by itself.

        A logit that is not finite is NaN in the map.
        """
        maps: list[Probability] = []
        for masks, (height, width) in zip(self.instances(image, text), sizes, strict=True):
            masks = masks.float().masked_fill(~masks.isfinite(), float("nan"))
            union = torch.sigmoid(masks.new_full((1, height, width), NOTHING))
            for start in range(0, len(masks), _AT_ONCE):
                part = self.enlarged(masks[start : start + _AT_ONCE], (height, width))
                union = torch.cat([union, part]).amax(0, keepdim=True)
            maps.append(union[0].cpu().numpy())
        return maps


def check_enlarge(value: object) -> Enlarge:
    """Return `value` where it names an order.

    Raises:
        InputError: it does not.
    """
    if value not in get_args(Enlarge):
        raise InputError(f"enlarge: expected one of {', '.join(get_args(Enlarge))}, got {value!r}")
    return value  # type: ignore[return-value]


def interpolated(masks: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Return masks (N, h, w) resized bilinearly, pixel centres aligned."""
    return functional.interpolate(masks[None], size=size, mode="bilinear", align_corners=False)[0]


def _largest(masks: torch.Tensor, *, floor: float) -> torch.Tensor:
    """Return (1, h, w): the largest of masks (N, h, w), and nowhere less than `floor`."""
    empty = masks.new_full((1, *masks.shape[1:]), floor)
    return torch.cat([empty, masks]).amax(0, keepdim=True)
