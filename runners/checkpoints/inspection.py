"""Contents of a checkpoint: its form, its sets of weights, and which registered network each of them is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch

from robustness.errors import InputError
from robustness.registry import MODELS
from robustness.runners.checkpoints.adapter_folder import adapter_config, adapter_weights, is_adapter
from robustness.runners.checkpoints.prefixes import places_of
from robustness.runners.checkpoints.weight_files import locate, read_weights, weight_files
from robustness.runners.checkpoints.weight_sets import WeightSet, weight_sets

_HEADS = 6


@dataclass(frozen=True)
class Network:
    """A registered network that a set of weights holds, and the prefix of its keys."""

    model: str
    prefix: str


@dataclass(frozen=True)
class InspectedSet:
    """One set of weights.

    Attributes:
        name: where in the file it lies, "" for the file itself.
        n_tensors: entries; `n_values` numbers in them.
        heads: first words of its keys.
        networks: what it may be loaded as.
    """

    name: str
    n_tensors: int
    n_values: int
    heads: tuple[str, ...]
    networks: tuple[Network, ...]


@dataclass(frozen=True)
class Inspection:
    """What a checkpoint holds.

    Attributes:
        files: the weight files.
        sets: their sets of weights; those of several files are shards of one.
        adapter_of: for an adapter folder, the base that it names ("" for none); None for everything else.
    """

    files: tuple[Path, ...]
    sets: tuple[InspectedSet, ...]
    adapter_of: str | None = None


def inspect_checkpoint(checkpoint: str | Path) -> Inspection:
    """Look into a checkpoint without loading it into a network.

    Raises:
        InputError: it is absent, or of a form that cannot be read; the form is named.
    """
    path = locate(checkpoint)
    if path.is_dir() and is_adapter(path):
        config, file = adapter_config(path), adapter_weights(path)
        sets = tuple(_inspected(one) for one in weight_sets(read_weights(file)))
        return Inspection((file,), sets, str(config.get("base_model_name_or_path") or ""))
    files = weight_files(path) if path.is_dir() else (path,)
    sets_of = [weight_sets(read_weights(file)) for file in files]
    if len(files) == 1:
        return Inspection(files, tuple(_inspected(one) for one in sets_of[0]))
    joined = {key: value for sets in sets_of for one in sets[:1] for key, value in one.state.items()}
    return Inspection(files, (_inspected(WeightSet("", joined)),))


def _inspected(one: WeightSet) -> InspectedSet:
    networks = [
        Network(name, prefix)
        for name in MODELS.names()
        for prefix in _places(cast("type[Any]", MODELS.get(name)), one.state)
    ]
    heads = list(dict.fromkeys(key.partition(".")[0] for key in one.state))
    return InspectedSet(
        name=one.name,
        n_tensors=len(one.state),
        n_values=sum(tensor.numel() for tensor in one.state.values()),
        heads=tuple(heads[:_HEADS]),
        networks=tuple(networks),
    )


def _places(entry: type[Any], state: Mapping[str, torch.Tensor]) -> list[str]:
    """Return the prefixes under which a network lies; "" also where its weights have another layout that is known."""
    relay = getattr(entry, "relay", None)
    try:
        known = relay is not None and relay(state, None, "") is not None
    except InputError:
        # The layout is known, and loading it says what is missing.
        known = True
    return [""] if known else places_of(state, getattr(entry, "signature", ()))


def trial(checkpoint: str | Path, model: str, load: Any, **options: Any) -> str:
    """Return what comes of loading a checkpoint as a model, in one line.

    Args:
        checkpoint: path or hub name.
        model: the registered name.
        load: `robustness.runners.models.load.load_model`.
        options: of it.
    """
    try:
        segmenter = load(model, checkpoint, device="cpu", **options)
    except InputError as error:
        return str(error)
    parameters = sum(tensor.numel() for tensor in segmenter.network.parameters())
    read = segmenter.provenance.get("read", {})
    how = "".join(f", {key.replace('_', ' ')} {value!r}" for key, value in read.items())
    return f"loads as {model}: {parameters:,} parameters, threshold {segmenter.threshold:g}{how}"
