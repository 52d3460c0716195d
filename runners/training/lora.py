"""Low-rank adapters on frozen encoders, and the checkpoint in which they are merged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from robustness.errors import InputError
from robustness.plans.finetune import LoraSpec
from robustness.runners.checkpoints.adapter_folder import _ADAPTER, _BASE
from robustness.runners.inference.segmenter import NetworkSegmenter
from robustness.seeds import generator


def add_adapters(
    segmenter: NetworkSegmenter, spec: LoraSpec, parts: Mapping[str, list[str]], *, seed: int
) -> dict[str, list[str]]:
    """Put adapters on the linear layers of encoders, and on the convolutions of those that are mostly convolutions.

    The network computes what it did until the first step: one of the two factors starts at 0.

    Args:
        segmenter: its network is changed in place.
        spec: rank, scale and the encoders.
        parts: names of parameters by part, before the change.
        seed: of the other factor.

    Returns:
        names of parameters by part, after the change.

    Raises:
        InputError: peft is not installed, or an encoder has no layer to adapt.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise InputError("train.lora: peft is not installed; pip install 'vlsm-robustness[lora]'") from error
    targets = [name for part in spec.parts for name in _layers(segmenter.network, part, parts[part])]
    before = {name: parameter.requires_grad for name, parameter in segmenter.network.named_parameters()}
    config = LoraConfig(
        r=spec.rank,
        lora_alpha=spec.alpha,  # type: ignore[arg-type]
        lora_dropout=spec.dropout,
        target_modules=targets,
        bias="none",
    )
    with torch.random.fork_rng():
        torch.manual_seed(int(generator(seed, "lora").integers(2**63)))
        inject_adapter_in_model(config, segmenter.network)
    # peft freezes everything that is no adapter; what the plan lets learn goes on learning.
    now: dict[str, list[str]] = {part: [] for part in parts}
    owner = {name: part for part, names in parts.items() for name in names}
    for name, parameter in segmenter.network.named_parameters():
        original = name.replace(_BASE, ".")
        parameter.requires_grad_(bool(_ADAPTER.search(name)) or before.get(original, False))
        now[owner.get(original) or _part_of_adapter(name, owner)].append(name)
    return now


def _layers(network: nn.Module, part: str, names: list[str]) -> list[str]:
    """Return the modules of an encoder that get adapters."""
    modules: dict[str, Any] = dict(network.named_modules())
    owners = [name.rpartition(".")[0] for name in names if name.endswith(".weight")]
    linear = [owner for owner in owners if isinstance(modules[owner], nn.Linear)]
    convolutions = [owner for owner in owners if isinstance(modules[owner], nn.Conv2d) and modules[owner].groups == 1]
    heavy = sum(modules[o].weight.numel() for o in convolutions) > sum(modules[o].weight.numel() for o in linear)
    chosen = linear + (convolutions if heavy else [])
    if not chosen:
        raise InputError(f"train.lora: expected a linear or convolutional layer in the {part} encoder, found none")
    return chosen


def _part_of_adapter(name: str, owner: Mapping[str, str]) -> str:
    layer = _ADAPTER.split(name)[0]
    return next(part for original, part in owner.items() if original.startswith(f"{layer}."))
