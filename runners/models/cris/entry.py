"""CRIS: CLIP's ResNet and text transformer, a pyramid neck, a cross-attention decoder, a kernel per sentence.

Reference: Wang et al. 2022, "CRIS: CLIP-driven referring image segmentation" (CVPR),
doi:10.1109/CVPR52688.2022.01139. The reference benchmark is Poudel et al., "Exploring transfer learning in medical
image segmentation using vision-language models" (MIDL 2024).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn
from torch.nn import functional

from robustness.errors import InputError
from robustness.registry import MODELS
from robustness.runners.checkpoints.partial_weights import expect_part
from robustness.runners.inference.embedding import Tensors
from robustness.runners.inference.preprocess import CLIP_MEAN, CLIP_STD, Preprocess
from robustness.runners.inference.segmenter import SplitNetwork, Tokens
from robustness.runners.models.cris.decoder import Decoder, Words
from robustness.runners.models.cris.image import ImageNet
from robustness.runners.models.cris.neck import ImageHalf, Neck
from robustness.runners.models.cris.projector import Kernel, Projector
from robustness.runners.models.cris.shapes import backbone_part, config_from_shapes
from robustness.runners.models.cris.text import Backbone
from robustness.runners.models.entry import Config, ModelEntry, Shapes, merge, without_values
from robustness.runners.models.tokenizers.clip import VOCABULARY_SIZE, ClipTokenizer, has_vocabulary

_STRIDE = 32
_PADDINGS = ("eot", "zero")
# The RN50 network of the reference benchmark; the original one differs in the preset below.
_PUBLISHED: Config = {
    "embed_dim": 1024,
    "clip_image_resolution": 224,
    "vision_layers": [3, 4, 6, 3],
    "vision_width": 64,
    "context_length": 77,
    "word_len": 77,
    "padding": "eot",
    "vocab_size": VOCABULARY_SIZE,
    "transformer_width": 512,
    "transformer_layers": 12,
    "fpn_in": [512, 1024, 1024],
    "fpn_out": [256, 512, 1024],
    "vis_dim": 512,
    "word_dim": 1024,
    "num_layers": 3,
    "num_head": 8,
    "dim_ffn": 2048,
    "dropout": 0.2,
    "intermediate": False,
    "img_size": 416,
    "loaded": "all",
}
_TINY: Config = {
    "embed_dim": 64,
    "clip_image_resolution": 64,
    "vision_layers": [1, 1, 1, 1],
    "vision_width": 8,
    "context_length": 20,
    "word_len": 20,
    "transformer_width": 64,
    "transformer_layers": 2,
    "fpn_in": [64, 128, 64],
    "fpn_out": [32, 64, 96],
    "vis_dim": 64,
    "word_dim": 64,
    "num_layers": 2,
    "num_head": 4,
    "dim_ffn": 96,
    "img_size": 96,
}
_ORIGINAL: Config = {"word_len": 17, "padding": "zero", "dropout": 0.1}


class CrisNetwork(SplitNetwork):
    """CRIS, split; state-dict keys are those of the reference.

    Image features: the neck's three maps of the image alone. Text features: the neck's factor, the kernel's taps,
    shifts and bias, a bool (B, L) that is False for padding (id 0), then keys and values (B, L, vis_dim) of every
    decoder layer. Features of texts of different lengths may be joined by filling up with zeros, which the bool masks.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        visual = ImageNet(
            layers=config["vision_layers"],
            width=config["vision_width"],
            grid=config["clip_image_resolution"] // _STRIDE,
            out_channels=config["embed_dim"],
        )
        self.backbone = Backbone(
            visual,
            vocab_size=config["vocab_size"],
            context_length=config["context_length"],
            width=config["transformer_width"],
            n_layers=config["transformer_layers"],
            embed_dim=config["embed_dim"],
        )
        width, dropout = config["vis_dim"], config["dropout"]
        self.neck = Neck(config["fpn_in"], config["fpn_out"], state_width=config["word_dim"])
        self.decoder = Decoder(config["num_layers"], width, config["num_head"], config["dim_ffn"], dropout=dropout)
        self.proj = Projector(config["word_dim"], width // 2)
        self.image_size: int = config["img_size"]
        self.context_length: int = config["context_length"]

    def encode_image(self, pixel_values: torch.Tensor) -> Tensors:
        """Return the neck's maps of pixel values (B, 3, H, W); sides are multiples of 32.

        Raises:
            InputError: another shape.
        """
        return self.image_embedding(self.image_features(pixel_values))

    def image_features(self, pixel_values: torch.Tensor) -> Tensors:
        """Return the image network's three maps, finest first."""
        height, width = pixel_values.shape[-2:]
        if height % _STRIDE or width % _STRIDE or not height or not width:
            raise InputError(f"pixel_values: expected sides that are multiples of {_STRIDE}, got {height} x {width}")
        return tuple(self.backbone.visual(pixel_values))

    def image_embedding(self, features: Tensors) -> Tensors:
        """Return the neck's maps."""
        return tuple(self.neck.encode_image(*features))

    def encode_text(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None) -> Tensors:
        """Return the text features of ids (B, L).

        The reference has no attention mask: padding is what has id 0, whatever `attention_mask` says. Zeros at the
        end of all rows are cut, which changes nothing; repeated end tokens are words to CRIS and stay.

        Raises:
            InputError: a row without a token, or more ids than positions.
        """
        return self.text_embedding(self.text_features(input_ids, attention_mask))

    def text_features(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None) -> Tensors:
        """Return the text network's tokens and state, and the bool (B, L) that is False for padding."""
        valid = self._valid(input_ids)
        longest = int(valid.any(dim=0).nonzero().max()) + 1 if len(valid) else valid.shape[1]
        input_ids, valid = input_ids[:, :longest], valid[:, :longest]
        tokens, state = self.backbone.encode_text(input_ids)
        return tokens, state, valid

    def text_embedding(self, features: Tensors) -> Tensors:
        """Return the parts of the text features that `decode` reads."""
        tokens, state, valid = features
        words = self.decoder.encode_text(tokens)
        projected = (tensor for layer in words for tensor in layer)
        return (self.neck.encode_text(state), *self.proj.encode_text(state), valid, *projected)

    def _valid(self, input_ids: torch.Tensor) -> torch.Tensor:
        if input_ids.ndim != 2 or not 1 <= input_ids.shape[1] <= self.context_length:
            expected = f"ids (B, L) with L from 1 to {self.context_length}"
            raise InputError(f"input_ids: expected {expected}, got shape {tuple(input_ids.shape)}")
        valid = input_ids != 0
        empty = (~valid.any(dim=1)).nonzero().flatten().tolist()
        if empty:
            raise InputError(
                f"input_ids: row {empty[0]} holds only zeros, which CRIS reads as padding; "
                "even an empty prompt needs its start and end token"
            )
        return valid

    def decode(self, image: Tensors, text: Tensors) -> torch.Tensor:
        """Return logits (B, 1, img_size, img_size), whatever the size of the input was."""
        factor, taps, shifts, bias, valid, *projected = text
        words = [Words(*pair) for pair in zip(projected[::2], projected[1::2], strict=True)]
        joint = self.decoder(self.neck(ImageHalf(*image), factor), words, valid)
        small = self.proj(joint, Kernel(taps, shifts, bias))
        size = (self.image_size, self.image_size)
        return functional.interpolate(small, size=size, mode="bicubic", align_corners=True)


class ZeroPadding:
    """A CLIP tokenizer that fills up with id 0 instead of the end token, as the original CRIS does."""

    def __init__(self, tokenizer: ClipTokenizer) -> None:
        self.context_length = tokenizer.context_length
        self._tokenizer = tokenizer
        self.count, self.save = tokenizer.count, tokenizer.save

    def __call__(self, texts: Sequence[str]) -> Tokens:
        """Return ids and mask (B, context_length) of `texts`."""
        ids, mask = self._tokenizer(texts)
        return Tokens(ids * mask, mask)


@MODELS.add("cris")
class CrisModel(ModelEntry):
    """CRIS from the reference benchmark's or the original state dicts, or from CLIP's RN50 with a fresh head.

    Options of the configuration that no checkpoint tells: `num_head`, `word_len` (ids per text), `padding` and
    `img_size`. ``padding="eot"`` fills texts up with the end token, as the reference benchmark trained its weights;
    these are words to CRIS. ``padding="zero"`` fills up with id 0, which CRIS masks: the original training, with
    ``word_len=17`` (``config={"preset": "original"}``).
    """

    title: ClassVar[str] = "CRIS (CLIP ResNet-50, cross-attention decoder, a kernel per sentence)"
    # Surplus end tokens take part in the attention; zeros are cut by the network itself.
    trims_text: ClassVar[bool] = False
    presets: ClassVar[Mapping[str, Config]] = {"tiny": _TINY, "original": _ORIGINAL}
    signature: ClassVar[tuple[str, ...]] = ("backbone.visual.", "neck.", "proj.")
    encoders: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "text": tuple(
            f"backbone.{name}"
            for name in ("transformer.", "token_embedding.", "positional_embedding", "ln_final.", "text_projection")
        ),
        "image": ("backbone.",),
    }

    def __init__(self) -> None:
        self._shapes: Shapes = {}

    def default_config(self) -> Config:
        """Return the configuration of the reference benchmark's RN50 network."""
        return merge(_PUBLISHED, {})

    def config_from_shapes(self, shapes: Shapes, config: Config) -> Config:
        """Return all that shapes tell; `loaded` is "all", or "backbone" for the weights of CLIP alone."""
        self._shapes = shapes
        return config_from_shapes(shapes, config)

    def preprocess(self, config: Config) -> Preprocess:
        """Return a square of `img_size`, CLIP's statistics, and the threshold 0.35."""
        return Preprocess(
            image_size=config["img_size"],
            mean=CLIP_MEAN,
            std=CLIP_STD,
            tokenizer="clip-bpe",
            context_length=config["word_len"],
            threshold=0.35,
        )

    def build(self, config: Config) -> nn.Module:
        """Return a `CrisNetwork` with fresh weights."""
        _check(config)
        return CrisNetwork(config)

    def skeleton(self, config: Config) -> nn.Module:
        """Return a `CrisNetwork` with undefined weights, or one with fresh weights that waits for its backbone."""
        if config["loaded"] == "backbone":
            network = self.build(config)
            names, unused = backbone_part(network.state_dict(), self._shapes)
            return expect_part(network, names, unused=unused)
        return self.outline(config).to_empty(device="cpu")

    def outline(self, config: Config) -> nn.Module:
        """Return the network on the device "meta"."""
        with without_values():
            return self.build(config)

    def tokenizer(self, config: Config, folder: Path | None) -> ClipTokenizer | ZeroPadding | None:
        """Return CLIP's tokenizer, padded as `padding` says; None where the network's vocabulary is another."""
        if not has_vocabulary(folder) and config["vocab_size"] < VOCABULARY_SIZE:
            return None
        tokenizer = ClipTokenizer(context_length=config["word_len"], folder=folder)
        return ZeroPadding(tokenizer) if config["padding"] == "zero" else tokenizer


