"""Configuration of a network from the shapes of a CRIS or a CLIP ResNet state dict."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from robustness.runners.models.entry import Config, Shapes

_BACKBONE = "backbone."
# CLIP's archives hold these beside the weights; CRIS has no place for them.
_SCALARS = ("input_resolution", "context_length", "vocab_size")


def config_from_shapes(shapes: Shapes, config: Config) -> Config:
    """Return the fields of CRIS's configuration that `shapes` tell; shapes of other networks tell few or none.

    Args:
        shapes: key to shape of the file.
        config: what is known otherwise; `word_len` is cut to the positions that the file has.
    """
    alone = _is_backbone_alone(shapes)
    clip = _clip_fields(shapes, "" if alone else _BACKBONE)
    head = _head_from_clip(clip, config) if alone else _head_fields(shapes)
    fields = {key: value for key, value in {**clip, **head}.items() if value is not None}
    if "context_length" in fields and config["word_len"] > fields["context_length"]:
        fields["word_len"] = fields["context_length"]
    return {**fields, "loaded": "backbone" if alone else "all"}


def backbone_part(network_keys: Iterable[str], shapes: Shapes) -> tuple[dict[str, str], dict[str, tuple[int, ...]]]:
    """Return, for a file of CLIP alone: its keys to the network's, and what in it stays unused, with shapes."""
    # `connect` is CRIS's own addition to the attention pool.
    keys = [key for key in network_keys if key.startswith(_BACKBONE) and ".attnpool.connect." not in key]
    unused = {key: shape for key, shape in shapes.items() if key in _SCALARS or key.endswith(".attn_mask")}
    return {key.removeprefix(_BACKBONE): key for key in keys}, unused


def _is_backbone_alone(shapes: Shapes) -> bool:
    return "visual.attnpool.k_proj.weight" in shapes and not any(key.startswith("neck.") for key in shapes)


def _clip_fields(shapes: Shapes, prefix: str) -> Config:
    positions = _axis(shapes, f"{prefix}visual.attnpool.positional_embedding", 0)
    layers = [_count(shapes, f"{prefix}visual.layer{stage}.") for stage in range(1, 5)]
    return {
        "embed_dim": _axis(shapes, f"{prefix}text_projection", 1),
        "clip_image_resolution": None if positions is None else 32 * math.isqrt(positions - 1),
        "vision_layers": layers if all(layers) else None,
        "vision_width": _axis(shapes, f"{prefix}visual.layer1.0.conv1.weight", 0),
        "context_length": _axis(shapes, f"{prefix}positional_embedding", 0),
        "vocab_size": _axis(shapes, f"{prefix}token_embedding.weight", 0),
        "transformer_width": _axis(shapes, f"{prefix}ln_final.weight", 0),
        "transformer_layers": _count(shapes, f"{prefix}transformer.resblocks.") or None,
    }


def _head_fields(shapes: Shapes) -> Config:
    projections = ("neck.f3_v_proj.0.weight", "neck.f2_v_proj.0.weight", "neck.f1_v_proj.0.weight")
    fpn_in = [_axis(shapes, key, 1) for key in projections]
    fpn_out = [_axis(shapes, key, 0) for key in projections]
    return {
        "fpn_in": fpn_in if None not in fpn_in else None,
        "fpn_out": fpn_out if None not in fpn_out else None,
        "vis_dim": _axis(shapes, "decoder.norm.weight", 0),
        "word_dim": _axis(shapes, "proj.txt.weight", 1),
        "num_layers": _count(shapes, "decoder.layers.") or None,
        "dim_ffn": _axis(shapes, "decoder.layers.0.ffn.0.weight", 0),
    }


def _head_from_clip(clip: Config, config: Config) -> dict[str, Any]:
    """Return the head's sizes that a backbone leaves no choice about."""
    width, embed_dim, text_width = (clip[key] for key in ("vision_width", "embed_dim", "transformer_width"))
    if None in (width, embed_dim, text_width):
        return {}
    low, _, high = config["fpn_out"]
    return {
        "fpn_in": [8 * width, 16 * width, embed_dim],
        "fpn_out": [low, text_width, high],
        "vis_dim": text_width,
        "word_dim": embed_dim,
    }


def _axis(shapes: Shapes, key: str, axis: int) -> int | None:
    shape = shapes.get(key, ())
    return int(shape[axis]) if axis < len(shape) else None


def _count(shapes: Shapes, prefix: str) -> int:
    """Return the number of distinct numbers that follow `prefix` in the keys."""
    return len({key[len(prefix) :].split(".")[0] for key in shapes if key.startswith(prefix)})
