"""Modifiers before and behind a name: numbers, sizes, colours, sides, directions, with their adverbs."""

from __future__ import annotations

from typing import NamedTuple

from robustness.perturb.language.grammar.numerals import is_count
from robustness.perturb.language.grammar.tagger import Tagged
from robustness.perturb.language.grammar.tokens import Token, after_quotes
from robustness.perturb.language.grammar.vocabulary import (
    category_of,
    is_adverb,
    is_colour,
    is_descriptive,
    is_edge,
    is_fixed,
    kind_of,
    kind_of_pair,
    names_on,
    words,
)

_TINTS = frozenset("dark light pale bright deep dull dusky faint vivid".split())
_SEQUENCES = frozenset("t1 t2 stir flair dwi echo adc t1- t2-".split())
_ALSO_NAMES = frozenset("texture colour signal place pathology".split())
_TRAILING = frozenset("size colour shape texture margin signal".split())
_COUNTS = frozenset("multiple several few solitary single numerous many".split())  # "pseudopolyps multiple"
EXTREMES = frozenset("leftmost rightmost topmost bottommost uppermost lowermost off-centre off-center".split())
LEVELS = frozenset("upper lower middle mid top bottom inner outer central".split())


class Mod(NamedTuple):
    """A modifier at characters [start, stop)."""

    kind: str
    start: int
    stop: int


def is_number_at(tagged: Tagged, i: int) -> bool:
    """Tell whether a number of objects begins at token `i`."""
    return after_number(tagged, i) > i


def after_number(tagged: Tagged, i: int) -> int:
    """Return the index after a number of objects that begins at token `i`, or `i`."""
    if i in tagged.counts:
        return tagged.counts[i]
    if tagged.tags[i] not in ("word", "determiner"):
        return i
    return i + is_count(tagged.tokens[i].lower)


def _sided(token: Token) -> Mod:
    stop = token.start + token.lower.index("-")
    return Mod("side", token.start, stop)


def read_modifiers(tagged: Tagged, i: int, stop: int, mods: list[Mod]) -> int:
    """Collect the modifiers from token `i` on; return where the name begins (`stop` where there is none)."""
    tokens, tags = tagged.tokens, tagged.tags
    while i < stop:
        if i in tagged.name_at:
            return i
        token = tokens[i]
        if quoted := after_quotes(tokens, i):
            mods.append(Mod("shape", tokens[i + 1].start, tokens[quoted - 2].stop))
            i = quoted
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
        if (eye := _after_eye(tagged, i, stop)) > i:
            mods.append(Mod("side", token.start, tokens[eye - 1].stop))
            i = eye
            continue
        if token.lower in EXTREMES or _is_extreme(tagged, i):
            # "the topmost lesion", "the highest node", "the leftmost of the three"
            mods.append(Mod("location", token.start, token.stop))
            i += 1
            continue
        if _only_points(tagged, i, stop) or _owns_or_grades(tagged, i):
            i += 1
            continue
        if _is_unknown_manner(tagged, i, stop):
            i += 2
            continue
        end, kind = read_modifier(tagged, i, stop)
        if not kind and is_descriptive(token.lower) and i + 1 < stop:
            # "cracked skin": no part of the name, whatever kind it is of.
            i += 1
            continue
        if not kind:
            return i
        if kind in ("side", "direction") and is_fixed(
            token.lower, [t.lower for t in tokens[end:stop]], is_term=end in tagged.name_at
        ):
            return i
        if kind == "level":
            # "upper left lung zone": the place's words stay with the name.
            return i
        if end < stop and names_on(token.lower, tokens[end].lower, tokens[stop - 1].lower):
            return i
        if end == stop == i + 1 and kind in _ALSO_NAMES and category_of(token.lower):
            return i
        mods.append(_sided(token) if kind == "sided" else Mod(kind, token.start, tokens[end - 1].stop))
        if kind == "sided":
            return i
        i = end
    return stop


def _is_unknown_manner(tagged: Tagged, i: int, stop: int) -> bool:
    """Tell whether "clinically insignificant" stands at `i`: an adverb and an adjective of no kind before a name."""
    if i + 2 >= stop or not is_adverb(tagged.tokens[i].lower) or i + 1 in tagged.name_at:
        return False
    lower = tagged.tokens[i + 1].lower
    has_kind = (
        lower == "shaped"
        or kind_of(lower)
        or category_of(lower)
        or is_edge(lower)
        or is_adverb(lower)
        or after_number(tagged, i + 1) > i + 1
    )
    return not has_kind and lower.endswith(("ant", "ent", "ive", "ous", "able", "ible", "ic", "ed"))


