"""CRIS's image network: CLIP's modified ResNet, whose attention pool returns a map.

References: Radford et al. 2021 (CLIP); Wang et al. 2022, "CRIS: CLIP-driven referring image segmentation" (CVPR),
doi:10.1109/CVPR52688.2022.01139.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from robustness.runners.models.cris.attention import split_heads

EXPANSION = 4
_HEAD_WIDTH = 64


class Bottleneck(nn.Module):
    """A residual block in which every convolution has stride 1; `stride` is an average-pool after the second one."""

    def __init__(self, in_channels: int, planes: int, *, stride: int = 1) -> None:
        super().__init__()
        out_channels = EXPANSION * planes
        self.conv1 = nn.Conv2d(in_channels, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.pool = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
        self.downsample: nn.Module | None = None
        if stride > 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the block's output (B, 4 planes, H / stride, W / stride)."""
        y = self.bn1(self.conv1(x)).relu()
        y = self.pool(self.bn2(self.conv2(y)).relu())
        y = self.bn3(self.conv3(y))
        shortcut = x if self.downsample is None else self.downsample(self.pool(x))
        return (y + shortcut).relu()


class AttentionMap(nn.Module):
    """CLIP's attention pool over all positions, without the mean token, plus a linear shortcut: a map, not a vector."""

    def __init__(self, grid: int, channels: int, out_channels: int) -> None:
        super().__init__()
        # Row 0 belongs to the mean token of CLIP and stays unused.
        self.positional_embedding = nn.Parameter(torch.randn(grid * grid + 1, channels) / math.sqrt(channels))
        self.k_proj = nn.Linear(channels, channels)
        self.q_proj = nn.Linear(channels, channels)
        self.v_proj = nn.Linear(channels, channels)
        self.c_proj = nn.Linear(channels, out_channels)
        self.connect = nn.Sequential(nn.Conv2d(channels, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels))
        self.n_heads = channels // _HEAD_WIDTH

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (B, out_channels, H, W) of a map (B, channels, H, W)."""
        height, width = x.shape[2:]
        tokens = (x + self._positions(height, width)).flatten(2).transpose(1, 2)
        queries, keys, values = (
            split_heads(project(tokens), self.n_heads) for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        attended = functional.scaled_dot_product_attention(queries, keys, values)
        pooled = self.c_proj(attended.transpose(1, 2).flatten(2))
        return (pooled.transpose(1, 2).unflatten(2, (height, width)) + self.connect(x)).relu()

    def _positions(self, height: int, width: int) -> torch.Tensor:
        grid = math.isqrt(len(self.positional_embedding) - 1)
        table = self.positional_embedding[1:].T.reshape(1, -1, grid, grid)
        return functional.interpolate(table, size=(height, width), mode="bicubic", align_corners=False)


class ImageNet(nn.Module):
    """Three convolutions, four stages, an attention map.

    Args:
        layers: blocks per stage.
        width: channels of the stem's output.
        grid: side of the position table's grid.
        out_channels: of the attention map.
    """

    def __init__(self, *, layers: Sequence[int], width: int, grid: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width // 2, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width // 2)
        self.conv2 = nn.Conv2d(width // 2, width // 2, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width // 2)
        self.conv3 = nn.Conv2d(width // 2, width, 3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)
        self.layer1 = _stage(width, width, layers[0], stride=1)
        self.layer2 = _stage(width * 4, width * 2, layers[1], stride=2)
        self.layer3 = _stage(width * 8, width * 4, layers[2], stride=2)
        self.layer4 = _stage(width * 16, width * 8, layers[3], stride=2)
        self.attnpool = AttentionMap(grid, width * 32, out_channels)

    def forward(self, pixel_values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the maps of stage 2 (1/8 of the input's side), stage 3 (1/16) and the attention map (1/32)."""
        x = self.bn1(self.conv1(pixel_values)).relu()
        x = self.bn2(self.conv2(x)).relu()
        x = self.bn3(self.conv3(x)).relu()
        c3 = self.layer2(self.layer1(functional.avg_pool2d(x, 2)))
        c4 = self.layer3(c3)
        return c3, c4, self.attnpool(self.layer4(c4))


def _stage(in_channels: int, planes: int, n_blocks: int, *, stride: int) -> nn.Sequential:
    first = Bottleneck(in_channels, planes, stride=stride)
    return nn.Sequential(first, *(Bottleneck(EXPANSION * planes, planes) for _ in range(n_blocks - 1)))
