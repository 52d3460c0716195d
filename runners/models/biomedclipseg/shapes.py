"""Configuration of a network from the shapes of a BiomedCLIPSeg or a BiomedCLIP state dict."""

from __future__ import annotations

import math
from collections.abc import Iterable

from robustness.runners.models.entry import Config, Shapes

PREFIX = "biomedclip."


def config_from_shapes(shapes: Shapes) -> Config:
    """Return the fields of BiomedCLIPSeg's configuration that `shapes` tell; other networks' tell few or none."""
    alone = "visual.trunk.cls_token" in shapes
    prefix = "" if alone else PREFIX
    vit, bert = _vit_fields(shapes, f"{prefix}visual.trunk."), _bert_fields(shapes, f"{prefix}text.transformer.")
    embed_dim = _axis(shapes, f"{prefix}visual.head.proj.weight", 0)
    decoder = {"projection_dim": embed_dim} if alone else _decoder_fields(shapes)
    fields = {"embed_dim": embed_dim, "vit": _stated(vit), "bert": _stated(bert), "clipseg": _stated(decoder)}
    return {**_stated(fields), "loaded": "backbone" if alone else "all"}


def backbone_part(network_keys: Iterable[str]) -> dict[str, str]:
    """Return the keys of a file of BiomedCLIP alone, each with its key in the network."""
    return {key.removeprefix(PREFIX): key for key in network_keys if key.startswith(PREFIX)}


def _vit_fields(shapes: Shapes, prefix: str) -> Config:
    width = _axis(shapes, f"{prefix}cls_token", 2)
    patch = _axis(shapes, f"{prefix}patch_embed.proj.weight", 3)
    positions = _axis(shapes, f"{prefix}pos_embed", 1)
    hidden = _axis(shapes, f"{prefix}blocks.0.mlp.fc1.weight", 0)
    return {
        "img_size": None if patch is None or positions is None else patch * math.isqrt(positions - 1),
        "patch_size": patch,
        "embed_dim": width,
        "depth": _count(shapes, f"{prefix}blocks.") or None,
        "mlp_ratio": None if hidden is None or not width else hidden / width,
    }


def _bert_fields(shapes: Shapes, prefix: str) -> Config:
    return {
        "vocab_size": _axis(shapes, f"{prefix}embeddings.word_embeddings.weight", 0),
        "hidden_size": _axis(shapes, f"{prefix}embeddings.word_embeddings.weight", 1),
        "num_hidden_layers": _count(shapes, f"{prefix}encoder.layer.") or None,
        "intermediate_size": _axis(shapes, f"{prefix}encoder.layer.0.intermediate.dense.weight", 0),
        "max_position_embeddings": _axis(shapes, f"{prefix}embeddings.position_embeddings.weight", 0),
        "type_vocab_size": _axis(shapes, f"{prefix}embeddings.token_type_embeddings.weight", 0),
    }


def _decoder_fields(shapes: Shapes) -> Config:
    head = "decoder.transposed_convolution"
    heads = {f"{head}.0.weight": True, f"{head}.weight": False}
    return {
        "projection_dim": _axis(shapes, "decoder.film_mul.weight", 1),
        "reduce_dim": _axis(shapes, "decoder.film_mul.weight", 0),
        "decoder_intermediate_size": _axis(shapes, "decoder.layers.0.mlp.fc1.weight", 0),
        "use_complex_transposed_convolution": next(
            (is_complex for key, is_complex in heads.items() if key in shapes), None
        ),
    }


def _axis(shapes: Shapes, key: str, axis: int) -> int | None:
    shape = shapes.get(key, ())
    return int(shape[axis]) if axis < len(shape) else None


def _count(shapes: Shapes, prefix: str) -> int:
    """Return the number of distinct numbers that follow `prefix` in the keys."""
    return len({key[len(prefix) :].split(".")[0] for key in shapes if key.startswith(prefix)})


def _stated(fields: Config) -> Config:
    return {key: value for key, value in fields.items() if value is not None}
