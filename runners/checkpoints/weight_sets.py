"""The sets of weights that one file holds: a state dict alone, or several beside each other (raw and averaged)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch

from robustness.errors import InputError, suggest
from robustness.runners.checkpoints.prefixes import places_of, same_tensors
from robustness.runners.checkpoints.safe_pickle import module_state

_DEPTH = 4
_USUAL = ("", "state_dict", "model_state_dict", "model", "net", "network", "network_weights", "module")
# Optimizers hold tensors too, of other shapes and under numbers.
_NO_WEIGHTS = ("optimizer", "optim", "scheduler", "lr_schedulers", "scaler", "rng", "random_state")


class WeightSet(NamedTuple):
    """Tensors by key, and where in the file they lie: "" for the file itself, "state_dict", "callbacks.EMA.weights"."""

    name: str
    state: dict[str, torch.Tensor]


def weight_sets(content: Any) -> list[WeightSet]:
    """Return every set of tensors in what a file holds, outermost first; a pickled module counts by its state dict."""
    return list(_sets(content, "", _DEPTH))


def stated_set(sets: Sequence[WeightSet], name: str, source: str) -> WeightSet:
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


def choose_set(sets: Sequence[WeightSet], signature: Sequence[str], stated: str | None, source: str) -> WeightSet:
    """Return the set of weights that is to be loaded.

    Args:
        sets: of `weight_sets`.
        signature: beginnings of keys that the network has; sets that hold it come first.
        stated: the name that a user stated.
        source: the file, for messages.

    Raises:
        InputError: none, or several that differ, such as raw and averaged weights, and nothing says which.
    """
    if stated is not None:
        return stated_set(sets, stated, source)
    if not sets:
        raise InputError(
            f"checkpoint: expected a state dict (key to tensor) in {source}, found none; save model.state_dict()"
        )
    holding = [one for one in sets if places_of(one.state, signature)] or list(sets)
    order = {name: place for place, name in enumerate(_USUAL)}
    first = min(holding, key=lambda one: order.get(one.name, len(order)))
    rivals = [one for one in holding if one is not first and _rivals(first, one, signature)]
    if rivals:
        names = ", ".join(repr(one.name) for one in (first, *rivals))
        raise InputError(
            f"checkpoint: {source} holds {1 + len(rivals)} sets of weights of one network that differ ({names}); state "
            "weights = one of them"
        )
    return first


def _rivals(first: WeightSet, other: WeightSet, signature: Sequence[str]) -> bool:
    """Return whether two sets are different weights of the same network."""
    alike = other.state.keys() == first.state.keys() or bool(places_of(other.state, signature))
    return alike and not same_tensors(first.state, other.state)


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
