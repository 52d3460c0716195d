"""Prefixes of networks in a state dict, found by the keys that every network of its kind has, whatever wraps it.

torch.compile, Lightning, DataParallel, EMA and SWA wrappers each put a word before the keys (``_orig_mod.``,
``model.``, ``module.``, ``ema_model.``, ``base_model.model.``). A list of such words is never complete; the
network's own keys are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple, TypeVar

import torch

from robustness.errors import InputError, suggest
from robustness.runners.checkpoints.adapter_folder import refuse_adapters
from robustness.runners.checkpoints.forms import keys_hint

T = TypeVar("T")

# What wrappers of whole networks add, for files that hold a part of a network only.
USUAL = ("module.", "model.", "net.", "network.", "ema.", "ema_model.", "base_model.model.", "student.", "segmenter.")
# What torch wraps single modules in, anywhere in a key.
_INSIDE = ("_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.", "_forward_module.")
# Words of tensors beside a network that do not touch what it predicts: losses, metrics, counters of averages.
_IDLE = re.compile(
    r"(?i)(^|[._])(\w*loss\w*|criteri\w+|\w*metrics?|dice\w*|iou\w*|jaccard\w*|acc|accuracy|auroc|confmat|n_averaged|initted|"
    r"step|global_step|epoch|num_updates|decay|pos_weight|class_weights?)([._]|$)"
)


class Relaid(NamedTuple):
    """A state dict in the keys of this package's network, and what the layout that it came in is called."""

    state: dict[str, torch.Tensor]
    layout: str


# Of a state dict, the weights that `base` names (None without) and the file's name; None for a layout it does not know.
Relay = Callable[[Mapping[str, torch.Tensor], Mapping[str, torch.Tensor] | None, str], Relaid | None]


class Located(NamedTuple):
    """A network's tensors under its own keys, the prefix that was cut, and how many other keys were left out."""

    state: dict[str, torch.Tensor]
    prefix: str
    left_out: int


def locate_network(
    state: Mapping[str, torch.Tensor],
    prefixes: Sequence[str],
    signature: Sequence[str],
    stated: str | None,
    source: str,
) -> Located:
    """Return the network that a state dict holds under some prefix.

    Args:
        state: of the whole file.
        prefixes: of wrappers, for files in which `signature` finds nothing.
        signature: beginnings of keys that each network of the kind has.
        stated: the prefix that a user stated.
        source: the file, for messages.

    Raises:
        InputError: several networks that differ, unmerged adapters, tensors beside the network that may belong to it,
            or a stated prefix that no key has.
    """
    plain = {_without_wrapped(key): value for key, value in state.items() if not is_position_ids(key)}
    if stated is not None:
        network = under_stated(plain, stated, source)
        refuse_adapters(network, source)
        return Located(network, stated, len(plain) - len(network))
    refuse_adapters(plain, source)
    places = places_of(plain, signature)
    networks = [under(plain, prefix) for prefix in places]
    if len(networks) > 1 and not all(same_tensors(networks[0], other) for other in networks[1:]):
        shown = " and ".join(repr(prefix) for prefix in places)
        raise InputError(
            f"checkpoint: {source} holds {len(places)} networks that differ, under {shown}; state prefix = one of them"
        )
    if networks:
        _refuse_company(plain, networks[0], places, source)
        return Located(networks[0], places[0], len(plain) - len(networks[0]))
    return Located(without_usual(plain, prefixes), "", 0)


def _refuse_company(
    state: Mapping[str, torch.Tensor], network: Mapping[str, torch.Tensor], places: Sequence[str], source: str
) -> None:
    """Refuse a network beside which other tensors lie that may change what it predicts (adapters, learned prompts).

    Raises:
        InputError: such tensors; they are named.
    """
    beside = [key for key in state if not key.startswith(tuple(places)) and not _IDLE.search(key)]
    other = [key for key in beside if not _repeats(key, state[key], network)]
    if other:
        more = f", and {len(other) - 3} more" if len(other) > 3 else ""
        raise InputError(
            f"checkpoint: {source} holds tensors beside the network under {places[0]!r} that may belong to it "
            f"({', '.join(other[:3])}{more}){keys_hint(other)}; state prefix = {places[0]!r} to load it without them"
        )


def _repeats(key: str, value: torch.Tensor, network: Mapping[str, torch.Tensor]) -> bool:
    """Return whether a tensor is one of the network's, registered a second time under another name."""
    last = ".".join(key.split(".")[-2:])
    return any(
        own.endswith(last) and other.shape == value.shape and bool(torch.equal(other, value))
        for own, other in network.items()
    )


def same_tensors(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> bool:
    """Return whether two sets of tensors are equal."""
    return one.keys() == other.keys() and all(
        value.shape == other[key].shape and bool(torch.equal(value, other[key])) for key, value in one.items()
    )


def is_position_ids(key: str) -> bool:
    """Return whether a key is that of a buffer of old transformers that holds nothing but numbers in a row."""
    return key.rpartition(".")[2] == "position_ids"


def _without_wrapped(key: str) -> str:
    for word in _INSIDE:
        key = key.replace(word, "")
    return key


def places_of(keys: Collection[str], signature: Sequence[str]) -> list[str]:
    """Return the prefixes under which `keys` hold a network, shortest first; "" for bare keys.

    Args:
        keys: of a state dict.
        signature: beginnings of keys that each network of the kind has.
    """
    if not signature:
        return []
    first = signature[0]
    candidates = {key[:start] for key in keys for start in _starts(key, first)}
    return sorted((p for p in candidates if _holds(keys, p, signature)), key=lambda p: (len(p), p))


def under(state: Mapping[str, T], prefix: str) -> dict[str, T]:
    """Return the entries whose keys begin with `prefix`, without it."""
    return {key[len(prefix) :]: value for key, value in state.items() if key.startswith(prefix)}


def under_stated(state: Mapping[str, T], prefix: str, source: str) -> dict[str, T]:
    """Return the entries under a prefix that a user stated, with or without its last dot.

    Raises:
        InputError: no key begins with it.
    """
    for candidate in (f"{prefix.removesuffix('.')}.", prefix):
        entries = under(state, candidate)
        if entries:
            return entries
    heads = sorted({key.partition(".")[0] + "." for key in state})
    raise InputError(
        f"prefix: expected the beginning of keys in {source}, none begins with {prefix!r}{suggest(prefix, heads)} "
        f"(they begin with {', '.join(heads[:5])})"
    )


def without_usual(state: Mapping[str, T], prefixes: Sequence[str]) -> dict[str, T]:
    """Return `state` without the wrappers' prefixes that every key has, one after the other."""
    left = dict(state)
    ordered = sorted({*prefixes, *USUAL}, key=len, reverse=True)
    while left and (cut := next((p for p in ordered if all(key.startswith(p) for key in left)), "")):
        left = under(left, cut)
    return left


def _starts(key: str, beginning: str) -> list[int]:
    """Return the places in `key` where `beginning` starts a word."""
    starts, at = [], key.find(beginning)
    while at >= 0:
        if at == 0 or key[at - 1] == ".":
            starts.append(at)
        at = key.find(beginning, at + 1)
    return starts


def _holds(keys: Collection[str], prefix: str, signature: Sequence[str]) -> bool:
    return all(any(key.startswith(prefix + beginning) for key in keys) for beginning in signature)
