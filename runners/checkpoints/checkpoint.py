"""Checkpoints: found by content, read without executing anything, compared key by key, written whole."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import save_file
from torch import nn

from robustness.errors import InputError
from robustness.files import sha256_file, write_atomic, write_text
from robustness.runners.checkpoints.adapter_folder import (
    adapter_config,
    adapter_weights,
    is_adapter,
    merged,
    merged_state,
)
from robustness.runners.checkpoints.forms import keys_hint
from robustness.runners.checkpoints.prefixes import Located, Relay, is_position_ids, locate_network
from robustness.runners.checkpoints.weight_files import (
    CONFIG,
    is_own,
    locate,
    read_document,
    read_weights,
    shortened,
    stated_threshold,
    weight_files,
)
from robustness.runners.checkpoints.weight_sets import choose_set, weight_sets
from robustness.runners.inference.segmenter import NetworkSegmenter

WEIGHTS = "model.safetensors"
_WEIGHTS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """What a checkpoint file or folder holds.

    Attributes:
        state: key to tensor, wrapper prefixes cut, ``position_ids`` buffers of old transformers left out.
        document: the ``config.json`` beside the weights, {} without one.
        own: whether `document` is of this package's own format.
        threshold: the mask threshold that the checkpoint states, None where it states none.
        folder: where tokenizer and preprocessing files may lie.
        files: the files that `state` was read from.
        read: how, where there was a choice: set of weights, prefix, number of other keys left out, base.
    """

    source: str
    state: Mapping[str, torch.Tensor]
    document: dict[str, Any]
    own: bool
    threshold: float | None
    folder: Path
    files: tuple[Path, ...]
    read: Mapping[str, Any] = field(default_factory=dict)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return key to shape."""
        return {key: tuple(tensor.shape) for key, tensor in self.state.items()}

    def own_config(self) -> dict[str, Any]:
        """Return the network's configuration from a checkpoint of this package."""
        return dict(self.document.get("config", {}))

    def provenance(self) -> dict[str, Any]:
        """Return the source and the SHA-256 of every weight file."""
        names = [path.name for path in self.files]
        hashes = {
            path.name if names.count(path.name) == 1 else f"{path.parent.name}/{path.name}": sha256_file(path)
            for path in self.files
        }
        trained_on = {"trained_on": self.document["trained_on"]} if self.own and "trained_on" in self.document else {}
        read = {"read": dict(self.read)} if self.read else {}
        return {"checkpoint": self.source, "sha256": hashes, **read, **trained_on}


@dataclass(frozen=True)
class Choice:
    """What a caller says of a checkpoint that holds more than one network, or a change of another.

    Attributes:
        prefix: the beginning of the network's keys.
        weights: the name of the set of weights ("state_dict_ema").
        base: the checkpoint that an adapter changes.
    """

    prefix: str | None = None
    weights: str | None = None
    base: str | None = None


