"""Bound on the network that a checkpoint's config asks for, kept before any memory is taken.

A config of a few lines beside small weights can ask for terabytes or for a million layers. So its numbers are held
against the checkpoint's own tensors, and the network is built without memory (on torch's device "meta") first.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import torch
from torch import nn
from torch.nn.modules import module as hooks

from robustness.errors import InputError

# A backbone's file holds a part of the network; masks and position tables are computed and not stored.
_TIMES: Final = 4
_SPARE_VALUES: Final = 1 << 25
_SPARE_MODULES: Final = 1 << 14
# So many are built at once; then the keys are compared, which says more of a file of another network.
_SPARE_LAYERS: Final = 1 << 10
_COUNTS_LAYERS: Final = re.compile(r"(depths?|layers|num_blocks|num_stages)$")

Shapes = Mapping[str, tuple[int, ...]]


class NetworkDemandError(InputError):
    """A config asks for a network that the checkpoint beside it cannot fill."""


def check_network(outline: Callable[[], nn.Module], config: Mapping[str, Any], shapes: Shapes, *, source: str) -> None:
    """Refuse a config that asks for a much larger network than the checkpoint's tensors.

    Args:
        outline: builds the network on the device "meta".
        config: what it is built from.
        shapes: key to shape of the checkpoint's tensors.
        source: the checkpoint, for messages.

    Raises:
        NetworkDemandError: a number, or the sum of the network's tensors or modules, beyond what the file can fill.
    """
    stored = sum(math.prod(shape) for shape in shapes.values())
    for path, number in _integers(config):
        # A layer holds a tensor at least; networks make lists of that length before they make their layers.
        layers = _COUNTS_LAYERS.search(path.rpartition(".")[2]) is not None
        most, what = (max(len(shapes), _SPARE_LAYERS), "tensors") if layers else (max(stored, _SPARE_VALUES), "values")
        if number > most:
            raise NetworkDemandError(
                f"config: {path} is {number}, more than the {len(shapes) if layers else stored} {what} that {source} "
                "holds; the config is another network's"
            )
    with _counted(_TIMES * stored + _SPARE_VALUES, _TIMES * len(shapes) + _SPARE_MODULES, source):
        try:
            outline()
        except (NotImplementedError, RuntimeError) as error:
            # A network that reads a value while it is built has no outline; its numbers are within their bounds.
            if "meta" not in str(error):
                raise


@contextlib.contextmanager
def _counted(most_values: int, most_parts: int, source: str) -> Iterator[None]:
    values = tensors = modules = 0

    def refuse(count: int, most: int, what: str) -> None:
        if count > most:
            raise NetworkDemandError(
                f"config: it asks for a network of more than {most} {what}, far more than {source} holds; the config "
                "is another network's"
            )

    def of_tensor(_: nn.Module, __: str, tensor: torch.Tensor | None) -> None:
        nonlocal values, tensors
        values += 0 if tensor is None else tensor.numel()
        tensors += 1
        refuse(values, most_values, "values")
        # Modules may stand in a plain list before they belong to another.
        refuse(tensors, most_parts, "tensors")

    def of_module(*_: Any) -> None:
        nonlocal modules
        modules += 1
        refuse(modules, most_parts, "layers")

    handles = (
        hooks.register_module_parameter_registration_hook(of_tensor),
        hooks.register_module_buffer_registration_hook(of_tensor),
        hooks.register_module_module_registration_hook(of_module),
    )
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _integers(tree: Any, path: str = "") -> Iterator[tuple[str, int]]:
    """Yield every integer of a config with its path."""
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from _integers(value, f"{path}.{key}" if path else str(key))
    elif isinstance(tree, list | tuple):
        for value in tree:
            yield from _integers(value, path)
    elif isinstance(tree, int) and not isinstance(tree, bool):
        yield path, tree
