"""Whole modules that ``torch.save(model)`` pickled: their tensors by name, without importing or running their classes.

The unpickler of `robustness.runners.checkpoints.safe_pickle` keeps what such an object says of its parameters, buffers
and submodules; here they become the state dict that the module would have given.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeGuard

import torch

MODULE_PARTS = ("_parameters", "_buffers", "_modules")
TRANSIENT = "_non_persistent_buffers_set"


def is_module_state(state: Any) -> TypeGuard[Mapping[str, Any]]:
    """Return whether the pickled state of an object is that of a `torch.nn.Module`."""
    return isinstance(state, Mapping) and all(isinstance(state.get(part), Mapping) for part in MODULE_PARTS)


def module_state(node: Any) -> dict[str, torch.Tensor] | None:
    """Return the state dict of a pickled module; None for everything else, {} for a module without tensors."""
    state = getattr(node, "module_state", None)
    return dict(_tensors(state, "", frozenset())) if is_module_state(state) else None


def _tensors(state: Mapping[str, Any], prefix: str, above: frozenset[int]) -> Iterator[tuple[str, torch.Tensor]]:
    if id(state) in above:
        return
    transient = state.get(TRANSIENT)
    left_out = transient if isinstance(transient, set | frozenset | list | tuple) else ()
    for part in ("_parameters", "_buffers"):
        for name, value in state[part].items():
            if isinstance(value, torch.Tensor) and name not in left_out:
                yield f"{prefix}{name}", value.detach()
    for name, child in state["_modules"].items():
        inner = getattr(child, "module_state", None)
        if is_module_state(inner):
            yield from _tensors(inner, f"{prefix}{name}.", above | {id(state)})
