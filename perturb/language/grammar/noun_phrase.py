"""Noun phrases: what modifies, what names, and what kind of thing the head is."""

from __future__ import annotations

from typing import NamedTuple

from robustness.perturb.language.grammar.measures import Mark
from robustness.perturb.language.grammar.tagger import Tagged
from robustness.perturb.language.grammar.tokens import Token
from robustness.perturb.language.grammar.vocabulary import category_of, is_colour, is_edge, kind_of, words
from robustness.perturb.language.numerals import unspell

_COUNTS = frozenset(
    "several many multiple numerous few single solitary couple pair dozen countless innumerable lone handful".split()
)
_COUNT_BEFORE = frozenset(
    "exactly at least more than most fewer less about approximately over only up to around".split()
)
_TINTS = frozenset("dark light pale bright deep dull dusky faint vivid".split())
_SEQUENCES = frozenset("t1 t2 stir flair dwi echo adc t1- t2-".split())
_CHAMBERS = ("ventric", "atri", "coronary", "circumflex", "bundle", "anterior", "main", "posterior", "gastric", "colic")
_LEVELS = frozenset("upper lower middle mid top bottom inner outer central".split())


class Mod(NamedTuple):
    """A modifier at characters [start, stop)."""

    kind: str
    start: int
    stop: int


class Phrase(NamedTuple):
    """A noun phrase over tokens [start, stop).

    Attributes:
        mods: the modifiers outside of the name, in order.
        name: the tokens [first, last) of the name, or None where the phrase only modifies.
        category: "finding", "anatomy", "instrument", "picture", "generic", "patient" or "" where not known.
        part: the head is a part of something (rim, wall, lobe): "of" goes on naming.
        before: a place before the name of a finding ("posterior fossa" arachnoid cyst), as characters.
    """

    start: int
    stop: int
    mods: tuple[Mod, ...]
    name: tuple[int, int] | None
    category: str
    part: bool
    before: tuple[int, int] | None = None


_QUOTES = frozenset("\"'\u201c\u201d\u2018\u2019\u00ab\u00bb")


def read_phrase(tagged: Tagged, i: int, hi: int) -> Phrase:
    """Return the noun phrase that begins at token `i` (a determiner may stand first); it may be empty."""
    start = i
    while i < hi and tagged.tags[i] == "determiner":
        i += 1
    stop, lead = _extent(tagged, i, hi)
    mods: list[Mod] = []
    name_start = _modifiers(tagged, i, stop, mods)
    name_stop, before = stop, None
    if name_start < stop:
        name_stop = _postposed(tagged, name_start, stop, mods)
        before, name_start = _leading_place(tagged, name_start, name_stop)
    name = (name_start, name_stop) if name_start < name_stop else None
    category, part = _head(tagged, name) if name else ("", False)
    mods.sort(key=lambda m: m.start)
    return Phrase(start, max(stop, lead), tuple(mods), name, category, part, before)


def _extent(tagged: Tagged, i: int, hi: int) -> tuple[int, int]:
    """Return the index after the phrase's last token; commas and "and" between modifiers belong to it."""
    tokens, tags = tagged.tokens, tagged.tags
    named = False
    first = i
    while i < hi:
        if i in tagged.name_at:
            i = tagged.name_at[i][0]
            named = True
            continue
        if tags[i] == "sign" and tokens[i].lower in _QUOTES and not named:
            i += 1
            continue
        if tags[i] == "sign" and tokens[i].lower in _QUOTES and is_quoted(tagged, i - 2):
            i += 1
            named = False
            continue
        if tags[i] == "sign":
            if named or i == first or not _modifies_on(tagged, i, hi):
                break
            i += 1
            continue
        if tags[i] == "conjunction":
            if named or i == first or not _modifies_on(tagged, i, hi):
                break
            i += 1
            continue
        if tags[i] in ("adverb",) or tokens[i].lower in words("classes.adverb"):
            if named:
                break
            i += 1
            continue
        if tags[i] in ("measure", "certainty"):
            if named:
                break
            i = tagged.marks[i][1] if i in tagged.marks else tagged.spans.get(i, i + 1)
            continue
        if tags[i] == "level":
            break
        if tags[i] not in ("word", "position", "report", "request"):
            break
        if tags[i] in ("position", "report", "request") and (named or not _is_noun_use(tagged, i, hi)):
            break
        if named and _begins_relation(tagged, i, hi):
            break
        lower = tokens[i].lower
        if not named and not _is_modifier_word(tagged, i, hi):
            named = True
        elif named and (lower in words("classes.adverb") or (lower.endswith("ly") and kind_of(lower) == "direction")):
            break
        i += 1
    return i, i


