"""CRIS's neck: three image maps and the sentence become one map of 1/16 of the input's side.

Everything of the image alone, and everything of the text alone, can be computed beforehand: a 1x1 convolution of
concatenated maps is the sum of one convolution for each of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional


class ImageHalf(NamedTuple):
    """What the neck makes of an image alone.

    Attributes:
        f5: (B, fpn_out[2], h / 2, w / 2).
        f4: (B, fpn_out[1], h, w), the image's share of ``f2_cat`` before its batch norm.
        f3: (B, fpn_out[1], h, w), the image's share of ``f3_cat`` before its batch norm.
    """

    f5: torch.Tensor
    f4: torch.Tensor
    f3: torch.Tensor


class Neck(nn.Module):
    """Feature pyramid with the sentence multiplied into its deepest map, and coordinates appended.

    Args:
        fpn_in: channels of the maps at 1/8, 1/16 and 1/32.
        fpn_out: channels that they are brought to.
        state_width: of the sentence's state.
    """

    def __init__(self, fpn_in: Sequence[int], fpn_out: Sequence[int], *, state_width: int) -> None:
        super().__init__()
        low, middle, high = fpn_out
        self.fpn_out = (low, middle, high)
        self.txt_proj = nn.Sequential(nn.Linear(state_width, high, bias=False), nn.BatchNorm1d(high), nn.ReLU())
        self.f1_v_proj = conv_layer(fpn_in[2], high, 1)
        self.norm_layer = nn.Sequential(nn.BatchNorm2d(high), nn.ReLU())
        self.f2_v_proj = conv_layer(fpn_in[1], middle, 3)
        self.f2_cat = conv_layer(middle + high, middle, 1)
        self.f3_v_proj = conv_layer(fpn_in[0], low, 3)
        self.f3_cat = conv_layer(low + middle, middle, 1)
        self.f4_proj5 = conv_layer(high, middle, 3)
        self.f4_proj4 = conv_layer(middle, middle, 3)
        self.f4_proj3 = conv_layer(middle, middle, 3)
        self.aggr = conv_layer(3 * middle, middle, 1)
        self.coordconv = nn.Sequential(_CoordConv(middle), conv_layer(middle, middle, 3))

    def encode_image(self, c3: torch.Tensor, c4: torch.Tensor, c5: torch.Tensor) -> ImageHalf:
        """Return all that the maps at 1/8, 1/16 and 1/32 give without the text."""
        f4 = self.f2_v_proj(c4)
        f3 = functional.avg_pool2d(self.f3_v_proj(c3), 2)
        return ImageHalf(self.f1_v_proj(c5), _share(self.f2_cat[0], f4, first=0), _share(self.f3_cat[0], f3, first=0))

    def encode_text(self, state: torch.Tensor) -> torch.Tensor:
        """Return the factor (B, fpn_out[2]) of the deepest map."""
        return self.txt_proj(state)

    def forward(self, image: ImageHalf, factor: torch.Tensor) -> torch.Tensor:
        """Return the joint map (B, fpn_out[1], h, w)."""
        low, middle, _ = self.fpn_out
        f5 = self.norm_layer(image.f5 * factor[:, :, None, None])
        # A 1x1 convolution and a resize commute; the smaller map goes through the convolution.
        f4 = _rest(self.f2_cat, image.f4 + double(_share(self.f2_cat[0], f5, first=middle)))
        f3 = _rest(self.f3_cat, image.f3 + _share(self.f3_cat[0], f4, first=low))
        maps = (self.f4_proj3(f3), self.f4_proj4(f4), self.f4_proj5(f5))
        near = _share(self.aggr[0], torch.cat(maps[:2], dim=1), first=0)
        far = double(_share(self.aggr[0], maps[2], first=2 * middle))
        return self.coordconv(_rest(self.aggr, near + far))


class _CoordConv(nn.Module):
    """A convolution that also sees the column and the row, each from -1 to 1 between the outermost pixel centres."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = conv_layer(channels + 2, channels, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, _, height, width = x.shape
        columns = torch.linspace(-1, 1, width, device=x.device, dtype=x.dtype).expand(n, 1, height, width)
        rows = torch.linspace(-1, 1, height, device=x.device, dtype=x.dtype)[:, None].expand(n, 1, height, width)
        return self.conv1(torch.cat([x, columns, rows], dim=1))


def conv_layer(in_channels: int, out_channels: int, kernel_size: int) -> nn.Sequential:
    """Return a convolution without bias that keeps the size, a batch norm and a ReLU."""
    convolution = nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out_channels), nn.ReLU())


def double(x: torch.Tensor) -> torch.Tensor:
    """Return a map at twice its sides, bilinearly between pixel centres."""
    return functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def _share(convolution: Any, x: torch.Tensor, *, first: int) -> torch.Tensor:
    """Return what the channels of `x` add to a 1x1 convolution whose input they enter at channel `first`."""
    return functional.conv2d(x, convolution.weight[:, first : first + x.shape[1]])


def _rest(layer: nn.Sequential, summed: torch.Tensor) -> torch.Tensor:
    return layer[2](layer[1](summed))
