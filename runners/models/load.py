"""Models by name: what one model file offers, and how it becomes a loaded segmenter.

A model is one file of this room: a `SplitNetwork` and a `ModelEntry` under ``@MODELS.add(name)``.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from robustness.errors import InputError, first_line, suggest
from robustness.plans.audit import EngineSpec
from robustness.registry import MODELS
from robustness.runners.checkpoints.checkpoint import Choice
from robustness.runners.inference.devices import resolve_device, resolve_precision
from robustness.runners.inference.preprocess import Preprocess
from robustness.runners.inference.segmenter import NetworkSegmenter
from robustness.runners.models.black_box.entry import BlackBoxEntry, CompositeEntry, load_black_box, load_composite
from robustness.runners.models.entry import Config, ModelEntry, merge

_OF_A_CONFIG = (
    TypeError,
    ValueError,
    RuntimeError,
    MemoryError,
    OverflowError,
    ArithmeticError,
    LookupError,
    AttributeError,
    AssertionError,
)


def load_model(
    name: str,
    checkpoint: str | Path | None = None,
    *,
    device: str | torch.device = "auto",
    precision: str = "auto",
    threshold: float | None = None,
    config: Mapping[str, Any] | None = None,
    seed: int = 0,
    tokenizer: str | Path | None = None,
    image_size: int | None = None,
    channels_last: bool = False,
    compiled: bool = False,
    prefix: str | None = None,
    weights: str | None = None,
    base: str | Path | None = None,
    **options: Any,
) -> NetworkSegmenter:
    """Build a registered model and load its weights; a black box (python, predictions, ...) is returned as it is.

    Args:
        name: a registered model (``robustness list models``).
        checkpoint: a folder, a file, or a hub name ("owner/name"); None for random weights.
        device: "auto", "cpu", "cuda", "cuda:1", "mps".
        precision: "auto" (float32 on CPU, bf16 autocast on CUDA), "float32", "bf16", "fp16".
        threshold: probability above which a pixel belongs to the mask; default: the checkpoint's, else the model's.
        config: what shapes and files do not tell; ``{"preset": "tiny"}`` names a small configuration.
        seed: of random weights; it has no effect with a checkpoint.
        tokenizer: folder or file of the vocabulary, where it does not lie beside the weights.
        image_size: side of the network's input in pixels, where the model allows another than its own.
        channels_last: run convolutions in that memory order, often faster on a GPU and for convolutional networks.
        compiled: run the network through ``torch.compile``; the first call of each shape takes long.
        prefix: beginning of the network's keys, where a checkpoint holds several networks.
        weights: name of the set of weights, where a checkpoint holds several ("state_dict_ema").
        base: the checkpoint that an adapter folder (LoRA) changes, where the folder names another or none.
        options: single fields of `config` as keywords.

    Raises:
        UnknownNameError: no such model.
        InputError: a bad option, or a checkpoint that is absent, damaged, unsafe or of another network.
    """
    entry = cast("ModelEntry", MODELS.get(name)())
    source = None if checkpoint is None else str(checkpoint)
    choice = Choice(prefix, weights, None if base is None else str(base))
    engine: dict[str, Any] = {
        "device": device,
        "precision": precision,
        "channels_last": channels_last,
        "compiled": compiled,
    }
    sizes: dict[str, Any] = {"threshold": threshold, "image_size": image_size}
    if isinstance(entry, CompositeEntry):
        own = {**(config or {}), **options}
        return cast(
            "NetworkSegmenter",
            load_composite(entry, load_model, source, name=name, common=engine, options=own, **sizes),
        )
    if isinstance(entry, BlackBoxEntry):
        refused = _stated(engine, choice, config=bool(config), tokenizer=tokenizer is not None)
        return cast(
            "NetworkSegmenter", load_black_box(entry, source, name=name, refused=refused, options=options, **sizes)
        )
    where = resolve_device(device)
    engine |= {"device": where, "precision": resolve_precision(precision, where)}
    given = _given_config(entry, config, options)
    opened = _opened(entry, name, checkpoint, given, choice)
    return _network_segmenter(entry, name, given, opened, tokenizer=tokenizer, seed=seed, engine=engine, sizes=sizes)


def _stated(engine: Mapping[str, Any], choice: Choice, *, config: bool, tokenizer: bool) -> dict[str, bool]:
    """Return the settings that only networks have, and whether a caller stated them."""
    return {
        "config": config,
        "device": str(engine["device"]) != "auto",
        "precision": engine["precision"] != "auto",
        **{name: value is not None for name, value in dataclasses.asdict(choice).items()},
        "tokenizer": tokenizer,
        "channels_last": engine["channels_last"],
        "compiled": engine["compiled"],
    }


def _network_segmenter(
    entry: ModelEntry,
    name: str,
    given: Config,
    opened: Any,
    *,
    tokenizer: str | Path | None,
    seed: int,
    engine: Mapping[str, Any],
    sizes: Mapping[str, Any],
) -> NetworkSegmenter:
    """Build a network from an opened checkpoint, or from random weights, with its preparation and tokenizer."""
    with _usable_config(name):
        full = _resolve_config(entry, given, opened)
        network = _build(entry, full, opened, seed=seed, name=name)
        prepare = _preprocess(entry, full, opened, **sizes)
    folder = opened.folder if opened else None
    takes_text = entry.reads_text(full)
    return NetworkSegmenter(
        name=entry.display_name(name, full),
        network=network,
        preprocess=prepare,
        tokenizer=entry.tokenizer(full, Path(tokenizer) if tokenizer else folder) if takes_text else None,
        takes_text=takes_text,
        trims_text=entry.trims_padding(full),
        model=name,
        config=full,
        provenance=opened.provenance() if opened else {"random": True, "seed": seed},
        folder=folder,
        **engine,
    )


def _opened(entry: ModelEntry, name: str, checkpoint: str | Path | None, given: Config, choice: Choice) -> Any:
    """Return the opened checkpoint; None for random weights, which a published model has by its config alone."""
    if checkpoint is not None:
        return entry.open(checkpoint, model=name, given=given, choice=choice)
    if entry.published and not given:
        raise InputError(
            f"checkpoint: expected a folder, a file or a hub name such as {entry.published!r}, got none; "
            "for random weights give a config"
        )
    return None


@contextlib.contextmanager
def _usable_config(name: str) -> Iterator[None]:
    """Turn what layers raise for sizes and types that they cannot have into one line.

    Raises:
        InputError: no network can be built from the values.
    """
    try:
        yield
    except InputError:
        raise
    except _OF_A_CONFIG as error:
        raise InputError(
            f"config: no {name} can be built from these values ({first_line(error)}); check sizes and types"
        ) from error


def arithmetic_of(name: str, precision: str, options: Mapping[str, Any], engine: EngineSpec) -> dict[str, Any]:
    """Return the keywords of `load_model` that a plan's ``[engine]`` sets for a network that leaves them open.

    A black box runs as it is; its own `precision` or `options` come first.
    """
    entry: type[Any] = MODELS.get(name)
    if issubclass(entry, BlackBoxEntry) and not issubclass(entry, CompositeEntry):
        return {}
    settings: dict[str, Any] = {"channels_last": engine.channels_last, "compiled": engine.compile}
    if precision == "auto":
        settings["precision"] = engine.precision
    return {key: value for key, value in settings.items() if value is not None and key not in options}


def _given_config(entry: ModelEntry, config: Mapping[str, Any] | None, options: Mapping[str, Any]) -> Config:
    given = merge(config or {}, options)
    preset = given.pop("preset", None)
    if preset is not None:
        if preset not in entry.presets:
            presets = ", ".join(entry.presets) or "none"
            raise InputError(f"preset: expected one of {presets}, got {preset!r}{suggest(str(preset), entry.presets)}")
        given = merge(entry.presets[preset], given)
    _check_known(given, entry.default_config())
    return given


def _check_known(given: Mapping[str, Any], defaults: Mapping[str, Any], inside: str = "") -> None:
    for key, value in given.items():
        if key not in defaults:
            listed = ", ".join(sorted(defaults))
            raise InputError(f"config: unknown field {inside + key!r}{suggest(key, defaults)} (known: {listed})")
        # An empty mapping among the defaults takes any keys.
        if isinstance(value, Mapping) and isinstance(defaults[key], Mapping) and defaults[key]:
            _check_known(value, defaults[key], f"{inside}{key}.")


def _resolve_config(entry: ModelEntry, given: Config, opened: Any) -> Config:
    """Lay published values, the file beside the weights, the caller's fields and the shapes over each other."""
    full = entry.default_config()
    if opened is None:
        return merge(full, given)
    file_config = opened.own_config() if opened.own else entry.config_from_file(opened.document)
    full = merge(merge(full, file_config), given)
    stored = entry.config_from_shapes(opened.shapes(), full)
    for path, value in _leaves(stored):
        stated = _at(given, path)
        if stated is not None and stated != value:
            raise InputError(f"config: {'.'.join(path)} is {stated!r}, but the checkpoint's shapes say {value!r}")
    return merge(full, stored)