def open_checkpoint(
    checkpoint: str | Path,
    *,
    model: str,
    prefixes: Sequence[str] = (),
    signature: Sequence[str] = (),
    choice: Choice | None = None,
    relay: Relay | None = None,
) -> Checkpoint:
    """Read a checkpoint: a folder, a weight file in any known form, or a hub name.

    Args:
        checkpoint: path or hub name.
        model: the registered name that is being loaded; a config of this package that names another is refused.
        prefixes: key prefixes of wrappers; each is cut where every key has it and `signature` finds nothing.
        signature: beginnings of keys that every network of the model has; they tell where in the file it lies.
        choice: what the caller says of it.
        relay: knows other layouts of the model's weights.

    Raises:
        InputError: absent, damaged, without a state dict, or a pickle that calls something; or several networks lie in
            it, and nothing says which.
    """
    chosen = choice or Choice()
    path = locate(checkpoint)
    if path.is_dir() and is_adapter(path):
        return _with_adapter(checkpoint, path, model, prefixes, signature, chosen)
    folder = path if path.is_dir() else path.parent
    files, state, threshold = _read(path, signature, chosen.weights)
    document = read_document(folder)
    own = document.get("model") == model and isinstance(document.get("config"), dict)
    if own:
        threshold = document.get("threshold", threshold)
    else:
        _refuse_other_model(document, path, model)
    relaid = None if own or relay is None or chosen.prefix is not None else _relaid(state, path, chosen.base, relay)
    if chosen.base is not None and relaid is None:
        raise InputError(f"base: expected none, {checkpoint} is no adapter folder")
    read: dict[str, Any] = {"weights": chosen.weights}
    if relaid is not None:
        state, files = relaid.state, (*files, *relaid.files)
        read |= {"layout": relaid.layout, "base": chosen.base}
    in_place = own or relaid is not None
    located = Located(dict(state), "", 0)
    if not in_place:
        located = locate_network(state, prefixes, signature, chosen.prefix, str(path))
    read |= {"prefix": located.prefix, "left_out": located.left_out}
    return Checkpoint(
        source=str(checkpoint),
        state=located.state,
        document=document if own or "model" not in document else {},
        own=own,
        threshold=threshold,
        folder=folder,
        files=files,
        read={key: value for key, value in read.items() if value},
    )


def _refuse_other_model(document: Mapping[str, Any], path: Path, model: str) -> None:
    """Refuse weights whose config of this package names another model."""
    if is_own(document) and (path.is_dir() or path.name == WEIGHTS):
        folder = path if path.is_dir() else path.parent
        raise InputError(
            f"checkpoint: {folder / CONFIG} says that these weights are of {document['model']!r}, expected {model!r}; "
            "set the model's name, or give the weights without that file"
        )


class _Relaid(NamedTuple):
    """Weights of another layout under the model's own keys, and the files of the base that they needed."""

    state: dict[str, torch.Tensor]
    layout: str
    files: tuple[Path, ...]


def _relaid(state: Mapping[str, torch.Tensor], path: Path, base: str | None, relay: Relay) -> _Relaid | None:
    """Return the weights in the model's own layout; None where theirs is not known."""
    files, weights, _ = _read(locate(base), (), None) if base is not None else ((), None, None)
    known = relay(state, weights, str(path))
    return None if known is None else _Relaid(known.state, known.layout, files)


def _read(
    path: Path, signature: Sequence[str], weights: str | None
) -> tuple[tuple[Path, ...], dict[str, torch.Tensor], float | None]:
    """Return the weight files at a path, the tensors in them, and the threshold that they state."""
    files = weight_files(path) if path.is_dir() else (path,)
    state: dict[str, torch.Tensor] = {}
    threshold = None
    for file in files:
        content = read_weights(file)
        state.update(choose_set(weight_sets(content), signature, weights, str(file)).state)
        threshold = threshold if threshold is not None else stated_threshold(content)
    return files, state, threshold


def _with_adapter(
    checkpoint: str | Path,
    folder: Path,
    model: str,
    prefixes: Sequence[str],
    signature: Sequence[str],
    choice: Choice,
) -> Checkpoint:
    config, file = adapter_config(folder), adapter_weights(folder)
    base_name = choice.base or config.get("base_model_name_or_path")
    if not base_name:
        raise InputError(f"base: {folder} is a LoRA adapter that names no base; give base = CHECKPOINT")
    base_choice = dataclasses.replace(choice, base=None)
    base = open_checkpoint(str(base_name), model=model, prefixes=prefixes, signature=signature, choice=base_choice)
    state = merged(
        base.state, choose_set(weight_sets(read_weights(file)), (), None, str(file)).state, config, str(folder)
    )
    return dataclasses.replace(
        base, source=str(checkpoint), state=state, files=(*base.files, file), read={**base.read, "base": str(base_name)}
    )


