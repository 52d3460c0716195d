"""Convolutional networks without text, from segmentation-models-pytorch: the baselines that no prompt can move.

References: U-Net, Ronneberger et al. 2015, doi:10.1007/978-3-319-24574-4_28; U-Net++, Zhou et al. 2018,
doi:10.1007/978-3-030-00889-5_1; DeepLabV3+, Chen et al. 2018, doi:10.1007/978-3-030-01234-2_49.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from torch import nn

from robustness.errors import InputError, one_line
from robustness.registry import MODELS
from robustness.runners.inference.embedding import Tensors
from robustness.runners.inference.preprocess import Preprocess
from robustness.runners.inference.segmenter import SplitNetwork
from robustness.runners.models.entry import Config, ModelEntry, Shapes, merge

# Blocks per stage, and whether a block has three convolutions.
_RESNETS = {
    ((2, 2, 2, 2), False): "resnet18",
    ((3, 4, 6, 3), False): "resnet34",
    ((3, 4, 6, 3), True): "resnet50",
    ((3, 4, 23, 3), True): "resnet101",
    ((3, 8, 36, 3), True): "resnet152",
}
_COMMON: Config = {
    "arch": "",
    "encoder_name": "resnet50",
    "encoder_depth": 5,
    "encoder_weights": None,
    "in_channels": 3,
    "classes": 1,
    "class_index": None,
    "activation": None,
    "image_size": 256,
}


class CnnNetwork(SplitNetwork):
    """Encoder, decoder and head of segmentation-models-pytorch under its own state-dict keys; text is ignored.

    Args:
        whole: the library's model.
        multiple: what the sides of an image must be multiples of.
        class_index: the output channel that is the mask.
    """

    takes_text = False

    def __init__(self, whole: Any, *, multiple: int, class_index: int) -> None:
        super().__init__()
        self.encoder, self.decoder, self.segmentation_head = whole.encoder, whole.decoder, whole.segmentation_head
        self.multiple, self.class_index = multiple, class_index

    def encode_image(self, pixel_values: torch.Tensor) -> Tensors:
        """Return the logits (B, 1, H, W) of pixel values (B, 3, H, W): there is nothing else to wait for.

        Raises:
            InputError: a side is not a multiple of `multiple`.
        """
        return self.image_embedding(self.image_features(pixel_values))

    def image_features(self, pixel_values: torch.Tensor) -> Tensors:
        """Return the encoder's maps, finest first; the first is the image itself."""
        height, width = pixel_values.shape[-2:]
        if height % self.multiple or width % self.multiple:
            raise InputError(
                f"pixel_values: expected sides that are multiples of {self.multiple}, got {height} x {width}; "
                "choose another image_size"
            )
        return tuple(self.encoder(pixel_values))

    def image_embedding(self, features: Tensors) -> Tensors:
        """Return the logits of the encoder's maps."""
        logits = self.segmentation_head(self.decoder(list(features)))
        return (logits[:, self.class_index : self.class_index + 1],)

    def decode(self, image: Tensors, text: Tensors) -> torch.Tensor:
        """Return the logits."""
        return image[0]


class CnnEntry(ModelEntry):
    """Base of the baselines; a subclass names the library's class and its own fields.

    `encoder_name` is any encoder of segmentation-models-pytorch; for ResNets the checkpoint tells it. Fresh networks
    are random unless `encoder_weights` names weights that the library fetches ("imagenet"; "none" for none). A
    checkpoint of several classes needs `class_index`, the channel to audit.

    Class attributes:
        arch: the library's class.
        fields: its further arguments, with the library's defaults.
        multiple: what the sides of an image must be multiples of.
    """

    takes_text: ClassVar[bool] = False
    signature: ClassVar[tuple[str, ...]] = ("segmentation_head.", "encoder.", "decoder.")
    encoders: ClassVar[Mapping[str, tuple[str, ...]]] = {"image": ("encoder.",)}
    presets: ClassVar[Mapping[str, Config]] = {"tiny": {"encoder_name": "resnet18", "image_size": 64}}
    arch: ClassVar[str] = ""
    fields: ClassVar[Config] = {}
    multiple: ClassVar[int] = 32

    def default_config(self) -> Config:
        """Return the configuration of the reference benchmark."""
        return merge(_COMMON, {"arch": self.arch, **self.fields})

    def config_from_file(self, document: Config) -> Config:
        """Return what the ``config.json`` of segmentation-models-pytorch says, its fetched weights apart."""
        if document.get("_model_class") != self.arch and "encoder_name" not in document:
            return {}
        names = set(self.default_config()) - {"arch", "encoder_weights", "class_index", "image_size"}
        return {key: document[key] for key in names & set(document) if document[key] is not None}

    def config_from_shapes(self, shapes: Shapes, config: Config) -> Config:
        """Return channels, classes, the decoder's widths and, for ResNets, the encoder."""
        fields = {
            "encoder_name": resnet_name(shapes),
            "in_channels": axis(shapes, "encoder.conv1.weight", 1),
            "classes": axis(shapes, "segmentation_head.0.weight", 0),
            **self.decoder_fields(shapes),
        }
        return {key: value for key, value in fields.items() if value is not None}

    def decoder_fields(self, shapes: Shapes) -> Config:
        """Return what the decoder's shapes tell; None for what they do not."""
        return {}

    def preprocess(self, config: Config) -> Preprocess:
        """Return a square of `image_size` and ImageNet's statistics."""
        return Preprocess(image_size=config["image_size"])

    def build(self, config: Config) -> nn.Module:
        """Return a `CnnNetwork` with fresh weights."""
        weights = config["encoder_weights"]
        return self._assemble(config, encoder_weights=None if weights == "none" else weights)

    def skeleton(self, config: Config) -> nn.Module:
        """Return a `CnnNetwork` for weights that are at hand, so that none are fetched."""
        return self._assemble(config, encoder_weights=None)

    def _assemble(self, config: Config, *, encoder_weights: str | None) -> nn.Module:
        import segmentation_models_pytorch as smp

        class_index = _checked_class(config)
        if config["arch"] != self.arch:
            raise InputError(f"config: expected arch to be {self.arch!r}, got {config['arch']!r}; load it by its name")
        if config["in_channels"] != 3:
            raise InputError(
                f"in_channels: expected 3, images are RGB, got a network for {config['in_channels']}; wrap it with "
                "name = 'python', where its preparation is yours to write"
            )
        if config["activation"] is not None:
            raise InputError(f"config: expected activation to be None (logits), got {config['activation']!r}")
        names = ("encoder_name", "encoder_depth", "in_channels", "classes", *self.fields)
        arguments = {name: config[name] for name in names}
        try:
            whole = getattr(smp, self.arch)(encoder_weights=encoder_weights, **arguments)
        except Exception as error:  # the library fetches weights through several clients, each with errors of its own
            reason = one_line(error, most=200)
            raise InputError(f"config: segmentation-models-pytorch cannot build {self.arch} ({reason})") from error
        return CnnNetwork(whole, multiple=self.multiple, class_index=class_index)


