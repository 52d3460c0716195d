"""Sibling alignment: the prompts of one case grow by one attribute, so what p(k) adds to p(k-1) is a value.

In the benchmark's photograph family (polyp, melanoma, ulcer) p1 is the bare target and p2..p5 put shape, colour, size
and number in front of it. The chain tells that "middle of donut" is a shape and that "large" in "medium white large
polyp" is one too, which no vocabulary can know.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from robustness.perturb.language.lexicon import plural, words_by_kind
from robustness.perturb.language.names import adjectives, plain_words

_LEVELS = ("p1", "p2", "p3", "p4", "p5")
_CHAIN_KINDS = ("shape", "colour", "size", "number")
_TARGET_END = re.compile(r"\s+(?:in|of|on|at|with)\s|[,.;:]", re.IGNORECASE)
_TARGET_START = re.compile(r"^(?:no|one|an?|the)\s+", re.IGNORECASE)
_FILLER = re.compile(r"^(?:it is |it's |its )?(?:an? |the )?", re.IGNORECASE)
_SUFFIX = re.compile(r"[ -]shaped?$", re.IGNORECASE)


class Chain(NamedTuple):
    """What the siblings teach: the target's words, the prefixes that p2.. add (innermost first), descriptions."""

    target: str = ""
    prefixes: tuple[tuple[str, str], ...] = ()
    descriptions: tuple[str, ...] = ()


EMPTY = Chain()


def first_text(listed: Any) -> str:
    """Return the first text of a sibling entry, a string or a list of strings; anything else is no text."""
    if isinstance(listed, str):
        return listed
    if isinstance(listed, Sequence) and listed and isinstance(listed[0], str):
        return listed[0]
    return ""


def chain_of(siblings: Mapping[str, Any] | None) -> Chain:
    """Return what `siblings` ({"p1": "polyp", "p2": [...], ...}) teach; without any, nothing."""
    if not siblings:
        return EMPTY
    texts = siblings.get("p7")
    described = tuple(t for t in texts if isinstance(t, str)) if isinstance(texts, (list, tuple)) else ()
    return _learn(tuple(first_text(siblings.get(level, "")) for level in _LEVELS), described)


@lru_cache(maxsize=16384)
def _learn(levels: tuple[str, ...], described: tuple[str, ...]) -> Chain:
    first = levels[0]
    target = _TARGET_START.sub("", _TARGET_END.split(first, maxsplit=1)[0].strip()) if len(first) < 200 else ""
    prefixes: list[str] = []
    previous = first
    for text in levels[1:]:
        shared = next((p for p in _in_either_number(previous, target) if text == p or text.endswith(" " + p)), "")
        if not shared:
            break
        prefixes.append(text[: len(text) - len(shared)])
        previous = text
    return Chain(target, _kinds(prefixes), _descriptions(first, described))


def _in_either_number(text: str, target: str) -> tuple[str, ...]:
    """Return `text`, and the same in the plural: "two small polyps" adds to "small polyp"."""
    if not target or not text.endswith(target):
        return (text,)
    return text, text[: len(text) - len(target)] + (plural(target) or f"{target}s")


def _kinds(prefixes: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Name the added prefixes; a chain is the photograph family's where p5 adds a number, p4 a size or p3 a colour."""
    lexicon = words_by_kind()
    is_size = len(prefixes) > 2 and all(w in lexicon["size"] for w in re.split(r",? ", prefixes[2].strip().lower()))
    is_colour = len(prefixes) > 1 and prefixes[1].strip().lower() in lexicon["colour"]
    is_number = len(prefixes) > 3 and plain_words().get(prefixes[3].strip().lower()) == "number"
    if not (is_size or is_colour or is_number):
        return ()
    named = tuple(zip(prefixes, _CHAIN_KINDS, strict=False))
    # What the vocabulary says as well, after the last word that it does not, teaches nothing.
    while named and _is_known(*named[-1]):
        named = named[:-1]
    return named


def _is_known(words: str, kind: str) -> bool:
    bare = words.rstrip(" ")
    return not bare or adjectives().get(bare) == kind or (kind == "number" and plain_words().get(bare) == kind)


def _descriptions(first: str, described: Sequence[str]) -> tuple[str, ...]:
    if not first:
        return ()
    rests = (text[len(first) :].strip(" ,") for text in described if text.startswith(first))
    # "which ..." has a frame of its own.
    return tuple(rest for rest in rests if len(rest.split()) > 2 and not rest.startswith("which "))


def core(prefix: str) -> tuple[int, int]:
    """Return the span of the shortest value words in an adjective slot: "it is a round shape " holds "round"."""
    stripped = prefix.rstrip()
    start = _FILLER.match(stripped).end()  # type: ignore[union-attr]
    match = _SUFFIX.search(stripped)
    stop = match.start() if match and match.start() > start else len(stripped)
    return (start, stop) if stop > start else (0, len(stripped))
