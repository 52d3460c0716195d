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
# A change with noise gives each prompt an image of its own, so that four images are four pairs, which cost a third more
# than four of sixteen. Beyond so many pixels calls are cheap beside numbers.
_MOST_IMAGES, _PIXELS = 16, 2**19


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

    embedding_form = 2

    def __init__(self, config: FilmUNetConfig) -> None:
        super().__init__()
        self.config = config
        self.takes_text = config.text
        self.images_at_once = min(_MOST_IMAGES, _PIXELS // config.image_size**2)
        widths, text_width = config.widths, config.text_width if config.text else 0
        # Two more channels hold the pixel's position, without which left and right look alike.
        ins = (5, *widths[:-1])
        self.encoder = nn.ModuleList(_Block(a, b, text_width=0) for a, b in zip(ins, widths, strict=True))
        self.bottleneck = _Block(widths[-1], widths[-1], text_width=text_width)
        pairs = list(zip(widths[1:], widths[:-1], strict=True))[::-1]
        self.decoder: Any = nn.ModuleList(_DecoderBlock(deep, skip, text_width=text_width) for deep, skip in pairs)
        self.head = nn.Conv2d(widths[0], 1, kernel_size=1)
        self.text_encoder = _TextEncoder(config) if config.text else None

    def encode_image(self, pixel_values: Tensor) -> Tensors:
        """Return what the decoder reads of normalized images (B, 3, H, W); see `image_embedding`."""
        return self.image_embedding(self.image_features(pixel_values))

    def image_features(self, pixel_values: Tensor) -> Tensors:
        """Return one feature map per level, finest first, of normalized images (B, 3, H, W)."""
        features = torch.cat([pixel_values, _positions(pixel_values)], dim=1)
        levels = []
        for depth, block in enumerate(self.encoder):
            features = block(_half_as_large(features) if depth else features, None)
            levels.append(features)
        return tuple(levels)

    def image_embedding(self, features: Tensors) -> Tensors:
        """Return what the decoder's first convolution of each level makes of the image's features, finest first.

        No text comes before these sums, so they are the same for all prompts of an image. The deepest level is first
        normalized by itself, too.
        """
        skips = zip(self.decoder, features[-2::-1], strict=True)
        return (*[block.of_skip(skip) for block, skip in skips][::-1], self.bottleneck.first(features[-1]))

    def encode_text(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensors:
        """Return the text embedding (B, D) of right-padded ids (B, T); (B, 0) for the image-only network."""
        if self.text_encoder is None:
            return (self.head.weight.new_empty(len(input_ids), 0),)
        mask = input_ids != PAD if attention_mask is None else attention_mask.bool()
        return (self.text_encoder(input_ids, mask),)

    def decode(self, image: Tensors, text: Tensors) -> Tensor:
        """Return logits (B, 1, H, W)."""
        embedding = None if self.text_encoder is None else text[0]
        features = self.bottleneck.after_first(image[-1].clone(), embedding)
        for block, skip in zip(self.decoder, image[-2::-1], strict=True):
            features = block.joined(features, skip, embedding)
        # A product of matrices: torch's convolution to one channel takes 25 times as long.
        weight, bias = self.head.parameters()
        logits = weight.flatten(1) @ features.flatten(2) + bias[:, None]
        return logits.reshape(len(logits), 1, *features.shape[2:])


def _half_as_large(features: Tensor) -> Tensor:
    """Return the largest of every four neighbours, (B, C, H / 2, W / 2)."""
    if torch.is_grad_enabled():
        return functional.max_pool2d(features, 2)
    # The same values; torch's own pooling looks for their places too, which takes ten times as long.
    rows = torch.maximum(features[..., ::2, :], features[..., 1::2, :])
    return torch.maximum(rows[..., ::2], rows[..., 1::2])


class _Block(nn.Module):
    """Two 3x3 convolutions with group normalization; a text embedding scales and shifts both where there is one."""

    def __init__(self, ins: int, outs: int, *, text_width: int) -> None:
        super().__init__()
        self.convolutions: Any = nn.ModuleList(_Convolution(n, outs, 3, padding=1, bias=False) for n in (ins, outs))
        self.norms = nn.ModuleList(nn.GroupNorm(outs // _GROUP, outs) for _ in range(2))
        self.films = nn.ModuleList(_Film(text_width, outs) for _ in range(2)) if text_width else None

    def forward(self, features: Tensor, embedding: Tensor | None) -> Tensor:
        return self.after_first(self.first(features), embedding)

    def first(self, features: Tensor) -> Tensor:
        """Return the first convolution, normalized: all that comes before the text."""
        normalized: Tensor = self.norms[0](self.convolutions[0](features))
        return normalized

    def after_first(self, normalized: Tensor, embedding: Tensor | None) -> Tensor:
        """Return the block's features from what `first` gave; without gradients that is not written to."""
        features = self._active(0, normalized, embedding)
        return self._active(1, self.norms[1](self.convolutions[1](features)), embedding)

    def _active(self, index: int, normalized: Tensor, embedding: Tensor | None) -> Tensor:
        features = normalized
        if self.films is not None and embedding is not None:
            features = self.films[index](features, embedding)
        return functional.relu(features, inplace=not torch.is_grad_enabled())


class _DecoderBlock(_Block):
    """A block on features of half its size, enlarged, and on skip features of its own size.

    Its first convolution is the sum of two: of the skip features, which hold no text and are convolved once for all
    prompts of an image (`of_skip`), and of the enlarged ones. Every pixel of these stands four times, so four kernels
    of 2x2, one for each place among the four, give the same sums with 4 products in place of 9.
    """

    def __init__(self, deep: int, skip: int, *, text_width: int) -> None:
        super().__init__(deep + skip, skip, text_width=text_width)
        self.deep = deep

    def of_skip(self, skip: Tensor) -> Tensor:
        """Return what the first convolution makes of skip features (B, D, 2 H, 2 W)."""
        return _convolved(skip, self.convolutions[0].weight[:, self.deep :])

    def joined(self, features: Tensor, skip: Tensor, embedding: Tensor | None) -> Tensor:
        """Return the block's features from deeper ones (B, C, H, W) and `of_skip`."""
        sums = _enlarged_and_convolved(features, self.convolutions[0].weight[:, : self.deep])
        return self.after_first(self.norms[0](sums + skip), embedding)


def _enlarged_and_convolved(features: Tensor, weight: Tensor) -> Tensor:
    """Return ``conv2d(features, every pixel four times, weight, padding=1)``, (B, O, 2 H, 2 W), up to rounding.

    Args:
        features: (B, C, H, W).
        weight: 3x3 kernels (O, C, 3, 3).
    """
    height, width = features.shape[-2:]
    kernels = torch.cat([kernel for rows in _halves(weight, 2) for kernel in _halves(rows, 3)])
    sums = functional.conv2d(features, kernels, padding=1).reshape(len(features), 2, 2, -1, height + 1, width + 1)
    places = sums[:, 0, :, :, :height], sums[:, 1, :, :, 1:]
    rows = [(place[:, 0, :, :, :width], place[:, 1, :, :, 1:]) for place in places]
    if sums.dtype != torch.float32 or torch.is_grad_enabled() or torch.compiler.is_compiling():
        return torch.stack([torch.stack(pair, dim=-1).flatten(3) for pair in rows], dim=3).flatten(2, 3)
    # The same values, written once, two neighbours as one complex number.
    enlarged = features.new_empty(len(features), len(weight), height, 2, width, 2)
    for row, pair in enumerate(rows):
        torch.complex(*pair, out=torch.view_as_complex(enlarged[:, :, :, row]))
    return enlarged.flatten(4).flatten(2, 3)


def _halves(weight: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Return the two taps that three become along `dim` where pixels stand in pairs, for the first and the second."""
    before, at, after = (weight.narrow(dim, tap, 1) for tap in range(3))
    return torch.cat((before, at + after), dim), torch.cat((before + at, after), dim)


class _Convolution(nn.Conv2d):
    """A 3x3 convolution, see `_convolved`; adapters make others of its kind, with other kernels."""

    def forward(self, features: Tensor) -> Tensor:
        if self.kernel_size == (3, 3) and self.padding == (1, 1) and self.bias is None:
            return _convolved(features, self.weight)
        return super().forward(features)


def _convolved(features: Tensor, weight: Tensor) -> Tensor:
    """Return ``conv2d(features, weight, padding=1)``, two columns at once where channels would fill half of a vector.

    With 512-bit vectors eight channels cost as much as sixteen. A kernel one column wider, moved by two, gives the
    even columns to eight of them and the odd ones to the others. Every sum has its terms in the same order, and
    zeros: the bits are the same.
    """
    if not _fills_half_of_a_vector(features, weight):
        return functional.conv2d(features, weight, padding=1)
    both = weight.new_zeros(2 * _GROUP, weight.shape[1], 3, 4)
    both[:_GROUP, :, :, :3] = weight
    both[_GROUP:, :, :, 1:] = weight
    columns = functional.conv2d(features, both, stride=(1, 2), padding=1)
    return torch.stack((columns[:, :_GROUP], columns[:, _GROUP:]), dim=-1).flatten(3)


def _fills_half_of_a_vector(features: Tensor, weight: Tensor) -> bool:
    return (
        len(weight) == _GROUP
        and features.device.type == "cpu"
        and features.dtype == weight.dtype == torch.float32
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