def _is_extreme(tagged: Tagged, i: int) -> bool:
    """Tell whether "highest", "lowest" at `i` tells where in the image: a thing, no degree, stands right behind."""
    after = tagged.tokens[i + 1].lower if i + 1 < len(tagged.tokens) else ""
    return tagged.tokens[i].lower in ("highest", "lowest") and (after == "of" or bool(category_of(after)))


def _after_eye(tagged: Tagged, i: int, stop: int) -> int:
    """Return the index after "right eye", "LE", "fellow eye" before what is seen in it, or `i`."""
    tokens = tagged.tokens
    lower = tokens[i].lower
    if i + 1 < stop and (tokens[i].text in ("RE", "LE") or lower in ("right-eye", "left-eye")):
        return i + 1
    leads = kind_of(lower) == "side" or lower in ("r", "l", "fellow")
    return i + 2 if leads and i + 2 < stop and tokens[i + 1].lower in ("eye", "eyes") else i


def _owns_or_grades(tagged: Tagged, i: int) -> bool:
    """Tell whether the word at `i` states nothing of its own: "each about 1 cm", "baby's head"."""
    lower = tagged.tokens[i].lower
    owner = lower.endswith("'s") and lower[:-2] in words("classes.patient")
    return owner or (is_adverb(lower) and i + 1 in tagged.marks)


def _only_points(tagged: Tagged, i: int, stop: int) -> bool:
    """Tell whether "2nd", "second" before a finding or "separate" behind a number only tells which or how apart."""
    lower = tagged.tokens[i].lower
    if i + 1 >= stop:
        return False
    if lower == "clear":
        # "clear lungs", but "clear cell carcinoma"
        return tagged.tokens[i + 1].lower not in ("cell", "cells")
    if lower in words("classes.ordinal") or (lower[0].isdigit() and lower.endswith(("st", "nd", "rd", "th"))):
        return category_of(tagged.tokens[stop - 1].lower) == "finding" and i + 2 == stop
    return lower in words("classes.apart") and i > 0 and after_number(tagged, i - 1) == i


def read_modifier(tagged: Tagged, i: int, stop: int) -> tuple[int, str]:
    """Return (index after, kind) of the modifier at token `i`; the kind is "" where there is none."""
    tokens = tagged.tokens
    lower = tokens[i].lower
    number = after_number(tagged, i)
    if number > i:
        return number, "number"
    if lower in _TINTS and i + 1 < stop and is_colour(tokens[i + 1].lower):
        return i + 2, "colour"
    if is_colour(lower) and i + 1 < stop and is_colour(tokens[i + 1].lower) and i + 1 not in tagged.name_at:
        # "creamy yellow"
        return i + 2, "colour"
    if lower == "non" and i + 2 < stop and (kind := kind_of(f"non-{tokens[i + 1].lower}")):
        return i + 2, kind  # "non compressible appendix"
    if lower in _SEQUENCES and i + 1 < stop and kind_of(tokens[i + 1].lower) == "signal":
        return i + 2, "signal"
    if lower in ("restricted", "restricting", "facilitated") and i + 2 < stop and tokens[i + 1].lower == "diffusion":
        return i + 2, "signal"
    if pair := _paired(tagged, i, stop):
        return pair
    if i + 1 < stop and is_adverb(lower):
        return _with_adverb(tagged, i, stop)
    if i + 2 < stop and lower in words("classes.ordinal") and kind_of(f"{lower}-{tokens[i + 1].lower}") == "size":
        return i + 2, "size"
    if lower in LEVELS and i + 1 < stop:
        return i + 1, "level"
    if lower.startswith(("left-", "right-")) and lower.endswith(("-predominant", "-dominant")):
        return i + 1, "side"
    if lower.startswith(("left-", "right-")) and not lower.endswith(("-sided", "-hand", "-side")):
        return i + 1, "sided"
    kind = kind_of(lower)
    if lower == "deep" and i + 1 < stop and tokens[i + 1].lower in words("classes.deep_part"):
        return i + 1, "direction"
    if lower == "deep" and [t.lower for t in tokens[i + 1 : i + 3]] in (["and", "superficial"], ["or", "superficial"]):
        return i + 3, "direction"
    if lower in ("r", "l", "r/l", "l/r") and tokens[i].text.isupper() and i + 1 < stop:
        return i + 1, "side"
    if lower == "macular" and i + 1 < stop and tokens[stop - 1].lower not in words("classes.eruption"):
        # "macular scar": of the macula; "macular rash": flat.
        return i, ""
    if lower == "as" or (kind == "side" and lower in ("od", "os") and not tokens[i].text.isupper()):
        return i, ""
    if kind == "side" and tokens[i + 1 : i + 3] and tokens[i + 1].lower == "and" and i + 3 <= stop + 2:
        third = tokens[i + 2].lower if i + 2 < len(tokens) else ""
        if third in ("left", "right") and third != lower:
            return i + 3, "side"
    return i + 1, kind


