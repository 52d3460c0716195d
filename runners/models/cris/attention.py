"""Attention with packed projections, and the sine positions of CRIS."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional


class PackedAttention(nn.Module):
    """Multi-head attention whose projections can be taken one by one; state-dict keys of ``nn.MultiheadAttention``.

    Keys and values of a text can so be computed once and met by the queries of many images.
    """

    def __init__(self, width: int, n_heads: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.n_heads, self.dropout = n_heads, dropout
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj_weight)

    def queries(self, x: torch.Tensor) -> torch.Tensor:
        """Return the projected queries of `x` (B, N, width)."""
        return self._project(x, 0, 1)

    def keys(self, x: torch.Tensor) -> torch.Tensor:
        """Return the projected keys of `x` (B, N, width)."""
        return self._project(x, 1, 2)

    def values(self, x: torch.Tensor) -> torch.Tensor:
        """Return the projected values of `x` (B, N, width)."""
        return self._project(x, 2, 3)

    def queries_and_keys(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return projected queries and keys of the same `x` in one product."""
        return self._project(x, 0, 2).chunk(2, dim=-1)

    def attend(
        self,
        queries: torch.Tensor,
        keys: torch.Tensor,
        values: torch.Tensor,
        *,
        valid: torch.Tensor | None = None,
        causal: bool = False,
    ) -> torch.Tensor:
        """Return the attended values (B, N, width) of projected queries (B, N, width), keys and values (B, L, width).

        Args:
            queries, keys, values: projected.
            valid: bool (B, L), False for keys that must not be seen; every row needs a True.
            causal: position n sees the keys up to n.
        """
        attended = functional.scaled_dot_product_attention(
            split_heads(queries, self.n_heads),
            split_heads(keys, self.n_heads),
            split_heads(values, self.n_heads),
            attn_mask=None if valid is None else valid[:, None, None, :],
            dropout_p=self.dropout if self.training else 0.0,
            is_causal=causal,
        )
        return self.out_proj(attended.transpose(1, 2).flatten(2))

    def _project(self, x: torch.Tensor, first: int, stop: int) -> torch.Tensor:
        width = self.in_proj_weight.shape[1]
        rows = slice(first * width, stop * width)
        return functional.linear(x, self.in_proj_weight[rows], self.in_proj_bias[rows])


def split_heads(x: torch.Tensor, n_heads: int) -> torch.Tensor:
    """Return (B, N, width) as (B, heads, N, width / heads)."""
    return x.reshape(x.shape[0], x.shape[1], n_heads, -1).transpose(1, 2)


def line_positions(length: int, width: int, *, like: torch.Tensor) -> torch.Tensor:
    """Return sine positions (length, width): sine and cosine interleaved, wavelengths from 2 pi to 10000 x 2 pi.

    Args:
        length: number of positions.
        width: even number of channels.
        like: a tensor whose device and type the result takes.
    """
    # The table is made on the CPU in double, so that every device adds the same numbers.
    rates = torch.exp(torch.arange(0, width, 2, dtype=torch.float64) * (-math.log(10000.0) / width))
    angles = torch.arange(length, dtype=torch.float64)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1).to(like.device, like.dtype)


def grid_positions(height: int, width: int, channels: int, *, like: torch.Tensor) -> torch.Tensor:
    """Return (height * width, channels), row by row: the first half of the channels tells the column, the rest the row.

    Args:
        height, width: of the grid.
        channels: a multiple of 4.
        like: a tensor whose device and type the result takes.
    """
    columns = line_positions(width, channels // 2, like=like)[None].expand(height, -1, -1)
    rows = line_positions(height, channels // 2, like=like)[:, None].expand(-1, width, -1)
    return torch.cat([columns, rows], dim=2).flatten(0, 1)
