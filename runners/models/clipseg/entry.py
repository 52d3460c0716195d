"""The model `clipseg`: its published configuration, and what the shapes of its weights tell of another."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import nn

from robustness.errors import InputError, one_line
from robustness.registry import MODELS
from robustness.runners.inference.preprocess import Preprocess
from robustness.runners.models.clipseg.network import ClipSegNetwork
from robustness.runners.models.entry import Config, ModelEntry, Shapes, merge
from robustness.runners.models.tokenizers.clip import VOCABULARY_SIZE, ClipTokenizer, has_vocabulary

if TYPE_CHECKING:
    from robustness.runners.checkpoints.prefixes import Relaid

# CIDAS/clipseg-rd64-refined: the decoder, then all of it.
PUBLISHED_DECODER: Config = {
    "projection_dim": 512,
    "extract_layers": [3, 6, 9],
    "reduce_dim": 64,
    "decoder_num_attention_heads": 4,
    "decoder_intermediate_size": 2048,
    "conditional_layer": 0,
    "use_complex_transposed_convolution": True,
}
_PUBLISHED: Config = {
    **PUBLISHED_DECODER,
    "text_config": {
        "vocab_size": VOCABULARY_SIZE,
        "hidden_size": 512,
        "intermediate_size": 2048,
        "num_hidden_layers": 12,
        "num_attention_heads": 8,
        "max_position_embeddings": 77,
        "hidden_act": "quick_gelu",
        "layer_norm_eps": 1e-5,
        "pad_token_id": 1,
        "bos_token_id": 0,
        "eos_token_id": 2,
    },
    "vision_config": {
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "image_size": 224,
        "patch_size": 16,
        "hidden_act": "quick_gelu",
        "layer_norm_eps": 1e-5,
    },
}
_TINY: Config = {
    "projection_dim": 32,
    "extract_layers": [0, 1, 2],
    "reduce_dim": 16,
    "decoder_intermediate_size": 32,
    "text_config": {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4},
    "vision_config": {
        "hidden_size": 48,
        "intermediate_size": 96,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "image_size": 64,
    },
}
# The published weights were trained at 224 pixels for the vision part and at 352 for segmentation.
_SEGMENTATION_SIZE = {224: 352}
# Fields of a network with learned context tokens or adapters (`TunedClipSegNetwork`); the shapes tell both.
_TUNED = ("context_tokens", "adapters")
_RESAMPLING = {0: "nearest", 2: "bilinear", 3: "bicubic"}


@MODELS.add("clipseg")
class ClipSegModel(ModelEntry):
    """CLIPSeg from transformers folders, hub names or state dicts of the reference benchmark."""

    title = "CLIPSeg (CLIP ViT-B/16, FiLM, transformer decoder)"
    published = "CIDAS/clipseg-rd64-refined"
    presets: ClassVar[Mapping[str, Config]] = {"tiny": _TINY}
    prefixes = ("module.", "net.", "net.clipseg.", "clipseg.")
    signature: ClassVar[tuple[str, ...]] = ("clip.vision_model.", "decoder.film_mul.")
    encoders: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "text": (
            "clip.text_model.",
            "clip.text_projection.",
            "context_vectors",
            "text_adapters.",
            "condition_adapter.",
        ),
        "image": ("clip.",),
    }

    @staticmethod
    def relay(state: Mapping[str, torch.Tensor], base: Mapping[str, torch.Tensor] | None, source: str) -> Relaid | None:
        """Return weights in the layouts of the authors, of TuneVLSeg and of VLSM-Adapter under this network's keys."""
        from robustness.runners.models.clipseg.layouts import relaid

        return relaid(state, base, source)

    def default_config(self) -> Config:
        """Return the configuration of CIDAS/clipseg-rd64-refined."""
        return merge(_PUBLISHED, {})

    def config_from_file(self, document: Config) -> Config:
        """Return the fields of a transformers ``config.json``; what it leaves out are transformers' defaults."""
        if document.get("model_type") != "clipseg":
            return {}
        whole = _transformers_config(document).to_dict()
        return _only_known(whole, _PUBLISHED)

    def config_from_shapes(self, shapes: Shapes, config: Config) -> Config:
        """Return every width, depth and size; heads, extracted layers and activations are not in the shapes."""
        return config_from_shapes(shapes)

    def preprocess(self, config: Config) -> Preprocess:
        """Return 352 x 352 for the published vision part, else the vision part's own size; ImageNet statistics."""
        size = config["vision_config"]["image_size"]
        return Preprocess(
            image_size=_SEGMENTATION_SIZE.get(size, size),
            tokenizer="clip-bpe",
            context_length=config["text_config"]["max_position_embeddings"] - config.get("context_tokens", 0),
        )

    def preprocess_from_folder(self, folder: Path, default: Preprocess) -> Preprocess:
        """Return `default` with what a ``preprocessor_config.json`` in `folder` states."""
        path = folder / "preprocessor_config.json"
        if not path.is_file():
            return default
        try:
            stated = json.loads(path.read_text(encoding="utf-8"))
            size = stated.get("size", default.image_size)
            side = size if isinstance(size, int) else size.get("height", size.get("shortest_edge", default.image_size))
            changes = {
                "image_size": int(side),
                "interpolation": _RESAMPLING.get(stated.get("resample", 2), "bilinear"),
                "mean": stated.get("image_mean", default.mean),
                "std": stated.get("image_std", default.std),
            }
        except (ValueError, AttributeError, TypeError) as error:
            raise InputError(f"checkpoint: {path} is not a description of an image processor ({error})") from error
        return Preprocess.from_dict({**default.as_dict(), **changes})

    def build(self, config: Config) -> nn.Module:
        """Return a `ClipSegNetwork` with fresh weights."""
        network = self._assemble(config)
        # transformers draws these with a deviation of 1, from which every mask starts saturated.
        heads = (network.decoder.reduces, network.decoder.transposed_convolution)
        for module in (network.decoder.film_mul, network.decoder.film_add, *(m for h in heads for m in h.modules())):
            if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
                module.reset_parameters()
        return network

    def _assemble(self, config: Config) -> ClipSegNetwork:
        from transformers import CLIPSegForImageSegmentation

        layers, depth = config["extract_layers"], config["vision_config"]["num_hidden_layers"]
        if not layers or not all(0 <= layer < depth for layer in layers):
            raise InputError(f"extract_layers: expected layers between 0 and {depth - 1}, got {layers}")
        whole = CLIPSegForImageSegmentation(_transformers_config(config))
        tuned = {key: config[key] for key in _TUNED if config.get(key)}
        if not tuned:
            return ClipSegNetwork(whole)
        from robustness.runners.models.clipseg.network import TunedClipSegNetwork

        return TunedClipSegNetwork(whole, **tuned)

    def skeleton(self, config: Config) -> nn.Module:
        """Return a `ClipSegNetwork` with undefined weights; drawing 150 M of them takes longer than reading them."""
        from transformers.initialization import no_init_weights

        with no_init_weights():
            return self._assemble(config)

    def tokenizer(self, config: Config, folder: Path | None) -> ClipTokenizer | None:
        """Return CLIP's tokenizer; None where the network's vocabulary is another and `folder` holds no files."""
        text = config["text_config"]
        if not has_vocabulary(folder) and text["vocab_size"] < VOCABULARY_SIZE:
            return None
        length = text["max_position_embeddings"] - config.get("context_tokens", 0)
        return ClipTokenizer(context_length=length, folder=folder)


