"""Template slots: phrases whose frame tells the kind of what stands in it, known word or not.

`one polyp, located in top left, center of the image`: the frame `located in ... of` makes it a location.
A slot masks the words that it covers, so that no vocabulary reads `small` inside "which is a small lump".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple


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
_PART = r"(?:part|corner|side|region|area|quadrant|half|third|portion|zone)"


def _compile(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


_PATTERNS: tuple[tuple[str, str, re.Pattern[str]], ...] = tuple(
    (kind, needle, _compile(pattern))
    for kind, needle, pattern in (
        ("description", "which ", r"\b(?P<v>which \w+ .+?)(?=,? (?:and )?located (?:in|at)\b|\. |\.?\s*$|; )"),
        (
            "description",
            ", ",
            r"(?<=\w )(?:in|on) (?:an? |the )?(?:[\w-]+ ){0,5}"
            r"(?:MRI|CT|image|ultrasound|x-?ray|radiograph|photograph|scan|slice), "
            r"(?P<v>(?!(?:and )?(?:located|situated|in|at|with|of|on)\b).+?)"
            r"(?=,? (?:and )?located (?:in|at)\b|\.?\s*$)",
        ),
        ("description", "that ", r"\b(?P<v>that (?:is|are) .+?)(?=,? (?:and )?located (?:in|at)\b|\. |\.?\s*$|; )"),
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
            r"\bof shape (?:an? )?(?P<v>.{1,40}?)(?P<t>-shaped| shaped?)?"
            r"(?=,? (?:and )?located\b| (?:in|at|of|on|with) (?:the|a|an)\b|\s*[,.;:]|\s*$)",
        ),
        ("shape", " shape", r"\bof (?:an? )?(?!shape\b)(?P<v>[\w-]+(?: [\w-]+)?) shape\b"),
        ("shape", "-shaped", r"(?<![\w-])(?P<v>\w[\w ]*?)-shaped\b"),
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
    taken: list[tuple[int, int]] = []
    for kind, needle, pattern in _PATTERNS:
        if needle not in lower:
            continue
        for match in pattern.finditer(text):
            slot = _slot(kind, match)
            if any(slot.outer_start < stop and start < slot.outer_stop for start, stop in taken):
                continue
            value = text[slot.start : slot.stop]
            if kind == "number" and (value.lower() in _NEVER_NUMBER or not is_number(value)):
                continue
            if not value.strip():
                continue
            taken.append((slot.outer_start, slot.outer_stop))
            yield slot


def _slot(kind: str, match: re.Match[str]) -> Slot:
    start, stop = match.span("v")
    if kind == "description":
        # The frame before the comma ("in axial T1 brain MRI") still holds a view of its own.
        return Slot(kind, start, stop, start, stop)
    if kind == "shape" and match.group().lower().endswith("-shaped") and not match.group().lower().startswith("of "):
        start = _last_noun(match.group("v"), start)
        return Slot(kind, start, stop, start, match.end())
    return Slot(kind, start, stop, match.start(), match.end())


def _last_noun(phrase: str, start: int) -> int:
    """Return where the value of `X-shaped` begins: the last word, so that "One small circle" gives "circle"."""
    return start + phrase.rfind(" ") + 1
