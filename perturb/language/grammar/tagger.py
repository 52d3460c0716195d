"""One class for every token of a prompt, with the values that form or position alone tells."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import NamedTuple

from robustness.perturb.language.grammar.measures import Mark, measures
from robustness.perturb.language.grammar.numerals import counts, list_figures
from robustness.perturb.language.grammar.picture import in_the_picture
from robustness.perturb.language.grammar.scan import pass_over, scans
from robustness.perturb.language.grammar.tokens import Token, asides, stands_at, tokenize
from robustness.perturb.language.grammar.verbs import (
    finite_forms,
    may_relate,
    relates_here,
    relating_at,
    verb_at,
)
from robustness.perturb.language.grammar.vocabulary import is_adverb, kind_of, kind_of_pair, names_by_first, words
from robustness.perturb.language.ontology.modifiers import OPENS_DENIAL, denial_length, modifiers
from robustness.perturb.language.ontology.terms import Term

_SINGLE = (
    "determiner",
    "preposition",
    "conjunction",
    "auxiliary",
    "relative",
    "pronoun",
    "request",
    "filler",
)


class Tagged(NamedTuple):
    """The tokens of a text, each with its class, and the marks; `name_at` gives names of several words by first token.

    Attributes:
        tags: a class per token: determiner, preposition, conjunction, auxiliary, relative, pronoun, request, filler,
            position, report, relation, negation, certainty, sign, word, or a mark's group.
        marks: first token -> (mark, index after its last token).
        spans: first token -> index after the last token of a relation, negation or certainty phrase.
        name_at: first token -> (index after the name's last token, the ontology's term).
        inner: the tokens of those names after the first.
        counts: first token -> index after the last token of a number of several words ("at least four").
    """

    text: str
    tokens: list[Token]
    tags: list[str]
    marks: dict[int, tuple[Mark, int]]
    spans: dict[int, int]
    name_at: dict[int, tuple[int, Term]]
    counts: dict[int, int]
    inner: frozenset[int]


def tag(text: str) -> Tagged:
    """Return the tokens of `text` with their classes."""
    tokens = tokenize(text)
    tags = [""] * len(tokens)
    marks: dict[int, tuple[Mark, int]] = {}
    figured = _DIGIT.search(text) is not None
    if figured:
        _figures(text, tokens, tags, marks)
    for start, stop in asides(text):
        for i, token in enumerate(tokens):
            if start <= token.start < stop and not tags[i]:
                tags[i] = "filler"
    names = _names(tokens, tags)
    free = [not t for t in tags]
    for first, (stop, _) in names.items():
        for k in range(first, stop):
            free[k] = False
    for i in list_figures(tokens) if figured else ():
        tags[i], free[i] = "sign", False
    for mark, first, last in scans(tokens, free):
        marks[first] = (mark, last)
        tags[first:last] = [mark.group] * (last - first)
    pass_over(text, tokens, tags, marks, names)
    several = counts(tokens, [not t for t in tags])
    for first, last in several.items():
        tags[first:last] = ["word"] * (last - first)
    spans: dict[int, int] = {}
    _phrases(tokens, tags, spans, names)
    for i, token in enumerate(tokens):
        if not tags[i]:
            tags[i] = _single(token, tokens, i)
    _small_words(tokens, tags, spans)
    inner = frozenset(k for first, (stop, _) in names.items() for k in range(first + 1, stop))
    for i in range(1, len(tokens)):
        if tags[i] != "word" or i in names or i in inner or not may_relate(tokens[i].lower):
            continue
        stop = verb_at(tokens, tags, i)
        if stop == i:
            stop = relating_at(tokens, tags, spans, i)
        if stop > i:
            tags[i:stop] = ["relation"] * (stop - i)
            spans[i] = stop
    return Tagged(text, tokens, tags, marks, spans, names, several, inner)


def _figures(text: str, tokens: Sequence[Token], tags: list[str], marks: dict[int, tuple[Mark, int]]) -> None:
    stops = [t.stop for t in tokens]
    for mark in measures(text):
        first = bisect_right(stops, mark.start)
        if first == len(tokens) or tags[first]:
            continue
        last = first + 1
        while last < len(tokens) and tokens[last].start < mark.stop:
            last += 1
        marks[first] = (mark, last)
        tags[first:last] = [mark.group] * (last - first)


def _names(tokens: Sequence[Token], tags: Sequence[str]) -> dict[int, tuple[int, Term]]:
    """Return first token -> (index after the last, term) of the ontology's names of several words, longest first."""
    index = names_by_first()
    named: dict[int, tuple[int, Term]] = {}
    i = 0
    while i < len(tokens):
        stop = i + 1
        for parts, term in () if tags[i] else index.get(tokens[i].lower, ()):
            end = i + len(parts)
            if end > len(tokens) or tokens[i + 1].lower != parts[1]:
                continue
            if all(tokens[i + k].lower == p and not tags[i + k] for k, p in enumerate(parts)):
                named[i] = (end, term)
                stop = end
                break
        i = stop
    return named


