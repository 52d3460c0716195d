"""What left and right become when a picture is mirrored, word by word."""

from __future__ import annotations

import re
from typing import NamedTuple

from robustness.types import Attribute, NotApplicable, Prompt

_SWAP = {"left": "right", "right": "left"}
_WORD = re.compile(r"(?<![a-z])(left|right)(?=most|wards?|sided|hand|[^a-z]|$)", re.IGNORECASE)
# A mirrored clock face shows another hour.
_CLOCK = re.compile(r"\b(?:o['\u2019]?\s?clock|(?:counter|anti)?-?clockwise)\b", re.IGNORECASE)


class Swap(NamedTuple):
    """`old` at [start, stop) of a text becomes `new`."""

    start: int
    stop: int
    old: str
    new: str


def mirror_swaps(prompt: Prompt, *, side_visible: bool) -> list[Swap] | NotApplicable:
    """Return the words of a prompt that a left-right mirrored picture makes false, with their replacements.

    Location words speak of the picture and swap. Side words speak of the patient: they swap where the side can be seen
    in the picture, since the mirrored structure looks like the other side's; "left and right" stays true.

    Returns:
        The swaps in text order, or the reason why the words cannot be kept true: left or right in a structure's name
        ("left ventricular cavity"), in words that are neither location nor side, or a clock position.
    """
    clock = _CLOCK.search(prompt.text)
    if clock:
        return NotApplicable(f"{clock.group(0)!r} states a direction that a mirrored picture changes")
    swaps = []
    for match in _WORD.finditer(prompt.text):
        holder = _holder(prompt, match.start(), match.end())
        word = match.group(0)
        if holder is None:
            return NotApplicable(f"{word!r} is neither a location nor a side, so a mirrored picture may make it false")
        if holder.kind not in ("location", "side"):
            return NotApplicable(f"{word!r} is part of the {holder.kind} {holder.value!r}, which has no mirrored name")
        if holder.kind == "side" and (not side_visible or _names_both(holder.value)):
            continue
        swaps.append(Swap(match.start(), match.end(), word, _opposite(word)))
    return swaps


def swapped(prompt: Prompt, swaps: list[Swap]) -> Prompt:
    """Return the prompt with every swap made; spans of its attributes move along.

    Of the other listed phrasings only those without left and right are kept.
    """

    def moved(position: int) -> int:
        return position + sum(len(s.new) - len(s.old) for s in swaps if s.stop <= position)

    text = prompt.text
    for swap in reversed(swaps):
        text = text[: swap.start] + swap.new + text[swap.stop :]
    attributes = []
    for a in prompt.attributes:
        start, stop = moved(a.start), moved(a.stop)
        attributes.append(Attribute(a.kind, text[start:stop], start, stop))
    kept = tuple(other for other in prompt.paraphrases if not _WORD.search(other))
    return Prompt(text, tuple(attributes), kept)


def mirrored_text(text: str) -> str:
    """Return `text` with every left and right swapped, except where it names both.

    Example:
        >>> mirrored_text("top left")
        'top right'
    """
    return text if _names_both(text) else _WORD.sub(lambda match: _opposite(match.group(0)), text)


def _holder(prompt: Prompt, start: int, stop: int) -> Attribute | None:
    return next((a for a in prompt.attributes if a.start <= start and stop <= a.stop), None)


def _names_both(value: str) -> bool:
    return {word.lower() for word in _WORD.findall(value)} == set(_SWAP)


def _opposite(word: str) -> str:
    new = _SWAP[word.lower()]
    if word.isupper():
        return new.upper()
    return new.capitalize() if word[0].isupper() else new
