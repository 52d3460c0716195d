"""Reading a prompt in parts that come again and again, each of which is read once.

Prompts of a dataset are combinations: "one small pink round" + "polyp which is a growth" + ", located in top of the
image". Where the parts cannot depend on one another, reading them apart gives what reading the whole gives, at a
fraction of the cost; everywhere else `read_in_parts` gives None and the whole is read.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from robustness.perturb.language import align
from robustness.perturb.language.names import noun_shapes, own_names, plain_words
from robustness.perturb.language.reader import Reader
from robustness.types import Attribute

# Where a new part begins: a place, a sentence of findings, the person.
_STOP = re.compile(r"[.!?]")
_CUT = re.compile(r"located in |\. (?=\w[^.]* (?:is|are) present\b)| of an? (?=[\w-]+-year-old |(?:fe)?male\b)")
_TAIL_KINDS = frozenset({"location", "view", "pathology", "age", "sex", "quality"})
# Frames that reach back over the words before them, and words that phrases such as "large bowel" protect.
_REACHING = (
    "-shaped",
    " shape,",
    "bowel",
    "intestin",
    "blood",
    "light",
    "field",
    "background",
    " room",
    "dose",
    "resolution",
)


class _Span(NamedTuple):
    kind: str
    value: str
    start: int
    stop: int


def read_in_parts(
    text: str, chain: align.Chain, name: str, lateral: bool, modality: str
) -> tuple[Attribute, ...] | None:
    """Return the attributes of `text` in order, read part by part, or None where the parts may depend on each other."""
    lower = text.lower()
    if len(lower) != len(text) or not _leaves_the_head(chain):
        return None
    for word in _REACHING:
        if word in lower:
            return None
    head, at = _plain_head(text)
    cuts = [_start(lower, m) for m in _CUT.finditer(lower, at)]
    if not head and not cuts:
        return None
    ends = [*cuts, len(text)]
    present = lower.find(" present", at, _sentence_end(lower, at))
    if present >= 0 and (head or present >= ends[0]):
        # A sentence of findings begins at the first word, whatever stands in between.
        return None
    main = _main(text[at : ends[0]], chain, name, lateral, modality)
    if not _stands_alone(main, head, own_names(name, chain.target)):
        return None
    described = any(span.kind == "description" for span in main)
    # A description ends at a place only: "which is seen in half of a male ..." goes on.
    if described and any(text[start - 1] == "." or text.startswith(" of ", start) for start in cuts):
        return None
    spans = [*head, *(_Span(kind, value, at + a, at + b) for kind, value, a, b in main)]
    for start, stop in zip(cuts, ends[1:], strict=True):
        for kind, value, a, b in _tail(text[start:stop]):
            if kind not in _TAIL_KINDS:
                return None
            spans.append(_Span(kind, value, start + a, start + b))
    if len({span.kind for span in spans}) < len(spans):
        return None
    return tuple(Attribute(*span) for span in spans)


def _sentence_end(text: str, at: int) -> int:
    """Return where the sentence that `at` lies in ends."""
    end = _STOP.search(text, at)
    return end.start() if end is not None else len(text)


def _start(text: str, cut: re.Match[str]) -> int:
    """Return where a part begins: ", and located in" at its comma, a sentence after the blank."""
    start = cut.start()
    if text[start] == ".":
        return cut.end()
    if text[start] == "l":
        start -= 4 * text.endswith("and ", 0, start)
        start -= text.endswith(" ", 0, start)
        start -= text.endswith(",", 0, start)
    return start


def _leaves_the_head(chain: align.Chain) -> bool:
    """Tell whether what the siblings teach is a shape next to the target, and no word that the head may hold."""
    if not chain.prefixes:
        return True
    words, kind = chain.prefixes[0]
    return len(chain.prefixes) == 1 and kind == "shape" and words.split(" ")[0].lower() not in plain_words()


def _stands_alone(main: tuple[_Span, ...], head: list[_Span], own: object) -> bool:
    """Tell whether the part with the target, which follows `head` without a break, means the same without it."""
    if not any(span.kind == "target" for span in main) or (head and main[0].start != 0):
        return False
    if not head:
        return True
    last = head[-1].value.lower()
    longer = f"{last} {main[0].value.lower()}" in noun_shapes()
    return not longer and not any(span.value.lower() in own for span in head)  # type: ignore[operator]


def _plain_head(text: str) -> tuple[list[_Span], int]:
    """Return the plain words that `text` begins with, and where the rest begins."""
    plain = plain_words()
    head: list[_Span] = []
    at = 0
    while (stop := text.find(" ", at)) > at:
        word = text[at:stop]
        kind = plain.get(word) or plain.get(word.lower())
        if kind is None:
            break
        head.append(_Span(kind, word, at, stop))
        at = stop + 1
    return head, at


@lru_cache(maxsize=65536)
def _main(text: str, chain: align.Chain, name: str, lateral: bool, modality: str) -> tuple[_Span, ...]:
    read = Reader(text, chain, name, lateral, modality).read()
    return tuple(_Span(a.kind, a.value, a.start, a.stop) for a in read)


@lru_cache(maxsize=65536)
def _tail(text: str) -> tuple[_Span, ...]:
    read = Reader(text, align.EMPTY, "", False, "").read()
    return tuple(_Span(a.kind, a.value, a.start, a.stop) for a in read)