def _modifies_on(tagged: Tagged, i: int, hi: int) -> bool:
    """Tell whether a comma or "and" at `i` parts two modifiers of one name: "red and white patch"."""
    j = i + 1
    while j < hi and (tagged.tags[j] == "conjunction" or tagged.tokens[j].lower in words("classes.adverb")):
        j += 1
    if j >= hi or tagged.tags[j] not in ("word", "measure") or j in tagged.name_at:
        return False
    if is_number_at(tagged, j):
        return False
    if not _is_modifier_word(tagged, j, hi) or not _is_modifier_word(tagged, i - 1, hi):
        return False
    # A name must follow, else the modifiers stand behind another name.
    while j < hi and (
        tagged.tags[j] in ("word", "sign", "conjunction") and tagged.tokens[j].lower not in (";", ":", ".")
    ):
        if j in tagged.name_at or (tagged.tags[j] == "word" and not _is_modifier_word(tagged, j, hi)):
            return tagged.tokens[j - 1].lower not in (",", "and", "or")
        j += 1
    return False


def _is_modifier_word(tagged: Tagged, i: int, hi: int) -> bool:
    lower = tagged.tokens[i].lower
    if i in tagged.name_at:
        return False
    if _number_at(tagged, i) > i or kind_of(lower) or lower in _LEVELS or lower in words("classes.adverb"):
        return True
    return lower in _TINTS or lower in _SEQUENCES or is_edge(lower) or lower.startswith(("left-", "right-"))


def _is_noun_use(tagged: Tagged, i: int, hi: int) -> bool:
    """Tell whether a word such as "mark", "contour" or "present" begins a name here: after a determiner or modifier."""
    before = tagged.tags[i - 1] if i else ""
    return before == "determiner" or (before == "word" and bool(kind_of(tagged.tokens[i - 1].lower)))


def _begins_relation(tagged: Tagged, i: int, hi: int) -> bool:
    """Tell whether a participle at `i` tells where the name before it lies: "abutting the liver", "filled with"."""
    lower = tagged.tokens[i].lower
    following = tagged.tags[i + 1] if i + 1 < hi else ""
    if following == "word" and _number_at(tagged, i + 1) > i + 1 and lower.endswith("ing"):
        return lower not in words("classes.ing_noun")
    after = tagged.tokens[i + 1].lower if i + 1 < hi else ""
    if lower.endswith("ing") and lower not in words("classes.ing_noun"):
        return following in ("determiner", "preposition", "relation", "certainty") or (
            following == "word" and (kind_of(after) in ("side", "direction", "size") or i + 1 in tagged.name_at)
        )
    return is_participle(lower) and (following in ("preposition", "with") or after == "between")


def is_number_at(tagged: Tagged, i: int) -> bool:
    """Tell whether a number of objects begins at token `i`."""
    return _number_at(tagged, i) > i


def is_participle(word: str) -> bool:
    """Tell whether a word has the form of a past participle: "supplied", not "bed"."""
    return word.endswith("ed") and len(word) > 5 and not word.endswith(("seed", "weed", "shed", "eed"))


def _number_at(tagged: Tagged, i: int) -> int:
    """Return the index after a number of objects that begins at token `i`, or `i`."""
    lower = tagged.tokens[i].lower
    if tagged.tags[i] not in ("word", "determiner"):
        return i
    is_figure = lower.isdigit() and len(lower) < 4
    if is_figure or lower in _COUNTS or (lower.isalpha() and unspell(lower) is not None):
        return i + 1
    return i