def _paired(tagged: Tagged, i: int, stop: int) -> tuple[int, str] | None:
    """Read "thin walled" and "low signal (intensity)" before a name as the compounds that they are; else None."""
    kind = kind_of_pair(tagged.tokens[i].lower, tagged.tokens[i + 1].lower) if i + 1 < stop else ""
    if i + 2 == stop and tagged.tokens[i + 1].lower == "shaped":
        return stop, "shape"
    end, nouns = i + 2, words("classes.signal_noun")
    if not kind or i + 1 in tagged.name_at:
        return None
    if tagged.tokens[i + 1].lower in nouns:
        end += end < stop and tagged.tokens[end].lower in nouns
        # "high signal in the cortex" asks for what is bright.
        return (end, kind) if end < stop else None
    return end, kind


def _with_adverb(tagged: Tagged, i: int, stop: int) -> tuple[int, str]:
    """Read "roughly circular", "markedly enlarged", "poorly defined" as one value."""
    j = i
    while j < stop and is_adverb(tagged.tokens[j].lower):
        j += 1
    if j >= stop or j in tagged.name_at:
        return i, ""
    lower = tagged.tokens[j].lower
    if lower in EXTREMES:
        # "slightly off-centre"
        return j + 1, "location"
    if is_edge(lower) or lower == "shaped":
        return j + 1, "shape" if lower == "shaped" else "margin"
    end, kind = read_modifier(tagged, j, stop)
    if kind in ("size", "shape", "colour", "signal", "texture", "margin", "pathology", "description"):
        return end, kind
    if kind == "number" or (kind == "direction" and tagged.tokens[j - 1].lower in ("most", "more")):
        return end, kind
    return i, ""


def is_side(tagged: Tagged, i: int) -> bool:
    """Tell whether the token at `i` is a side, in letters of small texts also "R" and "L"."""
    token = tagged.tokens[i]
    return kind_of(token.lower) == "side" or (token.text in ("R", "L") and not tagged.text.isupper())


def may_trail(tagged: Tagged, i: int) -> bool:
    """Tell whether a token may stand behind the noun that it modifies and is no noun itself."""
    lower = tagged.tokens[i].lower
    if lower in LEVELS or lower in EXTREMES or lower in _COUNTS or (is_side(tagged, i) and lower != "both"):
        return True
    kind = kind_of(lower)
    if kind == "place" and tagged.tokens[i].text.isupper():
        return True  # "pneumonia RLL"
    before = category_of(tagged.tokens[i - 1].lower) if i else ""
    if i - 1 in tagged.inner and kind in ("direction", "pathology"):
        before = next((t.category for stop, t in tagged.name_at.values() if stop == i), before)
    if kind == "direction" and (before == "finding" or kind_of(tagged.tokens[i - 1].lower) == "direction"):
        return True  # "stone distal", but "serratus anterior"
    if kind == "pathology" and before == "anatomy" and tagged.tags[i + 1 : i + 2] != ["word"]:
        return not category_of(lower)  # "aortic valve stenotic"
    # "Is the meniscus torn?", but "ganglion cell complex"
    is_question = kind == "pathology" and [t.lower for t in tagged.tokens[i + 1 : i + 2]] == ["?"]
    trails = is_question or (kind and lower.startswith("non-")) or kind in _TRAILING
    return trails and lower != "complex" and not category_of(lower)


def is_modifier_word(tagged: Tagged, i: int, hi: int) -> bool:
    """Tell whether the word at token `i` modifies and names nothing."""
    lower = tagged.tokens[i].lower
    if i in tagged.name_at:
        return False
    if after_number(tagged, i) > i or kind_of(lower) or lower in LEVELS or is_adverb(lower) or _paired(tagged, i, hi):
        return True
    return (
        is_descriptive(lower)
        or lower in _TINTS
        or lower in _SEQUENCES
        or is_edge(lower)
        or lower.startswith(("left-", "right-"))
    )
