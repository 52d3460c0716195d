"""Numbers as words, and numbers of objects of several words: "at least four", "two or three", "two dozen"."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache, lru_cache

from robustness.perturb.language.grammar.tokens import Token, stands_at

_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()


def spell(number: int) -> str:
    """Return a number from 0 to 199 in words.

    Raises:
        ValueError: the number is outside of that range.

    Example:
        >>> spell(73), spell(104)
        ('seventy-three', 'one-hundred-four')
    """
    if not 0 <= number < 200:
        raise ValueError(f"number: expected 0 to 199, got {number}")
    if number >= 100:
        rest = number - 100
        return "one-hundred" + (f"-{spell(rest)}" if rest else "")
    if number < 20:
        return _ONES[number]
    tens, ones = divmod(number, 10)
    return _TENS[tens - 2] + (f"-{_ONES[ones]}" if ones else "")


@cache
def _table() -> dict[str, int]:
    return {spell(n): n for n in range(200)}


def unspell(word: str) -> int | None:
    """Return the number that `word` spells (words or digits, any case), or None.

    Example:
        >>> unspell("Seventy-three"), unspell("12"), unspell("polyp")
        (73, 12, None)
    """
    # str.isdigit also holds for superscripts, which int() refuses.
    if word.isascii() and word.isdigit() and len(word) < 4:
        return int(word)
    return _table().get(word.lower())


SINGLE_COUNTS = frozenset(
    "several many multiple numerous few single solitary couple pair dozen countless innumerable lone handful dozens"
    " hundreds scores tens trio".split()
)
_PHRASES = (
    "no fewer than; no more than; no less than; not more than; not fewer than; not less than; as many as; as few as;"
    "at least; at most; up to; more than; fewer than; less than; greater than; close to; in excess of; exactly;"
    "precisely; approximately; roughly; about; around; circa; nearly; almost; over; under; only; just"
)
_RANGE = re.compile(r"\d{1,2}[-\u2013]\d{1,2}")
_GROUPS = frozenset({"dozen"})


@cache
def _bounds() -> dict[str, tuple[tuple[str, ...], ...]]:
    """Return first word -> the phrases that bound a number."""
    bounds: dict[str, tuple[tuple[str, ...], ...]] = {}
    for phrase in _PHRASES.split(";"):
        parts = tuple(phrase.split())
        bounds[parts[0]] = (*bounds.get(parts[0], ()), parts)
    return bounds


def counts(tokens: Sequence[Token], is_free: Sequence[bool]) -> dict[int, int]:
    """Return first token -> index after the last token of every number that takes several words, or is a range.

    Example:
        >>> from robustness.perturb.language.grammar.tokens import tokenize
        >>> counts(tokenize("at least two small polyps"), [True] * 5)
        {0: 3}
    """
    stops: dict[int, int] = {}
    i = 0
    while i < len(tokens):
        stop = _count(tokens, is_free, i) if _may_open(tokens[i].lower) else i
        if stop > i + 1 or (stop == i + 1 and _RANGE.fullmatch(tokens[i].lower)):
            stops[i] = stop
        i = max(stop, i + 1)
    return stops


@lru_cache(maxsize=16384)
def is_count(lower: str) -> bool:
    """Tell whether one word is a number of objects: "3", "pair", "seven"."""
    return lower in SINGLE_COUNTS or _is_numeral(lower)


def _is_numeral(lower: str) -> bool:
    """Tell whether one word is a number in figures or spelled: "3", "seven"."""
    return (lower.isdigit() and len(lower) < 4) or (lower.isalpha() and unspell(lower) is not None)


_OPENS = frozenset("a an between half lots plenty loads".split())


@lru_cache(maxsize=16384)
def _may_open(lower: str) -> bool:
    """Tell whether a number may begin with a word; most words begin none."""
    return lower in _OPENS or lower in _bounds() or _may_count(lower)


_LOOSE = frozenset("lots plenty loads number multitude plethora abundance host majority".split())


def _loosely(tokens: Sequence[Token], is_free: Sequence[bool], i: int) -> int:
    """Return the index after "lots of", "a number of" at token `i`, or `i`."""
    k = i + (tokens[i].lower in ("a", "an"))
    leads = k > i or tokens[i].lower in ("lots", "plenty", "loads")
    if not leads or k + 2 >= len(tokens) or tokens[k].lower not in _LOOSE or tokens[k + 1].lower != "of":
        return i
    return k + 2 if all(is_free[i : k + 2]) else i


def _count(tokens: Sequence[Token], is_free: Sequence[bool], i: int) -> int:
    """Return the index after the number that begins at token `i`, or `i`."""
    if tokens[i].lower == "between" and i + 3 < len(tokens) and tokens[i + 2].lower == "and":
        # "between 3 and 5 polyps"; "between two vessels" is a relation.
        return i + 4 if _is_number(tokens, is_free, i + 1) and _is_number(tokens, is_free, i + 3) else i
    lower = tokens[i].lower
    if (stop := _loosely(tokens, is_free, i)) > i:
        return stop
    if lower == "a" and i + 1 < len(tokens) and tokens[i + 1].lower == "dozen" and is_free[i] and is_free[i + 1]:
        return i + 2 + 2 * ([t.lower for t in tokens[i + 2 : i + 4]] == ["or", "so"])
    if lower == "half" and [t.lower for t in tokens[i + 1 : i + 3]] == ["a", "dozen"] and all(is_free[i : i + 3]):
        return i + 3
    if lower not in _bounds() and not _may_count(lower):
        return i
    start = _after_bound(tokens, i)
    group = [t.lower for t in tokens[start : start + 3]]
    if start > i and group[:1] == ["a"] and not SINGLE_COUNTS.isdisjoint(group[1:2]) and all(is_free[i : start + 2]):
        return start + 2 + (group[2:] == ["of"])  # "no more than a handful of"
    stop = _amount(tokens, is_free, start)
    if start > i and start < stop < len(tokens) - 1 and tokens[stop].lower in (",", "but", "and"):
        # "more than ten, less than twenty"
        more = _after_bound(tokens, stop + 1)
        end = _amount(tokens, is_free, more)
        stop = end if end > more > stop + 1 else stop
    return stop if stop > start else i


@lru_cache(maxsize=16384)
def _may_count(lower: str) -> bool:
    return lower[0].isdigit() or _is_numeral(lower)


def _after_bound(tokens: Sequence[Token], i: int) -> int:
    for bound in _bounds().get(tokens[i].lower, ()):
        if stands_at(tokens, i, bound):
            return i + len(bound)
    return i


def _amount(tokens: Sequence[Token], is_free: Sequence[bool], i: int) -> int:
    """Return the index after a numeral, a range of two, or a numeral of dozens; `i` where there is none."""
    if i < len(tokens) and is_free[i] and _RANGE.fullmatch(tokens[i].lower):
        return i + 1
    if not _is_number(tokens, is_free, i):
        return i
    following = tokens[i + 1].lower if i + 1 < len(tokens) else ""
    if following in _GROUPS:
        return i + 2
    if following in ("or", "to") and (
        _is_number(tokens, is_free, i + 2) or (i + 2 < len(tokens) and tokens[i + 2].lower in ("more", "fewer"))
    ):
        return i + 3
    return i + 1


def _is_number(tokens: Sequence[Token], is_free: Sequence[bool], i: int) -> bool:
    return i < len(tokens) and is_free[i] and _is_numeral(tokens[i].lower)


_SAME_BOUND = re.compile(r"(?:no|not) (more|fewer|less) than")
_ONE = ("single", "a single", "solitary", "lone")
_TWO = ("a couple", "couple", "a couple of", "a pair", "pair", "a pair of")


def count_holds(words: str, count: int) -> bool | None:
    """Tell whether `count` objects are what number words say; None where that is open ("several" of two) or no number.

    Example:
        >>> count_holds("at least four", 5), count_holds("two or three", 4), count_holds("several", 2)
        (True, False, None)
    """
    if words in ("several", "many", "multiple"):
        return None if count == 2 else count > 2
    if words in _TWO:
        return count == 2
    span = re.fullmatch(r"(?:between )?(\w+)(?: or | to | and |[-\u2013])(\w+)", words)
    low, high = (unspell(word) for word in span.groups()) if span is not None else (None, None)
    if low is not None and high is not None:
        return low <= count <= high
    words = _SAME_BOUND.sub(lambda m: "at most" if m[1] == "more" else "at least", words)
    bound = re.fullmatch(r"(exactly|at least|more than|at most|fewer than|less than|up to|only) (\S+)", words)
    if bound is not None and (limit := unspell(bound[2])) is not None:
        return _within(bound[1], count, limit)
    claimed = 1 if words in _ONE else 0 if words == "no" else unspell(words)
    return None if claimed is None else claimed == count


def _within(bound: str, count: int, limit: int) -> bool:
    if bound in ("exactly", "only"):
        return count == limit
    if bound in ("at least", "more than"):
        return count > limit - (bound == "at least")
    return count < limit + (bound in ("at most", "up to"))


def another_count(value: str) -> tuple[str, str] | None:
    """Return (another number, why) of "exactly three", "at least four", "seven or eight"; None where there is none."""
    for lead, other in _OTHER_BOUNDS:
        if value.lower().startswith(lead + " "):
            # "more than six" is denied by "fewer than six", not by another number.
            return other + value[len(lead) :], "the other side of the bound"
    if value.lower() in ("a couple of", "a pair of", "a handful of", "couple", "pair"):
        return "dozens of" if " of" in value else "dozens", "another number; a few <-> many"
    if value.lower().endswith("s of") or value.lower() in ("dozens", "hundreds", "scores"):
        return "a couple of" if " of" in value else "couple", "another number; many <-> a few"
    ends = re.findall(r"[A-Za-z]+|\d+", value.lower().removeprefix("between "))
    if len(ends) == 3 and ends[1] in ("or", "to", "and") and unspell(ends[0]) and unspell(ends[2]):
        # "seven or eight": both go.
        return ("1" if ends[0].isdigit() else "one"), "another number; one <-> several"
    words = value.split(" ")
    for i, word in enumerate(words):
        number = unspell(word)
        if number is not None:
            new = 5 if number == 1 else 1
            text = str(new) if word.isdigit() else spell(new)
            return " ".join([*words[:i], text, *words[i + 1 :]]), "another number; one <-> several"
    return None


def list_figures(tokens: Sequence[Token]) -> list[int]:
    """Return the tokens that count a list, not the targets: "1) right lung 2) left lung", "a) liver b) spleen"."""
    numerals = [i for i, t in enumerate(tokens[:-1]) if t.lower.isdigit() and tokens[i + 1].lower == ")"]
    dotted = [i for i, t in enumerate(tokens[:-1]) if t.lower.isdigit() and tokens[i + 1].lower == "."]
    numerals += [i for i, t in enumerate(tokens) if i and t.lower.isdigit() and tokens[i - 1].lower == "#"]
    lettered = [i for i, t in enumerate(tokens[:-1]) if len(t.text) == 1 and tokens[i + 1].lower in (")", ".")]
    if len(lettered) > 1 and [tokens[i].lower for i in lettered] == list("abcdefgh")[: len(lettered)]:
        # "a) liver b) spleen"
        numerals += lettered
    if len(dotted) > 1 and [int(tokens[i].lower) for i in dotted] == list(range(1, len(dotted) + 1)):
        numerals += dotted
    return numerals


_OTHER_BOUNDS = (
    ("no fewer than", "fewer than"),
    ("no less than", "fewer than"),
    ("not fewer than", "fewer than"),
    ("no more than", "more than"),
    ("not more than", "more than"),
    ("more than", "fewer than"),
    ("greater than", "fewer than"),
    ("in excess of", "fewer than"),
    ("over", "fewer than"),
    ("fewer than", "more than"),
    ("less than", "more than"),
    ("under", "more than"),
    ("at least", "fewer than"),
    ("at most", "more than"),
    ("up to", "more than"),
)
