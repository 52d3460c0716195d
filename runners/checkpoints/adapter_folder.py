"""Adapter folders of peft: low-rank changes (LoRA) of a base checkpoint, added to its weights.

Reference: Hu et al. 2021, "LoRA: low-rank adaptation of large language models", arXiv:2106.09685; rank-stabilised
scale: Kalajdzievski 2023, arXiv:2312.03732. A weight W with factors A (r, in) and B (out, r) becomes
``W + s * B A`` with ``s = alpha / r``, or ``alpha / sqrt(r)`` where the folder says so.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from robustness.errors import InputError

_ADAPTER = re.compile(r"\.lora_[A-Za-z_]+(?:\.|$)")
_BASE = ".base_layer."

CONFIG = "adapter_config.json"
WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")
_PREFIXES = ("base_model.model.", "base_model.")
_FACTOR = re.compile(r"^(?P<layer>.*)\.lora_(?P<side>[AB])(?:\.[^.]+)?\.weight$")
_SAVED = re.compile(r"\.modules_to_save\.[^.]+\.")


def is_adapter(folder: Path) -> bool:
    """Return whether a folder holds an adapter of peft."""
    return (folder / CONFIG).is_file()


def adapter_config(folder: Path) -> dict[str, Any]:
    """Return the adapter's configuration.

    Raises:
        InputError: no JSON, or an adapter that is not added to weights (prompt tuning, IA3, DoRA).
    """
    try:
        config: Any = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"checkpoint: {folder / CONFIG} is not valid JSON ({error})") from error
    kind = str(config.get("peft_type", "")) if isinstance(config, dict) else ""
    if kind != "LORA" or config.get("use_dora"):
        form = "DoRA" if kind == "LORA" else kind or "no kind"
        raise InputError(
            f"checkpoint: expected a LoRA adapter in {folder}, got {form}; merge it with peft's merge_and_unload() and "
            "save the whole model"
        )
    return dict(config)


def adapter_weights(folder: Path) -> Path:
    """Return the file of the adapter's weights.

    Raises:
        InputError: none lies in the folder.
    """
    for name in WEIGHTS:
        if (folder / name).is_file():
            return folder / name
    raise InputError(f"checkpoint: {folder} has {CONFIG} but no {' or '.join(WEIGHTS)}; copy the whole folder")


def merged(
    base: Mapping[str, torch.Tensor], adapter: Mapping[str, torch.Tensor], config: Mapping[str, Any], source: str
) -> dict[str, torch.Tensor]:
    """Return the weights of `base` with the adapter's changes added, in the type of the base.

    Args:
        base: the base network's state dict.
        adapter: what the adapter's file holds; whole weights among it (``modules_to_save``, biases) replace the base's.
        config: of the adapter.
        source: the adapter, for messages.

    Raises:
        InputError: a change of a weight that the base does not have, or of another shape.
    """
    factors: dict[str, dict[str, torch.Tensor]] = {}
    state = dict(base)
    for key, value in adapter.items():
        name = _without_prefix(key)
        match = _FACTOR.match(name)
        if match:
            factors.setdefault(match["layer"], {})[match["side"]] = value
        else:
            _replace(state, _SAVED.sub(".", name), value, source)
    if not factors:
        raise InputError(f"checkpoint: expected factors lora_A and lora_B in {source}, found none")
    for layer, pair in factors.items():
        weight = state.get(f"{layer}.weight")
        if weight is None or set(pair) != {"A", "B"}:
            what = "both factors" if weight is not None else "a weight of the base"
            raise InputError(
                f"checkpoint: {source} changes {layer!r}, expected {what}, found none; is the base another?"
            )
        state[f"{layer}.weight"] = _changed(
            weight, pair["A"], pair["B"], _scale(config, layer, pair["A"]), layer, source
        )
    return state


def _without_prefix(key: str) -> str:
    return next((key[len(p) :] for p in _PREFIXES if key.startswith(p)), key)


def _replace(state: dict[str, torch.Tensor], key: str, value: torch.Tensor, source: str) -> None:
    if key not in state or state[key].shape != value.shape:
        raise InputError(
            f"checkpoint: {source} holds {key!r} {list(value.shape)}, which the base has not in that shape; "
            "is the base another, or the adapter no LoRA?"
        )
    state[key] = value


def _scale(config: Mapping[str, Any], layer: str, factor: torch.Tensor) -> float:
    alpha = _by_pattern(config.get("alpha_pattern"), layer, config.get("lora_alpha", 8))
    rank = factor.shape[0]
    return float(alpha) / (math.sqrt(rank) if config.get("use_rslora") else rank)


def _by_pattern(patterns: Any, layer: str, default: Any) -> Any:
    for pattern, value in (patterns or {}).items():
        if re.match(rf"(.*\.)?({pattern})$", layer):
            return value
    return default


def _changed(
    weight: torch.Tensor, down: torch.Tensor, up: torch.Tensor, scale: float, layer: str, source: str
) -> torch.Tensor:
    change = (up.float().flatten(1) @ down.float().flatten(1)) * scale
    if change.numel() != weight.numel():
        raise InputError(
            f"checkpoint: {source} changes {layer!r} by {list(change.shape)}, the base's weight is {list(weight.shape)}"
        )
    if weight.ndim == 2 and change.shape != weight.shape:
        change = change.T
    return (weight.float() + change.reshape(weight.shape)).to(weight.dtype)


def merged_state(network: nn.Module) -> dict[str, torch.Tensor]:
    """Return the state dict of a network as if its adapters had been added to the weights; without any, as it is."""
    changes = {
        name: module.get_delta_weight("default").detach()
        for name, module in network.named_modules()
        if hasattr(module, "get_delta_weight") and hasattr(module, "base_layer")
    }
    state: dict[str, torch.Tensor] = {}
    for key, value in network.state_dict().items():
        if _ADAPTER.search(key):
            continue
        owner, marker, field = key.rpartition(_BASE)
        if marker and field == "weight" and owner in changes:
            value = value + changes[owner].to(value.dtype)
        state[key.replace(_BASE, ".")] = value
    return state
