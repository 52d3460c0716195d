"""The sets of weights that one file holds: a state dict alone, or several beside each other (raw and averaged)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch

from robustness.errors import InputError, suggest
from robustness.runners.checkpoints.adapter_folder import refuse_adapters_aside
from robustness.runners.checkpoints.prefixes import places_of, same_tensors
from robustness.runners.checkpoints.safe_pickle import module_state

_DEPTH = 4
_USUAL = ("", "state_dict", "model_state_dict", "model", "net", "network", "network_weights", "module")
_COPY = "copy the averages into the network with the library that made them and save model.state_dict()"
# Optimizers hold tensors too, of other shapes and under numbers.
_NO_WEIGHTS = ("optimizer", "optim", "scheduler", "lr_schedulers", "scaler", "rng", "random_state")


class WeightSet(NamedTuple):
    """Tensors by key, and where in the file they lie: "" for the file itself, "state_dict", "callbacks.EMA.weights".

    `nameless`: they lie in a list, as the averages of some trainers do, and their keys are their places.
    """

    name: str
    state: dict[str, torch.Tensor]
    nameless: bool = False


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
        InputError: none, or several that differ, such as raw and averaged weights, and nothing says which; or
            adapters beside them.
    """
    if stated is not None:
        return _named(stated_set(sets, stated, source), source)
    lists = [one for one in sets if one.nameless]
    sets = [one for one in sets if not one.nameless]
    if not sets:
        raise InputError(
            f"checkpoint: expected a state dict (key to tensor) in {source}, found none; save model.state_dict()"
        )
    holding = [one for one in sets if places_of(one.state, signature)] or list(sets)
    order = {name: index for index, name in enumerate(_USUAL)}
    first = min(holding, key=lambda one: order.get(one.name, len(order)))
    rivals = [one for one in holding if one is not first and _rivals(first, one, signature)]
    if rivals:
        names = ", ".join(repr(one.name) for one in (first, *rivals))
        raise InputError(
            f"checkpoint: {source} holds {1 + len(rivals)} sets of weights of one network that differ ({names}); state "
            "weights = one of them"
        )
    refuse_adapters_aside({one.name: one.state for one in sets if one is not first and one.name}, source)
    averaged = next((one for one in lists if _fits(one, first)), None)
    if averaged is not None:
        raise InputError(
            f"checkpoint: {source} holds the weights {first.name or 'of the file'} and, as a list without keys, "
            f"averaged ones ({averaged.name}); {_COPY}, or state weights = {first.name!r} for the raw ones"
        )
    return first


def _named(chosen: WeightSet, source: str) -> WeightSet:
    """Return a set that a user stated.

    Raises:
        InputError: it is a list without keys, so that nothing says which tensor is whose.
    """
    if chosen.nameless:
        raise InputError(f"weights: expected tensors by key under {chosen.name!r} in {source}, got a list; {_COPY}")
    return chosen


def _fits(nameless: WeightSet, named: WeightSet) -> bool:
    """Return whether a list of tensors may be other values of a network's parameters, in their order."""
    shapes = iter([tensor.shape for tensor in named.state.values()])
    listed = [tensor.shape for tensor in nameless.state.values()]
    return 2 * len(listed) >= len(named.state) and all(shape in shapes for shape in listed)


def _rivals(first: WeightSet, other: WeightSet, signature: Sequence[str]) -> bool:
    """Return whether two sets are different weights of the same network."""
    alike = other.state.keys() == first.state.keys() or bool(places_of(other.state, signature))
    return alike and not same_tensors(first.state, other.state)


def _sets(node: Any, name: str, depth: int) -> Iterator[WeightSet]:
    module = module_state(node)
    if module is not None:
        yield WeightSet(name, module)
        return
    if name and isinstance(node, list | tuple) and len(node) > 1 and all(isinstance(v, torch.Tensor) for v in node):
        yield WeightSet(name, {str(index): tensor for index, tensor in enumerate(node)}, nameless=True)
        return
    if not isinstance(node, Mapping) or depth == 0:
        return
    tensors = {k: v for k, v in node.items() if isinstance(k, str) and isinstance(v, torch.Tensor)}
    if tensors and 2 * len(tensors) >= len(node):
        yield WeightSet(name, tensors)
    for key, value in node.items():
        if isinstance(key, str) and not key.lower().startswith(_NO_WEIGHTS):
            yield from _sets(value, f"{name}.{key}" if name else key, depth - 1)
