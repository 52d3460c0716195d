"""Adapters of peft: low-rank changes (LoRA) in a folder, added to a base checkpoint; all others, which are refused.

Reference: Hu et al. 2021, "LoRA: low-rank adaptation of large language models", arXiv:2106.09685; rank-stabilised
scale: Kalajdzievski 2023, arXiv:2312.03732. A weight W with factors A (r, in) and B (out, r) becomes
``W + s * B A`` with ``s = alpha / r``, or ``alpha / sqrt(r)`` where the folder says so.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Mapping
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
# Settings of a LoRA that change more than a sum of two factors does, and beginnings that change the base itself.
_OTHER_FORMS = {
    "use_dora": "DoRA",
    "alora_invocation_tokens": "an activated LoRA",
    "kasa_config": "KaSA",
    "monteclora_config": "MonteCLoRA",
    "use_bdlora": "BD-LoRA",
    "arrow_config": "Arrow",
    "use_qalora": "QALoRA",
    "layer_replication": "a LoRA of repeated layers",
}
_CHANGE_THE_BASE = ("pissa", "corda", "olora", "loftq", "lora_ga")
# Parts of keys that tell an adapter, the special ones first, and what it is called.
_KINDS = (
    (r"lora_magnitude_vector", "DoRA"),
    (r"lora_E|ranknum", "AdaLoRA"),
    (r"ia3_l", "IA3"),
    (r"lokr_(w[12](_[ab])?|t2)", "LoKr"),
    (r"hada_(w[12]_[ab]|t[12])", "LoHa"),
    (r"p?vera_(lambda_[bd]|[AB])", "VeRA"),
    (r"boft_[RsP]", "BOFT"),
    (r"oft_[RrS]", "OFT"),
    (r"hra_u", "HRA"),
    (r"ln_tuning_layers", "LN tuning"),
    (r"trainable_tokens_(delta|original)", "trainable tokens"),
    (r"poly_lora_[AB]", "Poly"),
    (r"\w*lora_?\w*_(A|B|bank|lambda|gamma|theta_d)|\w*lora_(down|up)|lora_(embedding_)?[AB]", "LoRA"),
    (
        r"(road_theta|miss_block|shira_weight|c3a_kernel|(fourierft|waveft)_spectrum|hira_[AB]|beft_bias|adamss_\w+|deft_[PR])",
        "",
    ),
)
_LEARNED = re.compile(
    r"(?:^|\.)(?:prompt_encoder\.\w+\.(?:embedding\.weight|transform\.|mlp_head|lstm_head)|adaption_(?:prompt|gate))"
)
_WRAPPED = re.compile(r"\.base_layer\.(?:weight|bias)$")
_IN_A_SET = re.compile(r"(?i)(^|[._])(\w*adapters?|\w*lora\w*|peft\w*|prompt_learner|context_learner|ctx)([._]|$)")


def is_adapter(folder: Path) -> bool:
    """Return whether a folder holds an adapter of peft."""
    return (folder / CONFIG).is_file()


def adapter_config(folder: Path) -> dict[str, Any]:
    """Return the adapter's configuration.

    Raises:
        InputError: no JSON, or an adapter that is not added to weights as it is (prompt tuning, IA3, DoRA, PiSSA).
    """
    try:
        config: Any = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"checkpoint: {folder / CONFIG} is not valid JSON ({error})") from error
    kind = str(config.get("peft_type", "")) if isinstance(config, dict) else ""
    if kind != "LORA":
        raise InputError(
            f"checkpoint: expected a LoRA adapter in {folder}, got {kind or 'no kind'}; merge it with peft's "
            "merge_and_unload() and save the whole model"
        )
    _refuse_other_lora(config, folder)
    return dict(config)


def _refuse_other_lora(config: Mapping[str, Any], folder: Path) -> None:
    """Refuse a LoRA whose factors, added to the base, do not give what was trained.

    Raises:
        InputError: it is one.
    """
    form = next((name for key, name in _OTHER_FORMS.items() if config.get(key)), None)
    if form is not None:
        raise InputError(
            f"checkpoint: expected a LoRA adapter in {folder}, got {form}; merge it with peft's merge_and_unload() and "
            "save the whole model"
        )
    start = str(config.get("init_lora_weights", "")).lower()
    if start.startswith(_CHANGE_THE_BASE):
        raise InputError(
            f"checkpoint: expected a LoRA adapter of an unchanged base in {folder}, got init_lora_weights = {start!r}, "
            "which changed the base's weights before the training; call merge_and_unload() on the trained model and "
            "save it whole, or save_pretrained(..., path_initial_model_for_weight_conversion = ...)"
        )


def adapter_kind(keys: Collection[str]) -> tuple[str, str] | None:
    """Return what adapter some of a state dict's keys tell of, and the first of those keys; None for none.

    The name is "" where a key is known to be peft's, and no more.
    """
    for pattern, name in _KINDS:
        segment = re.compile(rf"(?:^|\.)(?:{pattern})(?:\.|$)")
        key = next((key for key in keys if segment.search(key)), None)
        if key is not None:
            return name, key
    key = next((key for key in keys if _WRAPPED.search(key)), None)
    return None if key is None else ("", key)


def refuse_adapters(keys: Collection[str], source: str) -> None:
    """Refuse a state dict in which adapters lie beside the weights that they change, or learned tokens.

    Raises:
        InputError: it holds some; the message names the kind and one key.
    """
    learned = next((key for key in keys if _LEARNED.search(key)), None)
    if learned is not None:
        raise InputError(
            f"checkpoint: {source} holds learned tokens of peft (prefix, prompt or P-tuning: {learned}), which take "
            "the place of words or activations and cannot be merged; wrap the model with name = 'python'"
        )
    adapter = adapter_kind(keys)
    if adapter is None:
        return
    kind, key = adapter
    raise InputError(
        f"checkpoint: {source} holds {kind or 'unnamed'} adapters that are not merged ({key}); plain weights are read, "
        "and LoRA as peft's folder with its base: call peft's merge_and_unload() and save that model's state_dict()"
        + (", or give the adapter's or the training's folder" if kind == "LoRA" else "")
    )


def refuse_adapters_aside(sets: Mapping[str, Collection[str]], source: str) -> None:
    """Refuse adapters or learned prompts that lie in a set of their own beside a network's: without them it is another.

    Args:
        sets: name of each other set to its keys.
        source: the file, for messages.

    Raises:
        InputError: there are some; stating the set of the network loads it without them.
    """
    for name, keys in sets.items():
        adapter = adapter_kind(keys)
        if adapter is not None or _IN_A_SET.search(name) or any(_LEARNED.search(key) for key in keys):
            kind = f"{adapter[0]} adapters" if adapter and adapter[0] else "adapters or learned prompts"
            raise InputError(
                f"checkpoint: {source} holds {kind} under {name!r} beside the network, which is another one without "
                "them; merge them (peft's merge_and_unload()) and save that model's state_dict(), or state weights = "
                "the network's set to load it without them"
            )


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
            _replace(state, _SAVED.sub(".", name).replace(_BASE, "."), value, source)
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
            "is the base another? What is no plain LoRA is merged with peft's merge_and_unload()"
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
