"""Networks that start from the weights of a part: a published backbone without the segmentation head."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

_LOG = logging.getLogger(__name__)


def expect_part(
    network: nn.Module, names: Mapping[str, str], *, unused: Mapping[str, tuple[int, ...]] | None = None
) -> nn.Module:
    """Let `network` show, and take, only a part of its weights until weights have been loaded into it once.

    A strict loader so compares a backbone's file with the backbone alone, key by key, and everything else keeps the
    values that it has, which is logged as a warning.

    Args:
        network: holds the part.
        names: key in the file to key in the network.
        unused: key to shape of what the file may hold and the network has no place for.

    Returns:
        The same `network`.
    """

    def show(module: nn.Module, state: dict[str, Any], prefix: str, metadata: Any) -> None:
        whole = dict(state)
        state.clear()
        state.update({name: whole[key] for name, key in names.items()})
        state.update({name: torch.empty(shape, device="meta") for name, shape in (unused or {}).items()})

    def take(module: nn.Module, state: dict[str, Any], *_: Any) -> None:
        for hook in hooks:
            hook.remove()
        given = {key: state[name] for name, key in names.items() if name in state}
        state.clear()
        state.update(given)
        _LOG.warning(
            "the checkpoint holds a backbone alone: %d of %d tensors come from it, the rest were there before",
            len(given),
            len(module.state_dict()),
        )

    hooks = (
        network.register_state_dict_post_hook(show),  # type: ignore[no-untyped-call]
        network.register_load_state_dict_pre_hook(take),  # type: ignore[no-untyped-call]
    )
    return network