@cache
def _phrase_table() -> dict[str, tuple[tuple[tuple[str, ...], str], ...]]:
    """Return first word -> (words, class) of the phrases of several words, longest first."""
    table: dict[str, list[tuple[tuple[str, ...], str]]] = {}
    for kind in ("relation", "negation", "certainty"):
        for value in modifiers()[kind]:
            if kind == "relation" or " " in value:
                parts = tuple(value.split(" "))
                for form in (parts, *finite_forms(parts)) if kind == "relation" else (parts,):
                    table.setdefault(form[0], []).append((form, kind))
    return {first: tuple(sorted(rows, key=lambda r: -len(r[0]))) for first, rows in table.items()}


def _phrases(
    tokens: Sequence[Token], tags: list[str], spans: dict[int, int], names: dict[int, tuple[int, Term]]
) -> None:
    table = _phrase_table()
    i = 0
    while i < len(tokens):
        if i in names:
            i = names[i][0]
            continue
        opens = not tags[i] and tokens[i].lower in OPENS_DENIAL
        near = zip(tokens[i : i + 5], tags[i : i + 5], strict=True) if opens else ()
        stop = i + denial_length(["" if tag else t.lower for t, tag in near])
        if stop > i:
            tags[i:stop] = ["negation"] * (stop - i)
            spans[i], i = stop, stop
            continue
        for parts, kind in () if tags[i] else table.get(tokens[i].lower, ()):
            if not stands_at(tokens, i, parts):
                continue
            end = i + len(parts)
            if end > i and "left" in parts + ("left",) * ("right" in parts) and in_the_picture(tokens, i, end):
                continue
            if end > i and end < len(tags) and tags[end] == "measure" and parts[0] in words("classes.bound"):
                # "each under 5 mm"
                tags[i:end] = ["filler"] * (end - i)
                stop = end
                break
            if i and end == i + 2 and parts[1] == "of" and tokens[i - 1].lower in ("most", "more"):
                # "the most inferior of the cysts"
                continue
            if end == i + 1 < len(tokens) and parts[0] == "near" and tokens[end].lower in words("classes.part"):
                # "the near wall" of a vessel
                continue
            if end == i + 1 and parts[0] in words("classes.coat") and (end == len(tokens) or not tokens[end].is_word):
                # "with a sticky coating"
                continue
            noun = end == i + 1 < len(tokens) and parts[0].endswith("ing")
            if noun and (tokens[end].lower == "of" or (tags[end] == "measure" and not (i and tokens[i - 1].is_word))):
                # "thinning of the wall", "undermining 2 cm" name a finding.
                continue
            if end > i and not any(tags[i:end]) and (kind != "relation" or relates_here(tokens, tags, i, end)):
                tags[i:end] = [kind] * (end - i)
                spans[i] = stop = end
                break
        i = max(stop, i + 1)