def numbered_widths(shapes: Shapes, key: Callable[[int], str]) -> list[int] | None:
    """Return the first axes of ``key(0)``, ``key(1)``, ... as far as there are any; None without the first."""
    widths: list[int] = []
    while (width := axis(shapes, key(len(widths)), 0)) is not None:
        widths.append(width)
    return widths or None


def resnet_name(shapes: Shapes) -> str | None:
    """Return which plain ResNet the encoder is; None for every other encoder."""
    plain = (
        axis(shapes, "encoder.layer1.0.conv1.weight", 0) == 64
        and axis(shapes, "encoder.layer1.0.conv2.weight", 1) == 64
    )
    if not plain or any(".se_module." in key for key in shapes):
        return None
    blocks = tuple(
        len({key.split(".")[2] for key in shapes if key.startswith(f"encoder.layer{stage}.")}) for stage in range(1, 5)
    )
    return _RESNETS.get((blocks, "encoder.layer1.0.conv3.weight" in shapes))  # type: ignore[arg-type]


def axis(shapes: Shapes, key: str, index: int) -> int | None:
    """Return one axis of one entry, None where there is none."""
    shape = shapes.get(key, ())
    return int(shape[index]) if index < len(shape) else None


def _checked_class(config: Config) -> int:
    classes, chosen = config["classes"], config["class_index"]
    if chosen is None and classes == 1:
        return 0
    if not isinstance(chosen, int) or not 0 <= chosen < classes:
        raise InputError(
            f"class_index: expected a channel from 0 to {classes - 1} of {classes} classes, got {chosen!r}"
        )
    return chosen


@MODELS.add("unet")
class UNetEntry(CnnEntry):
    """U-Net of segmentation-models-pytorch; images may have any size."""

    title: ClassVar[str] = "U-Net (segmentation-models-pytorch), image only"
    arch: ClassVar[str] = "Unet"
    fields: ClassVar[Config] = {"decoder_channels": [256, 128, 64, 32, 16]}
    multiple: ClassVar[int] = 1

    def decoder_fields(self, shapes: Shapes) -> Config:
        """Return the widths of the decoder's blocks."""
        return {"decoder_channels": numbered_widths(shapes, lambda n: f"decoder.blocks.{n}.conv1.0.weight")}


@MODELS.add("unetplusplus")
class UNetPlusPlusEntry(CnnEntry):
    """U-Net++ of segmentation-models-pytorch; sides of images are multiples of 32."""

    title: ClassVar[str] = "U-Net++ (segmentation-models-pytorch), image only"
    arch: ClassVar[str] = "UnetPlusPlus"
    fields: ClassVar[Config] = {"decoder_channels": [256, 128, 64, 32, 16]}

    def decoder_fields(self, shapes: Shapes) -> Config:
        """Return the widths of the decoder's first row."""
        return {"decoder_channels": numbered_widths(shapes, lambda n: f"decoder.blocks.x_0_{n}.conv1.0.weight")}


@MODELS.add("deeplabv3plus")
class DeepLabV3PlusEntry(CnnEntry):
    """DeepLabV3+ of segmentation-models-pytorch; sides of images are multiples of 16."""

    title: ClassVar[str] = "DeepLabV3+ (segmentation-models-pytorch), image only"
    arch: ClassVar[str] = "DeepLabV3Plus"
    fields: ClassVar[Config] = {
        "decoder_channels": 256,
        "encoder_output_stride": 16,
        "decoder_atrous_rates": [12, 24, 36],
        "upsampling": 4,
    }
    multiple: ClassVar[int] = 16

    def decoder_fields(self, shapes: Shapes) -> Config:
        """Return the decoder's width."""
        return {"decoder_channels": axis(shapes, "decoder.block2.0.1.weight", 0)}
