"""The one shape that every network takes: encode images, encode texts, decode pairs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from torch import nn
from torch.nn import functional

from robustness.errors import InputError
from robustness.runners.data.membership import without_names
from robustness.runners.inference.devices import autocast, to_device
from robustness.runners.inference.embedding import TensorEmbedding, Tensors
from robustness.runners.inference.preprocess import Preprocess
from robustness.types import Image, Probability


class Tokens(NamedTuple):
    """Token ids of texts.

    Attributes:
        input_ids: int64 (B, L).
        attention_mask: int64 (B, L), 1 for tokens (start and end included), 0 for padding.
    """

    input_ids: torch.Tensor
    attention_mask: torch.Tensor


class Tokenizer(Protocol):
    """Texts to ids; `save`, where there is one, writes the vocabulary's files into a checkpoint folder."""

    context_length: int

    def __call__(self, texts: Sequence[str]) -> Tokens:
        """Return ids and mask padded to `context_length`; longer texts are cut."""
        ...


class SplitNetwork(nn.Module):
    """Base of the network modules; a subclass fills the three parts, `forward` is their composition.

    Nothing here turns gradients off. Everything that depends on the image alone belongs into `encode_image`,
    everything that depends on the text alone into `encode_text`.

    Attributes:
        takes_text: whether a prompt reaches the network.
        embedding_form: raised whenever what `encode_image` returns changes its meaning, so that features which an
            earlier version stored are not read as today's.
        images_at_once: how many images an audit encodes at once where nobody says and this is more than the default.
    """

    takes_text: bool = True
    embedding_form: int = 1
    images_at_once: int = 0

    def image_features(self, pixel_values: torch.Tensor) -> Tensors:
        """Return what the image encoder alone gives; a network whose `encode_image` goes on from there splits it."""
        return self.encode_image(pixel_values)

    def image_embedding(self, features: Tensors) -> Tensors:
        """Return what the decoder reads, from `image_features`; training with a frozen encoder starts here."""
        return features

    def text_features(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None) -> Tensors:
        """Return what the text encoder alone gives."""
        return self.encode_text(input_ids, attention_mask)

    def text_embedding(self, features: Tensors) -> Tensors:
        """Return what the decoder reads, from `text_features`."""
        return features

    def encode_image(self, pixel_values: torch.Tensor) -> Tensors:
        """Return tensors with B rows from pixel values (B, 3, S, S)."""
        raise NotImplementedError(f"{type(self).__name__} must define encode_image()")

    def encode_text(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None) -> Tensors:
        """Return tensors with B rows from ids (B, L); image-only networks never get here."""
        raise NotImplementedError(f"{type(self).__name__} must define encode_text()")

    def decode(self, image: Tensors, text: Tensors) -> torch.Tensor:
        """Return logits (B, 1, S, S) of the pairs (image row i, text row i)."""
        raise NotImplementedError(f"{type(self).__name__} must define decode()")

    def forward(
        self,
        pixel_values: torch.Tensor,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return logits (B, 1, S, S); an image-only network ignores the text.

        Raises:
            InputError: a network with text gets no `input_ids`.
        """
        image = self.encode_image(pixel_values)
        if not self.takes_text:
            return self.decode(image, (pixel_values.new_empty(len(pixel_values), 0),))
        if input_ids is None:
            raise InputError("input_ids: expected token ids (B, L), got None; this network reads a prompt")
        return self.decode(image, self.encode_text(input_ids, attention_mask))


@dataclass(eq=False)
class NetworkSegmenter:
    """A `SplitNetwork` with its preparation of images and texts: the `Segmenter` of every network model.

    Attributes:
        network: float32 and in eval mode; `precision` acts on the methods of this class only.
        trims_text: whether padding may be cut to the longest text of a call without changing the logits.
        config: what rebuilds the network.
        provenance: where the weights come from, for manifests (files with hashes, or a seed).
        channels_last: whether convolutions see images in that memory order; the values are the same up to rounding.
        compiled: whether the three parts of the network run through ``torch.compile``.
    """

    name: str
    network: nn.Module
    preprocess: Preprocess
    tokenizer: Tokenizer | None = None
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    precision: str = "float32"
    takes_text: bool = True
    trims_text: bool = True
    model: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    folder: Path | None = None
    channels_last: bool = False
    compiled: bool = False

    def __post_init__(self) -> None:
        self.network = self.network.to(self.device).eval()
        if self.channels_last:
            self.network = self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._parts: dict[str, Callable[..., Any]] = {}

    def __repr__(self) -> str:
        parameters = sum(p.numel() for p in self.network.parameters())
        hashes = self.provenance.get("sha256")
        digest = next(iter(hashes.values()), "") if isinstance(hashes, Mapping) else str(hashes or "")
        known = f", weights sha256 {digest[:8]}" if digest else ""
        weights = "random weights" if self.provenance.get("random") else f"{parameters:,} parameters{known}"
        text = "reads its prompt" if self.takes_text else "cannot read its prompt"
        return (
            f"NetworkSegmenter({self.name!r}, {weights}, input {self.image_size} px, threshold {self.threshold:g},"
            f" {text}, {self.device} {self.precision})"
        )

    @property
    def image_size(self) -> int:
        """Side of the network's input in pixels."""
        return self.preprocess.image_size

    @property
    def threshold(self) -> float:
        """The probability above which a pixel belongs to the mask."""
        return self.preprocess.threshold

    @threshold.setter
    def threshold(self, value: float) -> None:
        self.preprocess = dataclasses.replace(self.preprocess, threshold=float(value))

    def _part(self, name: str) -> Callable[..., Any]:
        """Return a part of the network, compiled once where that is asked for."""
        part: Callable[..., Any] = getattr(self.network, name)
        if not self.compiled:
            return part
        if name not in self._parts:
            self._parts[name] = torch.compile(part)
        return self._parts[name]

    def cut_texts(self, texts: Sequence[str]) -> list[str] | None:
        """Return those of `texts` that need more ids than the context has, so that their ends are not read.

        None where the tokenizer does not count ids.
        """
        count = getattr(self.tokenizer, "count", None)
        if count is None or self.tokenizer is None:
            return None
        return [text for text in texts if count(text) > self.tokenizer.context_length]

    def tokenize(self, texts: Sequence[str]) -> Tokens:
        """Return ids and mask (B, context_length) of `texts` on the CPU.

        Raises:
            InputError: the model reads text but has no vocabulary.
        """
        if self.tokenizer is None:
            raise InputError(
                f"tokenizer: {self.name} has no vocabulary to read text with; give tokenizer=PATH of its folder"
                if self.takes_text
                else f"tokenizer: {self.name} reads no text"
            )
        return self.tokenizer(list(texts))

    def encode_image(self, images: Sequence[Image]) -> TensorEmbedding:
        """Encode uint8 RGB images (H, W, 3), sizes may differ."""
        pixel_values = self.preprocess.pixel_values(images, self.device)
        if self.channels_last:
            pixel_values = pixel_values.contiguous(memory_format=torch.channels_last)
        with autocast(self.device, self.precision):
            return TensorEmbedding(tuple(self._part("encode_image")(pixel_values)))

    def encode_text(self, texts: Sequence[str]) -> TensorEmbedding:
        """Encode prompts; padding beyond the longest of them is cut where the model allows it."""
        if not self.takes_text:
            return TensorEmbedding((torch.empty(len(texts), 0, device=self.device),))
        ids, mask = self.without_padding(self.tokenize(texts))
        with autocast(self.device, self.precision):
            return TensorEmbedding(
                tuple(self._part("encode_text")(to_device(ids, self.device), to_device(mask, self.device)))
            )

    def without_padding(self, tokens: Tokens) -> Tokens:
        """Return ids and mask (B, L) cut to the longest text, where that leaves the logits as they are."""
        if not self.trims_text:
            return tokens
        longest = max(int(tokens.attention_mask.sum(1).max()), 1)
        return Tokens(*(part[:, :longest] for part in tokens))

    def decode(self, image_embedding: TensorEmbedding, text_embedding: TensorEmbedding) -> torch.Tensor:
        """Return float32 logits (B, 1, S, S) of the pairs (image_embedding[i], text_embedding[i])."""
        with autocast(self.device, self.precision):
            logits = self._part("decode")(image_embedding.tensors, text_embedding.tensors)
        return logits.float()

    def probabilities(
        self,
        image_embedding: TensorEmbedding,
        text_embedding: TensorEmbedding,
        sizes: Sequence[tuple[int, int]] | None = None,
    ) -> list[Probability]:
        """Return one float32 map in [0, 1] per pair: sigmoid, then resized bilinearly to its (H, W) in `sizes`.

        A network of instances (`runners.models.instances`) enlarges each of them by itself, where it is so configured.
        A logit that is not finite is NaN in its map: an infinite one would pass for certainty.
        """
        with torch.no_grad():
            if sizes is not None and self.enlarges_instances:
                network: Any = self.network
                with autocast(self.device, self.precision):
                    instances: list[Probability] = network.maps(image_embedding.tensors, text_embedding.tensors, sizes)
                return instances
            return resize_maps(self.maps(image_embedding, text_embedding), sizes)

    @property
    def enlarges_instances(self) -> bool:
        """Whether the network enlarges each of its instances by itself."""
        return getattr(self.network, "enlarge", "") == "instances"

    def maps(self, image_embedding: TensorEmbedding, text_embedding: TensorEmbedding) -> torch.Tensor:
        """Return the maps (B, 1, S, S) of the pairs at the network's size, on its device; see `probabilities`."""
        logits = self.decode(image_embedding, text_embedding)
        return logits.sigmoid().masked_fill(~logits.isfinite(), float("nan"))

    def describe(self) -> dict[str, Any]:
        """Return what a manifest needs to know, as JSON values."""
        return {
            "name": self.name,
            "model": self.model or self.name,
            "config": dict(self.config),
            "weights": without_names(self.provenance),
            "parameters": sum(p.numel() for p in self.network.parameters()),
            "preprocess": self.preprocess.as_dict(),
            "device": str(self.device),
            "device_name": torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "cpu",
            "precision": self.precision,
            "channels_last": self.channels_last,
            "compiled": self.compiled,
            "threads": torch.get_num_threads(),
        }


def resize_maps(maps: torch.Tensor, sizes: Sequence[tuple[int, int]] | None) -> list[Probability]:
    """Return maps (B, 1, h, w) as float32 arrays, resized bilinearly (pixel centres) to `sizes` where given."""
    if sizes is None:
        return list(maps[:, 0].float().cpu().numpy())
    out: list[Any] = [None] * len(sizes)
    for members, part in resized_maps(maps, sizes):
        for row, array in zip(members, part.cpu().numpy(), strict=True):
            out[row] = array
    return out


def resized_maps(maps: torch.Tensor, sizes: Sequence[tuple[int, int]]) -> Iterator[tuple[list[int], torch.Tensor]]:
    """Yield for each size its rows of maps (B, 1, h, w), and these as float32 maps (N, H, W) on their device."""
    rows: dict[tuple[int, int], list[int]] = {}
    for row, (height, width) in enumerate(sizes):
        rows.setdefault((int(height), int(width)), []).append(row)
    for size, members in rows.items():
        part = maps[members].float()
        if tuple(part.shape[-2:]) != size:
            part = functional.interpolate(part, size=size, mode="bilinear", align_corners=False)
        yield members, part[:, 0]
