"""Where in a state dict a network lies: found by the keys that every network of its kind has, whatever wraps it.

torch.compile, Lightning, DataParallel, EMA and SWA wrappers each put a word before the keys (``_orig_mod.``,
``model.``, ``module.``, ``ema_model.``, ``base_model.model.``). A list of such words is never complete; the
network's own keys are.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TypeVar

from robustness.errors import InputError, suggest

T = TypeVar("T")

# What wrappers of whole networks add, for files that hold a part of a network only.
USUAL = (
    "module.", "model.", "net.", "network.", "_orig_mod.", "ema.", "ema_model.", "base_model.model.", "student.",
    "_forward_module.", "_fsdp_wrapped_module.", "segmenter.", "backbone_model.",
)  # fmt: skip


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
    for candidate in (prefix, f"{prefix}."):
        found = under(state, candidate)
        if found:
            return found
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
    found, at = [], key.find(beginning)
    while at >= 0:
        if at == 0 or key[at - 1] == ".":
            found.append(at)
        at = key.find(beginning, at + 1)
    return found


def _holds(keys: Collection[str], prefix: str, signature: Sequence[str]) -> bool:
    return all(any(key.startswith(prefix + beginning) for key in keys) for beginning in signature)