def _check(config: Config) -> None:
    width, fpn_in, fpn_out = config["vision_width"], list(config["fpn_in"]), list(config["fpn_out"])
    stages = [8 * width, 16 * width, config["embed_dim"]]
    rules = (
        ("padding", config["padding"] in _PADDINGS, f"one of {', '.join(_PADDINGS)}"),
        ("intermediate", config["intermediate"] is False, "False (no published network returns inner layers)"),
        ("word_len", 2 <= config["word_len"] <= config["context_length"], f"2 to {config['context_length']} ids"),
        ("vision_layers", len(config["vision_layers"]) == 4, "four stages"),
        ("fpn_in", fpn_in == stages, f"{stages}, the channels of the image network"),
        ("fpn_out", len(fpn_out) == 3 and fpn_out[1] == config["vis_dim"], "three widths, the second equal to vis_dim"),
        ("word_dim", config["word_dim"] == config["embed_dim"], f"embed_dim, {config['embed_dim']}"),
        (
            "vis_dim",
            config["vis_dim"] == config["transformer_width"],
            f"transformer_width, {config['transformer_width']}",
        ),
        ("num_head", config["vis_dim"] % config["num_head"] == 0, f"a divisor of vis_dim, {config['vis_dim']}"),
        ("vis_dim", config["vis_dim"] % 4 == 0, "a multiple of 4"),
        ("transformer_width", config["transformer_width"] % 64 == 0, "a multiple of 64 (heads have 64 channels)"),
    )
    for field, holds, expected in rules:
        if not holds:
            raise InputError(f"config: expected {field} to be {expected}; got {config[field]!r}")
