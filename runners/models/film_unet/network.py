"""The network of `film-unet`: a small U-Net whose decoder is modulated by a text embedding (FiLM), in places too.

Reference: Perez et al., FiLM: Visual Reasoning with a General Conditioning Layer, AAAI 2018, arXiv:1709.07871;
Ronneberger et al., U-Net, MICCAI 2015, doi:10.1007/978-3-319-24574-4_28.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from robustness.errors import InputError
from robustness.runners.inference.embedding import Tensors
from robustness.runners.inference.segmenter import SplitNetwork
from robustness.runners.models.tokenizers.bytes import PAD

_GROUP = 8
# Values of an input, of which torch convolves a single image by a matrix product.
_SMALL = 20_480


@dataclass(frozen=True, slots=True)
class FilmUNetConfig:
    """What the shape of the network depends on.

    Attributes:
        image_size: side of the square input in pixels; a multiple of 2 to the number of levels minus 1.
        widths: channels per level, finest first; multiples of 8.
        vocabulary_size: number of token ids.
        token_width: width of a token's embedding.
        text_width: width of the recurrent text embedding.
        text: False gives the image-only contrast: same encoder and decoder, no text path.
    """

    image_size: int = 128
    widths: tuple[int, ...] = (8, 16, 32, 56, 72)
    vocabulary_size: int = 259
    token_width: int = 48
    text_width: int = 96
    text: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "widths", tuple(self.widths))
        step = 2 ** (len(self.widths) - 1)
        if len(self.widths) < 2 or any(width % _GROUP for width in self.widths):
            raise InputError(f"widths: expected two or more multiples of {_GROUP}, got {list(self.widths)}")
        if self.image_size % step or self.image_size <= 0:
            raise InputError(f"image_size: expected a positive multiple of {step}, got {self.image_size}")


class FilmUNet(SplitNetwork):
    """Image encoder without text, recurrent text encoder, decoder modulated by the text at every level.

    Group normalization only: a row's result does not depend on the other rows of its batch.
    """

    def __init__(self, config: FilmUNetConfig) -> None:
        super().__init__()
        self.config = config
        self.takes_text = config.text
        widths, text_width = config.widths, config.text_width if config.text else 0
        # Two more channels hold the pixel's position, without which left and right look alike.
        ins = (5, *widths[:-1])
        self.encoder = nn.ModuleList(_Block(a, b, text_width=0) for a, b in zip(ins, widths, strict=True))
        self.bottleneck = _Block(widths[-1], widths[-1], text_width=text_width)
        pairs = list(zip(widths[1:], widths[:-1], strict=True))[::-1]
        self.decoder = nn.ModuleList(_Block(deep + skip, skip, text_width=text_width) for deep, skip in pairs)
        self.head = nn.Conv2d(widths[0], 1, kernel_size=1)
        self.text_encoder = _TextEncoder(config) if config.text else None

    def encode_image(self, pixel_values: Tensor) -> Tensors:
        """Return one feature map per level, finest first, of normalized images (B, 3, H, W)."""
        features = torch.cat([pixel_values, _positions(pixel_values)], dim=1)
        levels = []
        for depth, block in enumerate(self.encoder):
            features = block(_half_as_large(features) if depth else features, None)
            levels.append(features)
        return tuple(levels)

    def encode_text(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensors:
        """Return the text embedding (B, D) of right-padded ids (B, T); (B, 0) for the image-only network."""
        if self.text_encoder is None:
            return (self.head.weight.new_empty(len(input_ids), 0),)
        mask = input_ids != PAD if attention_mask is None else attention_mask.bool()
        return (self.text_encoder(input_ids, mask),)

    def decode(self, image: Tensors, text: Tensors) -> Tensor:
        """Return logits (B, 1, H, W)."""
        embedding = None if self.text_encoder is None else text[0]
        features = self.bottleneck(image[-1], embedding)
        for block, skip in zip(self.decoder, image[-2::-1], strict=True):
            features = block(_twice_as_large_beside(features, skip), embedding)
        logits: Tensor = self.head(features)
        return logits


def _half_as_large(features: Tensor) -> Tensor:
    """Return the largest of every four neighbours, (B, C, H / 2, W / 2)."""
    if torch.is_grad_enabled():
        return functional.max_pool2d(features, 2)
    # The same values; torch's own pooling looks for their places too, which takes ten times as long.
    rows = torch.maximum(features[..., ::2, :], features[..., 1::2, :])
    return torch.maximum(rows[..., ::2], rows[..., 1::2])


def _twice_as_large_beside(features: Tensor, skip: Tensor) -> Tensor:
    """Return features (B, C, H, W), every pixel four times, joined with skip features (B, D, 2 H, 2 W)."""
    plain = features.dtype == skip.dtype == torch.float32 and features.device.type == "cpu"
    if not plain or torch.is_grad_enabled() or torch.compiler.is_compiling():
        larger = functional.interpolate(features, size=skip.shape[-2:], mode="nearest")
        return torch.cat([larger, skip], dim=1)
    # The same values, written once where they are read, two neighbours at a time; in a third of the time.
    batch, deep = features.shape[:2]
    joined = features.new_empty(batch, deep + skip.shape[1], *skip.shape[-2:])
    pairs = joined.view(*joined.shape[:3], -1, 2)[:, :deep]
    upper, lower = (torch.view_as_complex(pairs[:, :, first::2]) for first in (0, 1))
    torch.complex(features, features, out=upper)
    lower.copy_(upper)
    joined[:, deep:] = skip
    return joined


class _Block(nn.Module):
    """Two 3x3 convolutions with group normalization; a text embedding scales and shifts both where there is one."""

    def __init__(self, ins: int, outs: int, *, text_width: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(_Convolution(n, outs, 3, padding=1, bias=False) for n in (ins, outs))
        self.norms = nn.ModuleList(nn.GroupNorm(outs // _GROUP, outs) for _ in range(2))
        self.films = nn.ModuleList(_Film(text_width, outs) for _ in range(2)) if text_width else None

    def forward(self, features: Tensor, embedding: Tensor | None) -> Tensor:
        for index, (convolution, norm) in enumerate(zip(self.convolutions, self.norms, strict=True)):
            features = norm(convolution(features))
            if self.films is not None and embedding is not None:
                features = self.films[index](features, embedding)
            features = functional.relu(features, inplace=not torch.is_grad_enabled())
        return features


class _Convolution(nn.Conv2d):
    """A 3x3 convolution that computes two columns at once where its channels would fill half of a vector.

    With 512-bit vectors eight channels cost as much as sixteen. A kernel one column wider, moved by two, gives the
    even columns to eight of them and the odd ones to the others. Every sum has its terms in the same order, and
    zeros: the bits are the same.
    """

    def forward(self, features: Tensor) -> Tensor:
        if not self._fills_half_of_a_vector(features):
            return super().forward(features)
        both = self.weight.new_zeros(2 * _GROUP, self.in_channels, 3, 4)
        both[:_GROUP, :, :, :3] = self.weight
        both[_GROUP:, :, :, 1:] = self.weight
        columns = functional.conv2d(features, both, stride=(1, 2), padding=1)
        return torch.stack((columns[:, :_GROUP], columns[:, _GROUP:]), dim=-1).flatten(3)

    def _fills_half_of_a_vector(self, features: Tensor) -> bool:
        return (
            self.out_channels == _GROUP
            and features.device.type == "cpu"
            and features.dtype == self.weight.dtype == torch.float32
            # Less than this is multiplied by another algorithm.
            and features.numel() > _SMALL
            and features.shape[-1] % 2 == 0
            and features.is_contiguous()
            and not (torch.is_grad_enabled() or torch.is_autocast_enabled("cpu"))
            and torch.backends.cpu.get_cpu_capability() == "AVX512"
        )


class _Film(nn.Module):
    """``(1 + scale) * features + shift``, channel by channel; all from the text embedding.

    The shift may tilt across the image, ``shift + row * y + column * x`` with x and y in [-1, 1]: a side is a place,
    and a shift that is the same everywhere learns left and right an order of magnitude later, if at all.
    """

    def __init__(self, text_width: int, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(text_width, 4 * channels)

    def forward(self, features: Tensor, embedding: Tensor) -> Tensor:
        scale, shift, row, column = self.linear(embedding)[:, :, None, None].chunk(4, dim=1)
        height, width = features.shape[-2:]
        y = torch.linspace(-1, 1, height, dtype=embedding.dtype, device=embedding.device)[:, None]
        x = torch.linspace(-1, 1, width, dtype=embedding.dtype, device=embedding.device)[None, :]
        factor, down, across = 1 + scale, shift + row * y, column * x
        if torch.is_grad_enabled() or not features.dtype == factor.dtype == down.dtype == across.dtype:
            return features * factor + down + across
        # In place: the features are a normalization's and nobody else's.
        return features.mul_(factor).add_(down).add_(across)


class _TextEncoder(nn.Module):
    """Embedding and GRU; the embedding is the state at the last token joined with the mean over all tokens.

    Both leave the padding out, so that the embedding does not depend on how far a batch is filled up.
    """

    def __init__(self, config: FilmUNetConfig) -> None:
        super().__init__()
        self.embedding = nn.Embedding(config.vocabulary_size, config.token_width, padding_idx=PAD)
        self.recurrent = nn.GRU(config.token_width, config.text_width, batch_first=True)
        self.mix = nn.Sequential(nn.Linear(2 * config.text_width, config.text_width), nn.ReLU())

    def forward(self, input_ids: Tensor, mask: Tensor) -> Tensor:
        states, _ = self.recurrent(self.embedding(input_ids))
        lengths = mask.sum(dim=1).clamp(min=1)
        rows = torch.arange(len(lengths), device=lengths.device)
        weights = mask.to(states.dtype)[:, :, None]
        mean = (states * weights).sum(dim=1) / lengths[:, None].to(states.dtype)
        embedding: Tensor = self.mix(torch.cat([states[rows, lengths - 1], mean], dim=1))
        return embedding


def _positions(pixel_values: Tensor) -> Tensor:
    batch, _, height, width = pixel_values.shape
    options: dict[str, Any] = {"dtype": pixel_values.dtype, "device": pixel_values.device}
    rows = torch.linspace(-1, 1, height, **options)[:, None].expand(height, width)
    columns = torch.linspace(-1, 1, width, **options)[None, :].expand(height, width)
    return torch.stack([rows, columns]).expand(batch, 2, height, width)
