"""CRIS's projector: the sentence becomes a 3x3 kernel that draws the mask."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from robustness.runners.models.cris.neck import conv_layer

_SIDE = 3
_TAPS = _SIDE * _SIDE


class Kernel(NamedTuple):
    """A sentence's kernel, taken through the 1x1 convolution that precedes it.

    Attributes:
        taps: (B, 9, C), the kernel's weights on the channels before the 1x1 convolution.
        shifts: (B, 9), what that convolution's bias adds under each weight.
        bias: (B, 1).
    """

    taps: torch.Tensor
    shifts: torch.Tensor
    bias: torch.Tensor


class Projector(nn.Module):
    """Map to a quarter of the image's side, then one convolution per sample.

    Args:
        state_width: of the sentence's state.
        width: half the channels of the map.
    """

    def __init__(self, state_width: int, width: int) -> None:
        super().__init__()
        self.vis = nn.Sequential(
            nn.Upsample(scale_factor=2, mode="bilinear"),
            conv_layer(2 * width, 2 * width, 3),
            nn.Upsample(scale_factor=2, mode="bilinear"),
            conv_layer(2 * width, width, 3),
            nn.Conv2d(width, width, 1),
        )
        self.txt = nn.Linear(state_width, _TAPS * width + 1)

    def encode_text(self, state: torch.Tensor) -> Kernel:
        """Return the kernel that a sentence's state (B, state_width) asks for.

        The last layer of `vis` is linear and has no neighbours, so it is applied to the kernel, once per sentence,
        instead of to every pixel of every pair.
        """
        numbers = self.txt(state)
        kernel = numbers[:, :-1].unflatten(1, (-1, _TAPS)).transpose(1, 2)
        last: nn.Conv2d = self.vis[4]  # type: ignore[assignment]
        bias = last.bias if last.bias is not None else kernel.new_zeros(kernel.shape[2])
        return Kernel(kernel @ last.weight[:, :, 0, 0], kernel @ bias, numbers[:, -1:])

    def forward(self, image: torch.Tensor, kernel: Kernel) -> torch.Tensor:
        """Return logits (B, 1, 4 h, 4 w) of a map (B, 2 width, h, w)."""
        features = self.vis[:4](image)
        height, width = features.shape[2:]
        # Each tap's response everywhere, then the nine responses shifted onto each other; outside lies zero, which
        # is why the 1x1 convolution's bias must not be summed up before the shift.
        responses = torch.baddbmm(kernel.shifts[:, :, None], kernel.taps, features.flatten(2)).flip(1)
        drawn = functional.fold(responses, (height, width), kernel_size=_SIDE, padding=_SIDE // 2)
        return drawn + kernel.bias[:, :, None, None]
