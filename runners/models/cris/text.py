"""CRIS's text network: CLIP's causal transformer, of which every token is kept."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import nn

from robustness.runners.models.cris.attention import PackedAttention
from robustness.runners.models.cris.image import ImageNet

_HEAD_WIDTH = 64


class TextFeatures(NamedTuple):
    """What the text network gives.

    Attributes:
        tokens: (B, L, width), normalised but not projected.
        state: (B, embed_dim), the projected token at the first largest id, which is the end token.
    """

    tokens: torch.Tensor
    state: torch.Tensor


class QuickGELU(nn.Module):
    """x * sigmoid(1.702 x), the approximation that CLIP was trained with."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the activation of every element."""
        return x * torch.sigmoid(1.702 * x)


class _Mlp(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.c_fc = nn.Linear(width, 4 * width)
        self.gelu = QuickGELU()
        self.c_proj = nn.Linear(4 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.c_proj(self.gelu(self.c_fc(x)))


class TextBlock(nn.Module):
    """A pre-norm transformer block in which a token sees itself and those before it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.attn = PackedAttention(width, width // _HEAD_WIDTH)
        self.ln_1 = nn.LayerNorm(width)
        self.mlp = _Mlp(width)
        self.ln_2 = nn.LayerNorm(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (B, L, width)."""
        y = self.ln_1(x)
        queries, keys = self.attn.queries_and_keys(y)
        x = x + self.attn.attend(queries, keys, self.attn.values(y), causal=True)
        return x + self.mlp(self.ln_2(x))


class _Transformer(nn.Module):
    def __init__(self, width: int, n_layers: int) -> None:
        super().__init__()
        self.resblocks = nn.Sequential(*(TextBlock(width) for _ in range(n_layers)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.resblocks(x)


class Backbone(nn.Module):
    """CLIP as CRIS holds it: the image network under `visual`, and the text network.

    Args:
        visual: the image network.
        vocab_size, context_length: rows of the token and the position table.
        width, n_layers: of the text transformer; heads have 64 channels.
        embed_dim: of the projected state.
    """

    def __init__(
        self, visual: ImageNet, *, vocab_size: int, context_length: int, width: int, n_layers: int, embed_dim: int
    ) -> None:
        super().__init__()
        self.visual = visual
        self.transformer = _Transformer(width, n_layers)
        self.token_embedding = nn.Embedding(vocab_size, width)
        self.positional_embedding = nn.Parameter(torch.empty(context_length, width))
        self.ln_final = nn.LayerNorm(width)
        self.text_projection = nn.Parameter(torch.empty(width, embed_dim))
        # Part of the layout; CRIS compares nothing by cosine, so it reaches no output.
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))
        nn.init.normal_(self.token_embedding.weight, std=0.02)
        nn.init.normal_(self.positional_embedding, std=0.01)
        nn.init.normal_(self.text_projection, std=width**-0.5)

    def encode_text(self, input_ids: torch.Tensor) -> TextFeatures:
        """Return tokens and state of ids (B, L), L at most `context_length`; padding is not masked here."""
        x = self.token_embedding(input_ids) + self.positional_embedding[: input_ids.shape[1]]
        tokens = self.ln_final(self.transformer(x))
        rows = torch.arange(len(tokens), device=tokens.device)
        state = tokens[rows, input_ids.argmax(dim=1)] @ self.text_projection
        return TextFeatures(tokens, state)