def _modifiers(tagged: Tagged, i: int, stop: int, mods: list[Mod]) -> int:
    """Collect the modifiers from token `i` on; return where the name begins (`stop` where there is none)."""
    tokens, tags = tagged.tokens, tagged.tags
    while i < stop:
        if i in tagged.name_at:
            return i
        token = tokens[i]
        if is_quoted(tagged, i):
            mods.append(Mod("shape", tokens[i + 1].start, tokens[i + 1].stop))
            i += 3
            continue
        if tags[i] in ("sign", "conjunction"):
            i += 1
            continue
        if i in tagged.marks:
            mark, last = tagged.marks[i]
            mods.append(Mod(mark.kind, mark.start, mark.stop))
            i = last
            continue
        if tags[i] == "certainty":
            last = tagged.spans.get(i, i + 1)
            mods.append(Mod("certainty", token.start, tokens[last - 1].stop))
            i = last
            continue
        end, kind = _modifier(tagged, i, stop)
        if not kind:
            return i
        if kind in ("side", "direction") and _belongs_to_name(tagged, i, end, stop):
            return i
        if kind == "level":
            # "upper left lung zone": the place's words stay with the name.
            return i
        if token.lower == "bleeding" and end < stop:
            return i
        if end == stop and kind in ("texture", "colour", "signal", "place", "pathology") and category_of(token.lower):
            return i
        mods.append(_sided(token) if kind == "sided" else Mod(kind, token.start, tokens[end - 1].stop))
        if kind == "sided":
            return i
        i = end
    return stop


def is_quoted(tagged: Tagged, i: int) -> bool:
    """Tell whether a word in quotation marks begins at token `i`: a figure of speech for a form."""
    tokens = tagged.tokens
    return i >= 0 and i + 2 < len(tokens) and tokens[i].lower in _QUOTES and tokens[i + 2].lower in _QUOTES


def _sided(token: Token) -> Mod:
    stop = token.start + token.lower.index("-")
    return Mod("side", token.start, stop)


def _modifier(tagged: Tagged, i: int, stop: int) -> tuple[int, str]:
    """Return (index after, kind) of the modifier at token `i`; the kind is "" where there is none."""
    tokens = tagged.tokens
    lower = tokens[i].lower
    number = _number_at(tagged, i)
    if number > i:
        return _number_of(tagged, number, stop), "number"
    if lower in _COUNT_BEFORE:
        j = i
        while j < stop and tokens[j].lower in _COUNT_BEFORE:
            j += 1
        if j < stop and _number_at(tagged, j) > j:
            return _number_at(tagged, j), "number"
    if lower in _TINTS and i + 1 < stop and is_colour(tokens[i + 1].lower):
        return i + 2, "colour"
    if lower in _SEQUENCES and i + 1 < stop and kind_of(tokens[i + 1].lower) == "signal":
        return i + 2, "signal"
    if lower in words("classes.adverb") and i + 1 < stop:
        return _with_adverb(tagged, i, stop)
    if lower in _LEVELS and i + 1 < stop:
        return i + 1, "level"
    if lower.startswith(("left-", "right-")) and not lower.endswith(("-sided", "-hand", "-side")):
        return i + 1, "sided"
    kind = kind_of(lower)
    if lower in ("r", "l", "r/l", "l/r") and tokens[i].text.isupper() and i + 1 < stop:
        return i + 1, "side"
    if lower == "as" or (kind == "side" and lower in ("od", "os") and not tokens[i].text.isupper()):
        return i, ""
    if kind == "side" and tokens[i + 1 : i + 3] and tokens[i + 1].lower == "and" and i + 3 <= stop + 2:
        third = tokens[i + 2].lower if i + 2 < len(tokens) else ""
        if third in ("left", "right") and third != lower:
            return i + 3, "side"
    return i + 1, kind


def _number_of(tagged: Tagged, i: int, stop: int) -> int:
    """Return the index after "couple of", "pair of": the words that count belong to the number."""
    return i


def _with_adverb(tagged: Tagged, i: int, stop: int) -> tuple[int, str]:
    """Read "roughly circular", "markedly enlarged", "poorly defined" as one value."""
    j = i
    while j < stop and tagged.tokens[j].lower in words("classes.adverb"):
        j += 1
    if j >= stop or j in tagged.name_at:
        return i, ""
    lower = tagged.tokens[j].lower
    if is_edge(lower):
        return j + 1, "margin"
    end, kind = _modifier(tagged, j, stop)
    if kind in ("size", "shape", "colour", "signal", "texture", "margin", "pathology"):
        return end, kind
    if kind == "number":
        return end, kind
    return i, ""


