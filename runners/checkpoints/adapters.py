"""LoRA adapters merged into the weights that they adapt."""

from __future__ import annotations

import re

import torch
from torch import nn

_ADAPTER = re.compile(r"\.lora_[A-Za-z_]+(?:\.|$)")


_BASE = ".base_layer."


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
