"""Keys in which two plans differ, for the message that refuses one of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from robustness.errors import counted, verb

# More would hide the first ones; a plan of another audit differs in almost everything.
MOST = 6


def flat(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted key, value) for every leaf of nested tables; tables in lists get their place, None is left out.

    Example:
        >>> list(flat({"a": {"b": 1}, "c": [{"d": 2}]}))
        [('a.b', 1), ('c[0].d', 2)]
    """
    if isinstance(tree, Mapping) and tree:
        for key, value in tree.items():
            yield from flat(value, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(tree, list) and tree and all(isinstance(value, Mapping) for value in tree):
        for index, value in enumerate(tree):
            yield from flat(value, f"{prefix}[{index}]")
    elif tree is not None:
        yield prefix, tree


def differing_keys(stored: Mapping[str, Any], now: Mapping[str, Any], *, leave_out: tuple[str, ...] = ()) -> str:
    """Say in which keys a stored plan and the present one differ: ``seed is 0 there and 1 here; ...``.

    Args:
        leave_out: keys (or beginnings of keys) that do not count.

    Returns:
        "" where the plans are equal.
    """
    before, after = dict(flat(stored)), dict(flat(now))
    keys = [
        k for k in dict.fromkeys((*before, *after)) if before.get(k) != after.get(k) and not k.startswith(leave_out)
    ]
    sentences = [f"{key} is {_shown(before.get(key))} there and {_shown(after.get(key))} here" for key in keys[:MOST]]
    more = [f"{counted(n, 'more key')} {verb(n, 'differ')}"] if (n := len(keys) - MOST) > 0 else []
    return "; ".join(sentences + more)


def _shown(value: Any) -> str:
    text = "not set" if value is None else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
