"""Mirrored words: left and right (or top and bottom) in a mirrored image, word by word."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal, NamedTuple

from robustness.perturb.language.ontology.modifiers import pairs
from robustness.types import Attribute, NotApplicable, Prompt

Mirror = Literal["horizontal", "vertical"]

_SWAPS: Mapping[str, Mapping[str, str]] = {
    "horizontal": {"left": "right", "right": "left"},
    "vertical": {
        "top": "bottom",
        "bottom": "top",
        "upper": "lower",
        "lower": "upper",
        "above": "below",
        "below": "above",
    },
}
_WORDS = {
    "horizontal": re.compile(r"(?<![a-z])(left|right)(?=most|wards?|sided|hand|[^a-z]|$)", re.IGNORECASE),
    "vertical": re.compile(r"(?<![a-z])(top|bottom|upper|lower|above|below)(?=most|[^a-z]|$)", re.IGNORECASE),
}
# A mirrored clock face shows another hour.
CLOCK = re.compile(r"\b(?:\d{1,2}:\d\d|o\s?['\u2019]?\s?clock|(?:counter|anti)?-?clockwise)\b", re.IGNORECASE)


# Abbreviations and Latin that state a side of the patient; "RML" and "lingula" have no mirrored name.
_CODES = pairs(
    "RUL>LUL; LUL>RUL; RLL>LLL; LLL>RLL; RUQ>LUQ; LUQ>RUQ; RLQ>LLQ; LLQ>RLQ; OD>OS; OS>OD; R>L; L>R; RT>LT; "
    "LT>RT; DEXTRAL>sinistral; SINISTRAL>dextral; DEXTER>sinister; SINISTER>dexter; DEXTRA>sinistra; "
    "SINISTRA>dextra; RML>; LINGULA>; LINGULAR>; LAD>; RCA>; LCX>; LMCA>; LV>; RV>; LA>; RA>; LVOT>; LAA>; "
    "RUOQ>LUOQ; LUOQ>RUOQ"
)
_CODE = re.compile(
    r"(?<![\w/-])(?:RUL|LUL|RLL|LLL|RML|RUQ|LUQ|RLQ|LLQ|RUOQ|LUOQ|OD|OS|LAD|RCA|LCX|LMCA|LVOT|LAA|LV|RV|LA|RA"
    r"|[RL](?=[ .-](?!\d))"
    r"|[RL]t(?=[ .])|[rl]t\.(?= )|(?i:dextral|sinistral|dexter|sinister|dextra|sinistra|lingula|lingular))(?![\w/])"
)


_BOTH = re.compile(r"\b(?:both|bilat(?:eral(?:ly)?)?)\b", re.IGNORECASE)
_SIDE_WORD = re.compile(
    r"(?<![a-z])(?:left|right)(?=most|wards?|sided|hand|[^a-z]|$)|(?<![\w-])(?:[lr]t|(?-i:[LR]))(?![\w-])",
    re.IGNORECASE,
)


class Swap(NamedTuple):
    """`old` at [start, stop) of a text becomes `new`."""

    start: int
    stop: int
    old: str
    new: str


def mirror_swaps(prompt: Prompt, *, side_visible: bool, mirror: Mirror = "horizontal") -> list[Swap] | NotApplicable:
    """Return the words of a prompt that a mirrored image makes false, with their replacements.

    Location words speak of the image and swap. Side words speak of the patient: in a left-right mirror image they
    swap where the side can be seen in the image, since the mirrored structure looks like the other side's; "left and
    right" stays true. Upside down, an image still has its left where it was, but the anatomy in it reads as the other
    side's: a side that is seen cannot be decided then.

    Returns:
        The swaps in text order, or the reason why the words cannot be kept true: a direction in a structure's name
        ("left ventricular cavity"), in words that are neither location nor side, a clock position, or an undecidable
        side.
    """
    clock = CLOCK.search(prompt.text)
    if clock:
        return NotApplicable(f"{clock.group(0)!r} states a direction that a mirrored image changes")
    if mirror == "vertical":
        undecided = _undecided_side(prompt, side_visible=side_visible)
        if undecided is not None:
            return undecided
    swaps = []
    for match in _WORDS[mirror].finditer(prompt.text):
        holder = holder_of(prompt, match.start(), match.end())
        word = match.group(0)
        if holder is None or holder.kind == "relation":
            return NotApplicable(f"{word!r} is neither a location nor a side, so a mirrored image may make it false")
        if holder.kind not in ("location", "side"):
            return NotApplicable(f"{word!r} is part of the {holder.kind} {holder.value!r}, which has no mirrored name")
        if holder.kind == "side" and (not side_visible or names_both(holder.value)):
            continue
        swaps.append(Swap(match.start(), match.end(), word, _opposite(word, mirror)))
    coded = _coded(prompt, side_visible=side_visible, mirror=mirror)
    return coded if isinstance(coded, NotApplicable) else sorted([*swaps, *coded])


def _coded(prompt: Prompt, *, side_visible: bool, mirror: Mirror) -> list[Swap] | NotApplicable:
    """Return the swaps of abbreviated and Latin sides (RLL, OD, dextral), or why one cannot be kept true."""
    swaps = []
    for match in _CODE.finditer(prompt.text):
        word = match.group(0)
        new = _CODES.get(word.rstrip(".").upper(), "")
        if not new or mirror == "vertical":
            return NotApplicable(f"{word!r} states a side of the patient that has no mirrored name here")
        if not side_visible:
            continue
        new = new if word.isupper() else new.capitalize() if word[0].isupper() else new.lower()
        swaps.append(Swap(match.start(), match.end(), word, new + "." * word.endswith(".")))
    return swaps


def _undecided_side(prompt: Prompt, *, side_visible: bool) -> NotApplicable | None:
    """Return why an image upside down leaves a side undecided; None where no side of the patient is at stake."""
    for match in _WORDS["horizontal"].finditer(prompt.text):
        holder = holder_of(prompt, match.start(), match.end())
        if holder is None or holder.kind == "location" or names_both(holder.value):
            continue
        if holder.kind == "side" and not side_visible:
            continue
        return NotApplicable(
            f"{match.group(0)!r} of the {holder.kind} {holder.value!r} cannot be decided upside down: the image's"
            " convention keeps the side, the anatomy in it reads as the other one"
        )
    return None


def swapped(prompt: Prompt, swaps: list[Swap], *, mirror: Mirror = "horizontal") -> Prompt:
    """Return the prompt with every swap made; spans of its attributes move along.

    Of the other listed phrasings only those without words that the mirror changes are kept.
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
    paraphrases = tuple(
        other for other in prompt.paraphrases if not (_WORDS[mirror].search(other) or _CODE.search(other))
    )
    return Prompt(text, tuple(attributes), paraphrases)


