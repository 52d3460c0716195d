"""Word pairs written in one string."""

from __future__ import annotations


def pairs(text: str) -> dict[str, str]:
    """Return "a>b; c>d" as a dict.

    Example:
        >>> pairs("upper>lower; left>right")
        {'upper': 'lower', 'left': 'right'}
    """
    return {old: new for old, _, new in (pair.partition(">") for pair in text.split("; "))}