def _transformers_config(document: Mapping[str, Any]) -> Any:
    from transformers import CLIPSegConfig

    try:
        return CLIPSegConfig.from_dict({k: v for k, v in merge(document, {}).items() if k not in _TUNED})
    except Exception as error:  # transformers validates with errors of its own, none of them a ValueError
        reason = one_line(error)
        raise InputError(f"config: expected the configuration of a CLIPSeg network ({reason})") from error


def _only_known(document: Mapping[str, Any], defaults: Mapping[str, Any]) -> Config:
    out: Config = {}
    for key, default in defaults.items():
        if key not in document:
            continue
        value = document[key]
        out[key] = _only_known(value, default) if isinstance(default, Mapping) else value
    return out


def config_from_shapes(shapes: Shapes) -> Config:
    """Return every width, depth and size; heads, extracted layers and activations are not in the shapes."""
    text = _sizes(
        shapes,
        embedding="clip.text_model.embeddings.token_embedding.weight",
        layers="clip.text_model.encoder.layers.",
    )
    vision = _sizes(
        shapes,
        embedding="clip.vision_model.embeddings.position_embedding.weight",
        layers="clip.vision_model.encoder.layers.",
    )
    text["max_position_embeddings"] = _axis(shapes, "clip.text_model.embeddings.position_embedding.weight", 0)
    text["vocab_size"] = _axis(shapes, "clip.text_model.embeddings.token_embedding.weight", 0)
    patch = _axis(shapes, "clip.vision_model.embeddings.patch_embedding.weight", 3)
    positions = _axis(shapes, "clip.vision_model.embeddings.position_embedding.weight", 0)
    vision["patch_size"] = patch
    vision["image_size"] = None if patch is None or positions is None else patch * math.isqrt(positions - 1)
    head = "decoder.transposed_convolution"
    complex_head = f"{head}.0.weight" in shapes
    fields: Config = {
        "projection_dim": _axis(shapes, "clip.text_projection.weight", 0),
        "reduce_dim": _axis(shapes, "decoder.film_mul.weight", 0),
        "decoder_intermediate_size": _axis(shapes, "decoder.layers.0.mlp.fc1.weight", 0),
        "use_complex_transposed_convolution": True if complex_head else (False if f"{head}.weight" in shapes else None),
        "text_config": _stated(text),
        "vision_config": _stated(vision),
        "context_tokens": _axis(shapes, "context_vectors", 0),
        "adapters": _adapter_widths(shapes) or None,
    }
    return _stated(fields)


def _adapter_widths(shapes: Shapes) -> dict[str, int]:
    keys = {"vision": "vision_adapters.0", "text": "text_adapters.0", "condition": "condition_adapter"}
    return {part: shapes[f"{key}.fc1.weight"][0] for part, key in keys.items() if f"{key}.fc1.weight" in shapes}


def _sizes(shapes: Shapes, *, embedding: str, layers: str) -> Config:
    numbers = {
        int(rest) for key in shapes if key.startswith(layers) and (rest := key[len(layers) :].split(".")[0]).isdigit()
    }
    return {
        "hidden_size": _axis(shapes, embedding, 1),
        "intermediate_size": _axis(shapes, f"{layers}0.mlp.fc1.weight", 0),
        "num_hidden_layers": max(numbers) + 1 if numbers else None,
    }


def _axis(shapes: Shapes, key: str, axis: int) -> int | None:
    shape = shapes.get(key, ())
    return int(shape[axis]) if axis < len(shape) else None


def _stated(fields: Config) -> Config:
    return {key: value for key, value in fields.items() if value is not None}