def mirrored_text(text: str, *, mirror: Mirror = "horizontal") -> str:
    """Return `text` with every left and right (or top and bottom) swapped, except where it names both.

    Example:
        >>> mirrored_text("top left")
        'top right'
        >>> mirrored_text("top left", mirror="vertical")
        'bottom left'
    """
    if mirror == "horizontal" and names_both(text):
        return text
    return _WORDS[mirror].sub(lambda match: _opposite(match.group(0), mirror), text)


def holder_of(prompt: Prompt, start: int, stop: int) -> Attribute | None:
    """Return the attribute with the shortest span that holds [start, stop), or None."""
    holders = [a for a in prompt.attributes if a.start <= start and stop <= a.stop]
    return min(holders, key=lambda a: a.stop - a.start, default=None)


def names_both(value: str) -> bool:
    """Tell whether words name the left and the right side, joined by whatever: "left or right", "L/R", "both"."""
    return named_sides(value) == {"left", "right"}


def named_sides(value: str) -> set[str]:
    """Return the sides that the words of a side or place name.

    Example:
        >>> sorted(named_sides("left and also right")), sorted(named_sides("Rt")), sorted(named_sides("bilaterally"))
        (['left', 'right'], ['right'], ['left', 'right'])
    """
    if _BOTH.search(value):
        return {"left", "right"}
    return {"left" if match.group()[0] in "lL" else "right" for match in _SIDE_WORD.finditer(value)}


def names_another_place(prompt: Prompt, value: Attribute) -> bool:
    """Tell whether a prompt states a second place in the image, or the other side too: the first alone says too little.

    "On the left and on the right", "left-right", "left, not right". What a relation or a place in the image holds tells
    of something else.
    """
    if value.kind == "location":
        others = [a for a in prompt.attributes if a.kind == "location" and not _overlaps(a, value)]
        return any(a.value.lower() != value.value.lower() for a in others)
    if value.kind != "side" or len(own := named_sides(value.value)) != 1:
        return False
    for match in _A_SIDE.finditer(prompt.text):
        holders = {a.kind for a in prompt.attributes if a.start <= match.start() and match.end() <= a.stop}
        if match.group().lower() not in own and not holders & _OF_ANOTHER:
            return True
    return False


def joins_the_other_side(prompt: Prompt, side: Attribute) -> bool:
    """Tell whether nothing but joining words stands between a side and the other one: "left, not right"."""
    own = named_sides(side.value)
    for match in _A_SIDE.finditer(prompt.text):
        if match.group().lower() in own or side.start <= match.start() < side.stop:
            continue
        first, last = min(side.stop, match.end()), max(side.start, match.start())
        if _JOINING.fullmatch(prompt.text[first:last]):
            return True
    return False


def leaves_the_other_side(prompt: Prompt, value: Attribute) -> bool:
    """Tell whether a text names the side opposite to a value's, and no attribute holds it: "bigger than the right"."""
    own = named_sides(value.value)
    others = (m for m in _A_SIDE.finditer(prompt.text) if own and m.group().lower() not in own)
    return any(holder_of(prompt, *m.span()) is None for m in others)


_JOINING = re.compile(
    r"(?:[\s,&+/-]|\b(?:and|or|then|not|but|also|in|on|at|of|the|than|more|less|greater|larger|smaller|worse|rather|to|plus|as|well|with|side)\b)*",
    re.IGNORECASE,
)


def _overlaps(a: Attribute, b: Attribute) -> bool:
    return a.start < b.stop and b.start < a.stop


_A_SIDE = re.compile(r"(?<![a-z])(?:left|right)(?![a-z])", re.IGNORECASE)
_OF_ANOTHER = frozenset({"location", "relation", "view", "direction", "description", "certainty"})


def _opposite(word: str, mirror: Mirror) -> str:
    new = _SWAPS[mirror][word.lower()]
    if word.isupper():
        return new.upper()
    return new.capitalize() if word[0].isupper() else new


_POINT = pairs(
    "left>right; right>left; upper>lower; lower>upper; top>bottom; bottom>top; lowest>highest; highest>lowest; "
    "topmost>bottommost; bottommost>topmost; uppermost>lowermost; lowermost>uppermost; leftmost>rightmost; "
    "rightmost>leftmost"
)
_ROWS = frozenset({"upper", "lower", "top", "bottom"})


def reflected(value: str) -> str:
    """Reflect every word of a place in the image's centre: "right of centre", "lower", "upper left to lower right"."""
    along = " to " in value

    def other(match: re.Match[str]) -> str:
        word = match[0].lower()
        return match[0] if along and word not in _ROWS else _POINT.get(word, match[0])

    return re.sub(r"[A-Za-z]+", other, value)
