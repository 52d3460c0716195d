"""The sets of weights that one file holds: a state dict alone, or several beside each other (raw and averaged)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import torch

from robustness.errors import InputError, suggest
from robustness.runners.checkpoints.pickled_module import module_state

_DEPTH = 4
# Optimizers hold tensors too, of other shapes and under numbers.
_NO_WEIGHTS = ("optimizer", "optim", "scheduler", "lr_schedulers", "scaler", "rng", "random_state")


class WeightSet(NamedTuple):
    """Tensors by key, and where in the file they lie: "" for the file itself, "state_dict", "callbacks.EMA.weights"."""

    name: str
    state: dict[str, torch.Tensor]


def weight_sets(content: Any) -> list[WeightSet]:
    """Return every set of tensors in what a file holds, outermost first; a pickled module counts by its state dict."""
    return list(_sets(content, "", _DEPTH))


def stated_set(sets: list[WeightSet], name: str, source: str) -> WeightSet:
    """Return the set that a user named.

    Raises:
        InputError: there is none of that name.
    """
    for one in sets:
        if one.name == name:
            return one
    names = [one.name for one in sets if one.name]
    raise InputError(
        f"weights: expected one of {', '.join(names) or 'none'} in {source}, got {name!r}{suggest(name, names)}"
    )


def _sets(node: Any, name: str, depth: int) -> Iterator[WeightSet]:
    module = module_state(node)
    if module is not None:
        yield WeightSet(name, module)
        return
    if not isinstance(node, Mapping) or depth == 0:
        return
    tensors = {k: v for k, v in node.items() if isinstance(k, str) and isinstance(v, torch.Tensor)}
    if tensors and 2 * len(tensors) >= len(node):
        yield WeightSet(name, tensors)
    for key, value in node.items():
        if isinstance(key, str) and not key.lower().startswith(_NO_WEIGHTS):
            yield from _sets(value, f"{name}.{key}" if name else key, depth - 1)