def _belongs_to_name(tagged: Tagged, i: int, end: int, stop: int) -> bool:
    """Tell whether a side or direction at `i` is fixed in a name: "left ventricle", "lateral plantar nerve"."""
    lower = tagged.tokens[i].lower
    rest = [t.lower for t in tagged.tokens[end:stop]]
    if not rest:
        return False
    if lower in ("left", "right"):
        return rest[0].startswith(_CHAMBERS) and end not in tagged.name_at and rest[0] not in ("anterior", "posterior")
    if kind_of(lower) != "direction" or end in tagged.name_at:
        return False
    if lower in ("nasal", "temporal", "radial", "ulnar", "lingual", "buccal", "palmar", "plantar", "labial", "deep"):
        return rest[-1] not in words("classes.partitive_direction") or rest[-1] in ("lobe", "lobes")
    return rest[-1] in words("classes.name_heads") and category_of(rest[-1]) != "finding"


def _postposed(tagged: Tagged, start: int, stop: int, mods: list[Mod]) -> int:
    """Take modifiers behind the name ("ulcer oval shallow lower right") off it; return where the name ends."""
    name_stop = tagged.name_at[start][0] if start in tagged.name_at else start + 1
    first = stop
    while first > name_stop and first - 1 not in tagged.name_at and _trails(tagged, first - 1):
        first -= 1
    if any(a < first < b for a, (b, _) in tagged.name_at.items()):
        return stop
    i = first
    while i < stop:
        if tagged.tokens[i].lower in _LEVELS or kind_of(tagged.tokens[i].lower) == "side":
            j = i
            while j < stop and (tagged.tokens[j].lower in _LEVELS or kind_of(tagged.tokens[j].lower) == "side"):
                j += 1
            alone = j == i + 1 and kind_of(tagged.tokens[i].lower) == "side"
            mods.append(Mod("side" if alone else "location", tagged.tokens[i].start, tagged.tokens[j - 1].stop))
            i = j
            continue
        end, kind = _modifier(tagged, i, stop)
        if not kind or end == i:
            return stop
        mods.append(Mod(kind, tagged.tokens[i].start, tagged.tokens[end - 1].stop))
        i = end
    return first


def _trails(tagged: Tagged, i: int) -> bool:
    """Tell whether a token may stand behind the noun that it modifies and is no noun itself."""
    lower = tagged.tokens[i].lower
    if lower in _LEVELS or lower in ("left", "right", "bilaterally", "unilaterally"):
        return True
    return kind_of(lower) in ("size", "colour", "shape", "texture", "margin", "signal") and not category_of(lower)


def _leading_place(tagged: Tagged, start: int, stop: int) -> tuple[tuple[int, int] | None, int]:
    """Part "posterior fossa" from "arachnoid cyst": a part of the body before the name of a finding."""
    tokens = tagged.tokens
    for i in range(start, stop - 1):
        lower = tokens[i].lower
        is_part = lower in words("classes.part") and lower not in ("head", "core", "body", "ring", "shadow", "bulb")
        inside = any(a <= i and i + 1 < b for a, (b, _) in tagged.name_at.items())
        placed = i > start and (tokens[start].lower in _LEVELS or kind_of(tokens[start].lower) in ("direction", "side"))
        if is_part and not inside and placed and category_of(tokens[stop - 1].lower) == "finding":
            return (tokens[start].start, tokens[i].stop), i + 1
    return None, start


def _head(tagged: Tagged, name: tuple[int, int]) -> tuple[str, bool]:
    """Return (category, is a part of something) of a name by its last word, or by the ontology for the whole of it."""
    first, last = name
    head = tagged.tokens[last - 1].lower.removesuffix("(s)").removeprefix("left-").removeprefix("right-")
    part = head in words("classes.part")
    if head in words("classes.picture") and last - first == 1:
        return "picture", False
    if head in words("classes.patient"):
        return "patient", False
    if head in words("classes.generic") and (last - first == 1 or kind_of(tagged.tokens[first].lower)):
        return "generic", part
    for start, (stop, term) in tagged.name_at.items():
        if first <= start and stop == last:
            return term.category, part
    category = category_of(head)
    if not category and last - first > 1 and category_of(tagged.tokens[last - 2].lower) == "finding":
        category = "finding"
    return category, part


def marks_within(tagged: Tagged, start: int, stop: int) -> list[Mark]:
    """Return the marks whose first token lies in [start, stop)."""
    return [mark for i, (mark, _) in tagged.marks.items() if start <= i < stop]