def save_checkpoint(
    folder: str | Path, segmenter: NetworkSegmenter, *, trained_on: Mapping[str, Any] | None = None
) -> Path:
    """Write a segmenter as ``model.safetensors`` + ``config.json`` (and its vocabulary, where it has files).

    Each file is written atomically. Returns the folder; `load_model(segmenter.model, folder)` reads it.
    """
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    merged = merged_state(segmenter.network)
    state = {k: v.detach().cpu().contiguous().clone() for k, v in merged.items()}
    document = {
        "model": segmenter.model or segmenter.name,
        "config": dict(segmenter.config),
        "threshold": segmenter.threshold,
        "preprocess": segmenter.preprocess.as_dict(),
        "trained_on": dict(trained_on or {}),
    }
    save_vocabulary = getattr(segmenter.tokenizer, "save", None)
    if save_vocabulary is not None:
        save_vocabulary(target)
    write_atomic(target / WEIGHTS, lambda temporary: save_file(state, str(temporary), metadata={"format": "pt"}))
    write_text(target / CONFIG, json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    return target


def load_strict(network: nn.Module, checkpoint: Checkpoint, *, model: str) -> None:
    """Copy the weights into `network`; every key must be there, and no other.

    Raises:
        InputError: keys are missing, unexpected or of another shape, or a weight is not finite.
    """
    expected = {k: tuple(v.shape) for k, v in network.state_dict().items() if not is_position_ids(k)}
    shapes = checkpoint.shapes()
    problems = _differences(expected, shapes)
    if problems:
        hint = keys_hint(checkpoint.state)
        raise InputError(
            f"checkpoint: {checkpoint.source} does not hold a {model} network{hint}: {'; '.join(problems)}"
        )
    _refuse_other_types(network, checkpoint)
    broken = [k for k, v in checkpoint.state.items() if v.is_floating_point() and not bool(torch.isfinite(v).all())]
    if broken:
        raise InputError(
            f"checkpoint: expected finite weights in {checkpoint.source}, found NaN or infinity in {shortened(broken)}"
        )
    network.load_state_dict(dict(checkpoint.state), strict=False)


def _refuse_other_types(network: nn.Module, checkpoint: Checkpoint) -> None:
    """Refuse weights that are no floating-point numbers: copied as they are, integers of a quantized file mean nothing.

    Raises:
        InputError: a weight of another type than its place in the network can take.
    """
    for key, parameter in network.state_dict().items():
        weight = checkpoint.state.get(key)
        # A place on "meta" only says that the file may hold more than the network takes (a published backbone's facts).
        if weight is None or parameter.device.type == "meta":
            continue
        plain = weight.layout == torch.strided and weight.device.type == "cpu" and not weight.is_quantized
        fits = weight.dtype in _WEIGHTS if parameter.is_floating_point() else not weight.is_floating_point()
        if not plain or not fits or weight.is_complex():
            kind = str(weight.dtype).removeprefix("torch.") if plain else f"{weight.layout} on {weight.device.type}"
            raise InputError(
                f"checkpoint: expected float32, float16, bfloat16 or float64 under {key!r} in {checkpoint.source}, got "
                f"{kind}; save the weights dequantized, as plain tensors"
            )


def _differences(expected: Mapping[str, tuple[int, ...]], shapes: Mapping[str, tuple[int, ...]]) -> list[str]:
    missing = [f"{k} {list(v)}" for k, v in expected.items() if k not in shapes]
    unexpected = [f"{k} {list(v)}" for k, v in shapes.items() if k not in expected]
    mismatched = [
        f"{k} expected {list(v)} got {list(shapes[k])}" for k, v in expected.items() if k in shapes and shapes[k] != v
    ]
    kinds = (("missing", missing), ("unexpected", unexpected), ("mismatched", mismatched))
    return [f"{len(keys)} {kind} ({shortened(keys)})" for kind, keys in kinds if keys]
