"""Template slots: phrases whose frame tells the kind of what stands in it, known word or not.

`one polyp, located in top left, center of the image`: the frame `located in ... of` makes it a location.
A slot masks the words that it covers, so that no vocabulary reads `small` inside "which is a small lump".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import NamedTuple

from robustness.perturb.language.grammar.numerals import spell
from robustness.perturb.language.lexicon import words_by_kind


class Slot(NamedTuple):
    """A value of `kind` at [start, stop) inside a frame that covers [outer_start, outer_stop)."""

    kind: str
    start: int
    stop: int
    outer_start: int
    outer_stop: int


_SIDE = r"left|right|center|centre|middle"
_LEVEL = "top|bottom|upper|lower"
PLACE = rf"(?:(?:{_LEVEL}|middle|central|center|centre)[ -](?:{_SIDE})|{_LEVEL}|central|{_SIDE})"
PLACES = rf"{PLACE}(?:(?:, and |, | and ){PLACE})*"
_THE_IMAGE = (
    r"(?:the|this|an?) (?:image|picture|photo(?:graph)?|frame|scan|slice|scene|field|view|tile|(?:\w+ )?view)\b"
)
_PLACED = rf",? (?:and )?(?:located|situated|positioned) (?:in|at)\b| in the {PLACES} part\b"
# Recognized by one character, so that the ends proper are tried at few places.
_MAY_END = r"(?=[\s,.;]|$)"
_PART = r"(?:part|corner|side|region|area|quadrant|half|third|portion|zone)"


def _compile(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


_PATTERNS: tuple[tuple[str, str, re.Pattern[str]], ...] = tuple(
    (kind, needle, _compile(pattern))
    for kind, needle, pattern in (
        ("description", "which ", rf"\b(?P<v>which \w+ .+?){_MAY_END}(?={_PLACED}|\. |\.?\s*$|; )"),
        (
            "description",
            ", ",
            r"(?<=\w )(?:in|on) (?:an? |the )?(?:[\w-]+ ){0,5}"
            r"(?:MRI|CT|image|ultrasound|x-?ray|radiograph|photograph|scan|slice), "
            r"(?P<v>(?!(?:and )?(?:located|situated|in|at|with|of|on)\b).+?)"
            rf"(?={_PLACED}|\.?\s*$)",
        ),
        ("description", "that ", rf"\b(?P<v>that (?:is|are) .+?){_MAY_END}(?={_PLACED}|\. |\.?\s*$|; )"),
        (
            "location",
            " in ",
            r"\b(?:and )?(?:located|situated|positioned|placed|lying|lies|found|seen|visible) (?:in|at|on) (?:the )?"
            rf"(?P<v>{PLACES})(?= (?:of|in|{_PART})\b|\s*[,.;:]|\s*$)",
        ),
        (
            "location",
            " at the ",
            rf"\bat the (?P<v>{PLACES})(?= (?:of|in|{_PART})\b|\s*[,.;:]|\s*$)",
        ),
        ("location", " of the ", rf"\b(?:in|on|at|from|near) the (?P<v>{PLACES})(?: {_PART})? of {_THE_IMAGE}"),
        ("location", " corner", rf"\b(?:in|to|at) the (?P<v>{PLACE}) corner\b"),
        (
            "shape",
            "of shape ",
            r"\bof shape (?:it is |it's )?(?:an? )?(?P<v>\w.{0,40}?)(?P<t>-shaped| shaped?)?"
            r"(?=,? (?:and )?located\b| (?:in|at|of|on|with) (?:the|a|an)\b|\s*[,.;:]|\s*$)",
        ),
        ("shape", " shape", r"\bof (?:it is |it's )?(?:an? )?(?!shape\b)(?P<v>[\w-]+(?: [\w-]+)?) shape\b"),
        ("shape", "-shaped", r"(?<![\w-])(?P<v>\w[\w ]*?)(?<=\w)-shaped\b"),
        ("view", "chamber", r"(?<![\w-])(?P<v>(?:two|three|four|five|[2345])[- ]chamber)\b"),
        (
            "view",
            " ",
            r"(?<![\w-])(?P<v>frontal|lateral|anteroposterior|posteroanterior|longitudinal|transverse|anterior|posterior)"
            r"(?= (?:view|projection|plane|radiograph|image)\b)",
        ),
        ("quality", "quality", r"\b(?P<v>good|medium|poor|bad|excellent|fair|high|low|moderate)(?: image)? quality\b"),
        ("phase", "sto", r"(?<![\w-])(?P<v>(?:end-)?(?:diasto|systo)(?:le|lic))\b"),
        ("age", "-old", r"(?<![\w-])(?P<v>\w+(?:-\w+)*-years?-old)\b"),
        ("pathology", " present", r"(?:^|[.!?]\s+)(?P<v>\w[^.!?]*?) (?:is|are) present\b"),
        (
            "number",
            " in ",
            r"\bin (?P<v>\w+(?:-\w+)?)(?= (?:(?:separate|distinct|single|disjoint) )?(?:regions?|parts?|pieces?)\b)",
        ),
    )
)
_NEVER_NUMBER = frozenset({"the", "a", "an", "this", "each", "every", "separate", "distinct"})


def slots(text: str, is_number: Callable[[str], bool]) -> Iterator[Slot]:
    """Yield the slots of `text`, none overlapping an earlier one; `is_number` checks the word in a number slot."""
    lower = text.lower()
    taken = bytearray(len(text))
    for kind, needle, pattern in _PATTERNS:
        if needle not in lower:
            continue
        for match in pattern.finditer(text):
            slot = _slot(kind, match)
            if any(taken[slot.outer_start : slot.outer_stop]):
                continue
            value = text[slot.start : slot.stop]
            if kind == "number" and (value.lower() in _NEVER_NUMBER or not is_number(value)):
                continue
            if not value.strip():
                continue
            taken[slot.outer_start : slot.outer_stop] = b"\1" * (slot.outer_stop - slot.outer_start)
            yield slot


def _slot(kind: str, match: re.Match[str]) -> Slot:
    start, stop = match.span("v")
    if kind == "description":
        # The frame before the comma ("in axial T1 brain MRI") still holds a view of its own.
        return Slot(kind, start, stop, start, stop)
    if kind == "shape" and match.group().lower().endswith("-shaped") and not match.group().lower().startswith("of "):
        start, stop = _shape_noun(match["v"], start)
        return Slot(kind, start, stop, start, match.end())
    return Slot(kind, start, stop, match.start(), match.end())


def _shape_noun(phrase: str, start: int) -> tuple[int, int]:
    """Return the span of the value of `X-shaped`: "One small hot dog" gives "hot dog", "a round shape" "round"."""
    words = list(re.finditer(r"\S+", phrase))
    if len(words) > 1 and words[-1].group().lower() == "shape":
        words.pop()
    first = len(words) - 1
    while first > 0 and words[first - 1].group().lower() not in _before_a_shape():
        first -= 1
    return start + words[first].start(), start + words[-1].end()


@cache
def _before_a_shape() -> frozenset[str]:
    """Return the words that may stand before a shape and are no part of it: articles, numbers, sizes, colours."""
    table = words_by_kind()
    kinds = ("size", "colour", "number", "pathology")
    numbers = (spell(n) for n in range(100))
    return frozenset({*"a an the it is and of with".split(), *numbers, *(v for k in kinds for v in table[k])})
