"""CRIS's transformer decoder: pixels ask the words of the prompt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import nn

from robustness.runners.models.cris.attention import PackedAttention, grid_positions, line_positions


class Words(NamedTuple):
    """Projected keys and values (B, L, width) of a text in one decoder layer."""

    keys: torch.Tensor
    values: torch.Tensor


class DecoderLayer(nn.Module):
    """Self-attention of pixels, cross-attention to words, a feed-forward net; pre-norm, each result normalised again.

    Args:
        width: channels of pixels and words.
        n_heads: attention heads.
        hidden: channels inside the feed-forward net.
        dropout: share of attention weights and results that training drops.
    """

    def __init__(self, width: int, n_heads: int, hidden: int, *, dropout: float) -> None:
        super().__init__()
        self.self_attn_norm = nn.LayerNorm(width)
        self.cross_attn_norm = nn.LayerNorm(width)
        self.self_attn = PackedAttention(width, n_heads, dropout=dropout)
        self.multihead_attn = PackedAttention(width, n_heads, dropout=dropout)
        self.ffn = nn.Sequential(
            nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(dropout), nn.LayerNorm(hidden), nn.Linear(hidden, width)
        )
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.norm3 = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def encode_words(self, tokens: torch.Tensor, positions: torch.Tensor) -> Words:
        """Return keys (with positions) and values (without) of tokens (B, L, width)."""
        return Words(self.multihead_attn.keys(tokens + positions), self.multihead_attn.values(tokens))

    def forward(self, pixels: torch.Tensor, positions: torch.Tensor, words: Words, valid: torch.Tensor) -> torch.Tensor:
        """Return pixels (B, N, width) after looking at each other and at the valid words."""
        y = self.norm1(pixels)
        queries, keys = self.self_attn.queries_and_keys(y + positions)
        y = self.self_attn.attend(queries, keys, self.self_attn.values(y))
        pixels = pixels + self.dropout(self.self_attn_norm(y))
        queries = self.multihead_attn.queries(self.norm2(pixels) + positions)
        y = self.multihead_attn.attend(queries, words.keys, words.values, valid=valid)
        pixels = pixels + self.dropout(self.cross_attn_norm(y))
        return pixels + self.dropout(self.ffn(self.norm3(pixels)))


class Decoder(nn.Module):
    """`n_layers` layers and a last norm, on maps."""

    def __init__(self, n_layers: int, width: int, n_heads: int, hidden: int, *, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(DecoderLayer(width, n_heads, hidden, dropout=dropout) for _ in range(n_layers))
        self.norm = nn.LayerNorm(width)

    def encode_text(self, tokens: torch.Tensor) -> list[Words]:
        """Return keys and values of tokens (B, L, width) for each layer."""
        positions = line_positions(tokens.shape[1], tokens.shape[2], like=tokens)
        return [layer.encode_words(tokens, positions) for layer in self.layers]  # type: ignore[operator]

    def forward(self, image: torch.Tensor, words: Sequence[Words], valid: torch.Tensor) -> torch.Tensor:
        """Return the map (B, width, h, w) after all layers; `valid` (B, L) is False for padding."""
        height, width = image.shape[2:]
        pixels = image.flatten(2).transpose(1, 2)
        positions = grid_positions(height, width, image.shape[1], like=pixels)
        for layer, layer_words in zip(self.layers, words, strict=True):
            pixels = layer(pixels, positions, layer_words, valid)
        return self.norm(pixels).transpose(1, 2).unflatten(2, (height, width))