def _small_words(tokens: Sequence[Token], tags: list[str], spans: dict[int, int]) -> None:
    """Tell "a little right of", "stranding about the tail", "marked thickening" from the words' usual classes."""
    for i in range(1, len(tokens) - 1):
        lower, before, after = tokens[i].lower, tokens[i - 1].lower, tokens[i + 1].lower
        if (
            lower in words("classes.seems")
            and (tags[i - 1] == tags[i + 1] == "word" and not (lower == "looking" and kind_of(before)))
            and (is_adverb(after) or (kind_of(after) or after.endswith(("ed", "ly"))))
        ):
            tags[i] = "auxiliary"  # "the crypts look branched"
        elif after == "like" and lower in words("classes.seems") and not kind_of(before):
            tags[i] = "auxiliary"  # "the cells look like spindles"
        elif lower == "point" and tags[i - 1] == "word" and after not in ("to", "at", "out"):
            tags[i] = "word"  # "transition point in the RIF"
        elif (lower, before) == ("also", "but") or (before, lower, after) == ("acute", "on", "chronic"):
            tags[i - (lower == "also") : i + 1] = ["conjunction"] * (1 + (lower == "also"))
        elif lower in words("classes.a_little") and before == "a" and (tags[i + 1] == "relation" or is_lead(after)):
            tags[i - 1 : i + 1] = ["filler"] * 2
        elif lower == "about" and tags[i] == "word" and tags[i - 1] == "word" and after in ("the", "its", "both"):
            tags[i], spans[i] = "relation", i + 1
        elif lower == "outlined" and tags[i] == "position" and is_adverb(before) and not tokens[i + 1].is_word:
            tags[i] = "word"  # "sharply outlined, pink"
        elif lower in ("belong", "belongs", "belonging") and after == "to":
            # "the pixels that belong to the liver"
            tags[i : i + 2] = ["filler"] * 2
        elif lower == "of" and after == "interest" and tags[i - 1] == "word":
            first = i - (before in words("classes.generic") or before in words("classes.header"))
            tags[first : i + 2] = ["filler"] * (i + 2 - first)
        elif lower in ("mind", "consider", "start", "begin") and after.endswith("ing") and tags[i - 1] != "determiner":
            tags[i : i + 2] = ["request"] * 2  # "would you mind marking the hip"
        elif lower in words("classes.spread") and is_adverb(after) and tags[i - 1] == "auxiliary":
            tags[i] = "position"  # "are clustered centrally"
        elif after == "than" and lower in ("lower", "upper", "higher"):
            tags[i] = "filler"
        elif after == "than" and i + 2 < len(tokens) and tags[i + 2] == "measure" and tags[i] == "word":
            # "larger than 3 mm"
            tags[i : i + 2] = ["filler"] * 2
        elif lower in words("classes.sight") and (tags[i - 1], tags[i + 1]) == ("pronoun", "determiner"):
            tags[i] = "request"
        elif lower in words("classes.cut") and after in ("off", "by") and tags[i - 1] == "word":
            # "cut off by the edge of the frame"
            tags[i] = "position"
        elif tags[i] == "position" and tags[i + 1] == "word" and (lower == "marked" or tags[i - 1] == "with"):
            tags[i] = "word"  # "with segmented nuclei"
        elif tags[i] == "report" and kind_of_pair(before, lower):
            tags[i] = "word"  # "fat containing lesion"


@lru_cache(maxsize=1024)
def is_lead(lower: str) -> bool:
    """Tell whether a word (small letters) begins a place: left, above, off, posterior."""
    return lower in ("left", "right", "off", "above", "below", "to") or kind_of(lower) == "direction"


def _single(token: Token, tokens: Sequence[Token], i: int) -> str:
    lower = token.lower
    if lower == "?" and _queries(tokens, i):
        return "certainty"
    if not token.is_word:
        return "sign"
    if lower == "look" and i + 1 < len(tokens) and tokens[i + 1].lower in ("for", "at"):
        return "request"
    if lower in ("there", "there's") and i + 1 < len(tokens) and (lower == "there's" or tokens[i + 1].lower in _BE):
        return "exists"
    return _class_of(lower)


def _queries(tokens: Sequence[Token], i: int) -> bool:
    """Tell whether the mark at `i` stands before what it doubts: "?BCC", "? fracture"; not behind a question."""
    if i + 1 >= len(tokens) or not tokens[i + 1].lower[0].isalpha() or (i and tokens[i - 1].lower == "?"):
        return False
    return tokens[i + 1].start == tokens[i].stop or i == 0 or not tokens[i - 1].is_word


@lru_cache(maxsize=16384)
def _class_of(lower: str) -> str:
    if lower in ("with", "including"):
        return "with"
    if lower in words("classes.denial"):
        return "negation"
    for name in _SINGLE:
        if lower in words(f"classes.{name}"):
            return name
    if lower in words("classes.position"):
        return "position"
    if lower in words("classes.report"):
        return "report"
    if lower in modifiers()["negation"]:
        return "negation"
    if lower in modifiers()["certainty"]:
        return "certainty"
    return "word"


_DIGIT = re.compile(
    r"\d|\b(?:half|quarter|one|two|three|four|five|six|seven|eight|nine|ten)-"
    r"|\ba[).](?=\s)|\bthan (?:wide|tall|long|deep|broad)\b|\b(?:ADC|diffusion|signal)\b|\bdensity [a-d]\b|\bhpf\b"
    r"|\b(?:grade|stage|degree|segment|level|type|class|zone|station|fields?|hpfs?|diameters?|areas?|breadths?|widths?|clock|[ivx]{1,4}[a-f]?)\b",
    re.IGNORECASE,
)
_BE = frozenset({"is", "are", "was", "were", "may", "might", "seems", "appears", "has", "have"})