def _leaves(tree: Mapping[str, Any], path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    leaves: list[tuple[tuple[str, ...], Any]] = []
    for key, value in tree.items():
        here = (*path, key)
        leaves += _leaves(value, here) if isinstance(value, Mapping) else [(here, value)]
    return leaves


def _at(tree: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    node: Any = tree
    for key in path:
        node = node.get(key) if isinstance(node, Mapping) else None
    return node


def _build(entry: ModelEntry, config: Config, opened: Any, *, seed: int, name: str) -> nn.Module:
    from robustness.runners.checkpoints.checkpoint import load_strict
    from robustness.runners.checkpoints.network_bound import check_network

    if opened is not None:
        check_network(lambda: entry.outline(config), config, opened.shapes(), source=opened.source)
    # Weights are drawn from torch's global generator; the fork gives the caller's state back afterwards.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = entry.build(config) if opened is None else entry.skeleton(config)
    if opened is not None:
        load_strict(network, opened, model=name)
    return network.float()


def _preprocess(
    entry: ModelEntry, config: Config, opened: Any, *, threshold: float | None, image_size: int | None
) -> Preprocess:
    """Return the preparation of the folder or the model, with the threshold and size that the caller or file states."""
    default = entry.preprocess(config)
    if opened is None or opened.folder is None:
        prepare = default
    elif opened.own:
        prepare = Preprocess.from_dict({**default.as_dict(), **opened.document.get("preprocess", {})})
    else:
        prepare = entry.preprocess_from_folder(opened.folder, default)
    if threshold is None and opened is not None:
        threshold = opened.threshold
    return dataclasses.replace(
        prepare,
        threshold=prepare.threshold if threshold is None else threshold,
        image_size=prepare.image_size if image_size is None else image_size,
    )
