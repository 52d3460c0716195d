"""Protocols: named settings of a finetuning, as data with their sources (``train_protocols.toml``)."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_FILE = Path(__file__).with_suffix(".toml")


def with_protocol(tree: Any) -> Any:
    """Return a finetune plan's tables with what its protocol says about every key that the plan leaves out.

    Args:
        tree: a plan as nested mappings; anything else, and a protocol or a model without settings, comes back as it is.

    Settings for all models are laid under those for one model. A start from named weights (``model.options``) is left
    out where the plan names a checkpoint.
    """
    tables = ("model", "data", "train")
    if not isinstance(tree, Mapping) or not all(isinstance(tree.get(table, {}), Mapping) for table in tables):
        return tree
    name, model = tree.get("train", {}).get("protocol", "default"), tree.get("model", {}).get("name")
    preset = protocol_settings(name, model) if isinstance(name, str) and isinstance(model, str) else {}
    if tree.get("model", {}).get("checkpoint") is not None:
        preset.pop("model", None)
    return _laid_over(preset, {**tree, **_pooled(preset, tree)}) if preset else tree


def _pooled(preset: Mapping[str, Any], tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return the further datasets of a pool with what the protocol says about data."""
    pool = tree.get("pool")
    if not isinstance(pool, list) or not all(isinstance(data, Mapping) for data in pool):
        return {}
    return {"pool": [_laid_over(preset.get("data", {}), data) for data in pool]}


def protocol_settings(protocol: str, model: str) -> dict[str, Any]:
    """Return the tables that a protocol fixes for a model; {} for "default"."""
    stated = _read().get(protocol, {})
    own = stated.get("models", {}).get(model)
    return {} if own is None else _laid_over(stated.get("every", {}), own)


def protocol_sources(protocol: str) -> dict[str, str]:
    """Return where a protocol's settings come from, key to source."""
    return dict(_read().get(protocol, {}).get("sources", {}))


def _read() -> dict[str, Any]:
    return tomllib.loads(_FILE.read_text(encoding="utf-8"))


def _laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        both = isinstance(value, Mapping) and isinstance(under, Mapping)
        merged[key] = _laid_over(under, value) if both else value  # type: ignore[arg-type]
    return merged
