"""One pass over one prompt: slots, the target, the words around it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from robustness.perturb.language import align
from robustness.perturb.language.lexicon import find_class, words_by_kind
from robustness.perturb.language.names import (
    TOKEN,
    Index,
    adjectives,
    anywhere,
    is_number,
    names,
    noun_shapes,
    own_names,
)
from robustness.perturb.language.slots import PLACE, slots
from robustness.perturb.modality import canonical_modality
from robustness.types import Attribute

_PLACE_BEFORE = re.compile(
    rf"(?<![\w-])(?P<v>(?:top|bottom|upper|lower)[ -](?:left|right)|{PLACE}most)\b", re.IGNORECASE
)
_LISTS = frozenset({"size", "colour", "shape"})
# "heart shape" is a shape and "brain MRI" a modality, whatever the heart and the brain may be elsewhere.
_NOT_AFTER_A_TARGET = frozenset("shape shaped mri mr ct scan image ultrasound xray x-ray radiograph endoscopy".split())
# Only here did the reference ask a question-answering model for shapes: "thumb polyp", but not "kidney tumor".
_NOUN_SHAPE_MODALITIES = ("endoscopy", "dermoscopy", "photograph")
# Words that look like attributes but belong to a name.
_PROTECTED_WORDS = ("bowel", "intestin", "blood", "light", "field", "background", "room", "dose", "resolution")
_PROTECTED = re.compile(
    r"\b(?:large (?:bowel|intestine)|small (?:bowel|intestine)|(?:red|white) blood cells?|(?:white|narrow.band) light"
    r"|light microscop\w+|bright.field|dark (?:field|background|room)|low.dose|high.resolution)\b",
    re.IGNORECASE,
)


# The constructor of a named tuple costs as much as finding the word.
_new = tuple.__new__


class _Token(NamedTuple):
    lower: str
    start: int
    stop: int


def _tokens(text: str, stop: int) -> list[_Token]:
    """Return the words of `text` up to `stop`."""
    return [_new(_Token, (m[0].lower(), *m.span())) for m in TOKEN.finditer(text, 0, stop)]


class Reader:
    """One pass over one text; `taken` marks the characters that a slot, a name or a value has used up."""

    def __init__(self, text: str, chain: align.Chain, name: str, lateral: bool, modality: str) -> None:
        self.text = text
        self.chain = chain
        self.name = name
        self.lateral = lateral
        self.modality = modality
        self.taken = bytearray(len(text))
        self.spans: list[tuple[str, int, int]] = []

    def read(self) -> list[Attribute]:
        """Return the attributes in the order of the text."""
        for slot in slots(self.text, is_number):
            if slot.kind != "description" or self._names_before(slot.start):
                self._take(slot.kind, slot.start, slot.stop, slot.outer_start, slot.outer_stop)
        self._described()
        lower = self.text.lower()
        if any(word in lower for word in _PROTECTED_WORDS):
            for match in _PROTECTED.finditer(self.text):
                self._use_up(*match.span())
        tokens = self._free(_tokens(self.text, len(self.text)))
        span = self._find_target(tokens)
        head = tokens
        if span is not None:
            self._take("target", *span)
            head = self._read_side(tokens, span)
            head = self._peel(head, span[0])
        self._read_words(tokens, head, span)
        return self._merged()

    def _take(self, kind: str, start: int, stop: int, outer_start: int = -1, outer_stop: int = -1) -> None:
        self.spans.append((kind, start, stop))
        self._use_up(outer_start if outer_start >= 0 else start, outer_stop if outer_stop >= 0 else stop)

    def _use_up(self, start: int, stop: int) -> None:
        self.taken[start:stop] = b"\1" * (stop - start)

    def _free(self, tokens: Sequence[_Token]) -> list[_Token]:
        taken = self.taken
        return [t for t in tokens if not any(taken[t[1] : t[2]])] if any(taken) else list(tokens)

    def _described(self) -> None:
        if any(kind == "description" for kind, _, _ in self.spans):
            return
        for rest in self.chain.descriptions:
            at = self.text.find(rest)
            if at > 0:
                self._take("description", at, at + len(rest))
                return

    def _names_before(self, stop: int) -> bool:
        """Tell whether a target stands before `stop`: "in this image, one polyp" describes nothing."""
        return self._find_target(_tokens(self.text, stop)) is not None

    def _find_target(self, tokens: Sequence[_Token]) -> tuple[int, int] | None:
        """Return the span of the target: by the names that the case gives, else by the lexicon's."""
        own = own_names(self.name, self.chain.target)
        return (self._first_run(tokens, own) if own else None) or self._first_run(tokens, names())

    def _first_run(self, tokens: Sequence[_Token], index: Index) -> tuple[int, int] | None:
        """Return the span of the head noun of the first run of target names."""
        best: tuple[int, int] | None = None
        i = 0
        while i < len(tokens):
            stop = self._match(tokens, i, index)
            if stop is None:
                if best is not None:
                    break
                i += 1
                continue
            # "heart polyp": the last name of an unbroken run is the head noun.
            if best is not None and self.text[best[1] : tokens[i].start] != " ":
                break
            best = (tokens[i].start, tokens[stop - 1].stop)
            i = stop
        return best

    def _match(self, tokens: Sequence[_Token], i: int, index: Index) -> int | None:
        for words in index.get(tokens[i].lower, ()):
            stop = i + len(words)
            if stop > len(tokens) or any(tokens[i + k].lower != w for k, w in enumerate(words)):
                continue
            if stop < len(tokens) and tokens[stop].lower in _NOT_AFTER_A_TARGET:
                continue
            if all(self.text[tokens[k].stop : tokens[k + 1].start].isspace() for k in range(i, stop - 1)):
                return stop
        return None

    def _read_side(self, tokens: Sequence[_Token], span: tuple[int, int]) -> list[_Token]:
        """Take the side words before a paired target; return the tokens before the target that are left."""
        head = [t for t in tokens if t.stop <= span[0]]
        row = find_class(self.text[span[0] : span[1]])
        if not head or not (self.lateral or (row is not None and row.lateral)):
            return head
        end = len(head)
        while end > 0 and head[end - 1].lower in adjectives():
            end -= 1
        words = tuple(t.lower for t in head[max(0, end - 3) : end])
        count = 3 if words in (("left", "and", "right"), ("right", "and", "left")) else 0
        if not count and words and words[-1] in words_by_kind()["side"]:
            count = 1
        gap = self.text[head[end - 1].stop : span[0]] if end else ""
        first = head[end - count] if count else None
        if first is None or not re.fullmatch(r"[\w\s,-]*", gap) or self._inside_place(first):
            return head
        self._take("side", first.start, head[end - 1].stop)
        return [*head[: end - count], *head[end:]]

    def _inside_place(self, token: _Token) -> bool:
        return self.text[: token.start].lower().endswith(("top ", "bottom ", "upper ", "lower ", "top-", "bottom-"))

    def _peel(self, head: list[_Token], stop: int) -> list[_Token]:
        """Take off the head, innermost first, what the siblings put before the target."""
        for prefix, kind in self.chain.prefixes:
            start = stop - len(prefix)
            if start < 0 or self.text[start:stop].lower() != prefix.lower():
                break
            low, high = align.core(prefix)
            if high > low:
                self._take(kind, start + low, start + high)
                head = [t for t in head if t.stop <= start]
            stop = start
        return head

    def _read_words(self, tokens: Sequence[_Token], head: Sequence[_Token], span: tuple[int, int] | None) -> None:
        stop = span[0] if span else len(self.text)
        place = _PLACE_BEFORE.search(self.text, 0, stop) if span and "location" not in self._kinds() else None
        if place and not any(self.taken[place.start() : place.end()]):
            self._take("location", place.start(), place.end())
        self._read_noun_shape(head, span)
        for token in head:
            kind = self._kind(token)
            if kind:
                self._take(kind, token.start, token.stop)
        self._read_anywhere(tokens)
        if span:
            self._read_run(tokens, span[1])

    def _kinds(self) -> set[str]:
        return {kind for kind, _, _ in self.spans}

    def _used(self, token: _Token) -> bool:
        return any(self.taken[token.start : token.stop])

    def _read_noun_shape(self, head: Sequence[_Token], span: tuple[int, int] | None) -> None:
        """Take "thumb" of "thumb polyp" and "heart" of "heart shape polyp", the longest known noun first."""
        words = list(head)
        framed = bool(words) and words[-1].lower in ("shape", "shaped")
        words = words[:-1] if framed else words
        row = find_class(self.text[span[0] : span[1]]) if span else None
        photograph = span is not None and self._is_photograph(row.modality if row else "")
        if not words or not (framed or photograph):
            return
        if span and self.text[words[-1].stop : span[0]].strip(" ").lower() not in ("", "shape", "shaped"):
            return
        for count in (3, 2, 1):
            first = words[-count:][0]
            if self.text[first.start : words[-1].stop].lower() in noun_shapes() and not self._used(first):
                self._take("shape", first.start, words[-1].stop)
                return

    def _is_photograph(self, usual: str) -> bool:
        return (canonical_modality(self.modality) or usual) in _NOUN_SHAPE_MODALITIES

    def _kind(self, token: _Token) -> str:
        if self._used(token):
            return ""
        kind = adjectives().get(token.lower, "")
        if not kind and is_number(token.lower) and token.lower not in ("few", "some"):
            kind = "number"
        return "" if kind == "number" and "number" in self._kinds() else kind

    def _read_anywhere(self, tokens: Sequence[_Token]) -> None:
        """Take planes, sexes and benign/malignant, which mean the same wherever they stand."""
        for token in tokens:
            kind = anywhere().get(token.lower)
            if kind and not self._used(token):
                self._take(kind, token.start, token.stop)

    def _read_run(self, tokens: Sequence[_Token], at: int) -> None:
        """Take adjectives that follow the target without a break: "polyp, pink and round"."""
        for token in tokens:
            if token.start < at:
                continue
            if self.text[at : token.start].strip(" ,"):
                return
            kind = adjectives().get(token.lower, "")
            if kind and not self._used(token):
                self._take(kind, token.start, token.stop)
            elif token.lower not in ("and", "is", "are"):
                return
            at = token.stop

    def _merged(self) -> list[Attribute]:
        """Return the attributes in order; neighbours of one kind joined by ", " are one value."""
        merged: list[tuple[str, int, int]] = []
        for kind, start, stop in sorted(set(self.spans), key=lambda f: (f[1], f[2])):
            last = merged[-1] if merged else None
            if last and last[0] == kind and kind in _LISTS and self.text[last[2] : start] in (", ", ","):
                merged[-1] = (kind, last[1], stop)
            elif (last is None or start >= last[2]) and not (kind == "size" and any(m[0] == "size" for m in merged)):
                merged.append((kind, start, stop))
        return [Attribute(kind, self.text[start:stop], start, stop) for kind, start, stop in merged]
