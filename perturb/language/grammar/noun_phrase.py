"""Noun phrases: what modifies, what names, and what kind of thing the head is."""

from __future__ import annotations

from typing import NamedTuple

from robustness.perturb.language.grammar.measures import compares_at
from robustness.perturb.language.grammar.modifier_words import (
    EXTREMES,
    LEVELS,
    Mod,
    after_number,
    is_modifier_word,
    is_number_at,
    is_side,
    may_trail,
    read_modifier,
    read_modifiers,
)
from robustness.perturb.language.grammar.picture import picture_category
from robustness.perturb.language.grammar.tagger import Tagged
from robustness.perturb.language.grammar.tokens import QUOTES, after_quotes, after_short_form, is_beside
from robustness.perturb.language.grammar.verbs import is_noun_use, says_at
from robustness.perturb.language.grammar.vocabulary import category_of, is_adverb, is_participle, kind_of, words
from robustness.perturb.language.ontology.relatives import organ_at
from robustness.perturb.language.ontology.terms import term_index


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


def read_phrase(tagged: Tagged, i: int, hi: int) -> Phrase:
    """Return the noun phrase that begins at token `i` (a determiner may stand first); it may be empty."""
    start = i
    while i < hi and (tagged.tags[i] == "determiner" or is_beside(tagged.tokens, tagged.tags, i, hi)):
        i += 1
    stop = _extent(tagged, i, hi)
    mods: list[Mod] = []
    name_start = read_modifiers(tagged, i, stop, mods)
    name_stop, before = stop, None
    if name_start < stop:
        name_stop = _postposed(tagged, name_start, stop, mods)
        before, name_start = _leading_place(tagged, name_start, name_stop, mods)
    name = (name_start, name_stop) if name_start < name_stop else None
    category, part = _head(tagged, name) if name else ("", False)
    mods.sort(key=lambda m: m.start)
    return Phrase(start, stop, tuple(mods), name, category, part, before)


def _extent(tagged: Tagged, i: int, hi: int) -> int:
    """Return the index after the phrase's last token; commas and "and" between modifiers belong to it."""
    tokens, tags = tagged.tokens, tagged.tags
    named, opens, first = False, -1, i
    while i < hi:
        if named and i not in tagged.inner and _begins_place(tagged, i, hi):
            break
        if i in tagged.name_at:
            i = tagged.name_at[i][0]
            named = True
            continue
        if i in tagged.counts and not named:
            i = tagged.counts[i]
            continue
        if tags[i] == "sign" and tokens[i].lower in QUOTES and (opens >= 0 or not named):
            if opens >= 0 and after_quotes(tagged.tokens, opens) != i + 1:
                break
            named, opens = False, i if opens < 0 else -1
            i += 1
            continue
        if named and (short := after_short_form(tokens, i)) and short < hi and tags[short] == "word":
            i = short
            continue
        if tags[i] in ("sign", "conjunction"):
            if named or i == first or not _modifies_on(tagged, i, hi):
                break
            i += 1
            continue
        steady = named and tokens[i].lower in words("classes.steady")
        if tags[i] == "word" and (steady or is_adverb(tokens[i].lower)):
            if named:
                break  # "aneurysm stable at 4.2 cm", but "stable aneurysm"
            i += 1
            continue
        if tags[i] in ("measure", "certainty"):
            if named or (tags[i] == "certainty" and i > first and kind_of(tokens[i - 1].lower) == "place"):
                break  # "mass RLL c/w carcinoma"
            i = tagged.marks[i][1] if i in tagged.marks else tagged.spans.get(i, i + 1)
            continue
        if tags[i] not in ("word", "position", "report", "request"):
            break
        if tags[i] in ("position", "report", "request") and not is_noun_use(tokens, tags, i, hi, named=named):
            break
        # "bleeding extending into the pelvis": what may modify stands for the noun here.
        ends = named or (i > first and category_of(tokens[i - 1].lower) == "finding")
        if ends and _begins_relation(tagged, i, hi):
            break
        if named and i in tagged.counts:
            break
        if named and (compares_at(tokens, i, hi) or says_at(tokens, tags, i, hi, free=i not in tagged.inner)):
            break
        lower = tokens[i].lower
        if not named and not is_modifier_word(tagged, i, hi):
            named = True
        elif named and (is_adverb(lower) or (lower.endswith("ly") and kind_of(lower) == "direction")):
            break
        i += 1
    return i


def _modifies_on(tagged: Tagged, i: int, hi: int) -> bool:
    """Tell whether a comma or "and" at `i` parts two modifiers of one name: "red and white patch"."""
    j = i + 1
    while j < hi and (tagged.tags[j] == "conjunction" or is_adverb(tagged.tokens[j].lower)):
        j += 1
    if j >= hi or tagged.tags[j] not in ("word", "measure") or j in tagged.name_at or tagged.tokens[i].lower in ".;?!":
        return False
    last, kinds = tagged.tokens[i - 1].lower, [kind_of(tagged.tokens[k].lower) for k in (i - 1, j)]
    placed = kinds[0] == "place" != kinds[1] and tagged.tokens[i - 1].text.isupper()
    if tagged.tokens[i].lower == "," and (placed or (kinds[0] == "signal" and category_of(last) == "finding")):
        return False  # "hyperintensity, right cerebellar hemisphere"; "collapse LLL, small effusion"
    ends = last in ("left", "right", "bilaterally", "both") or _opens_place(tagged, j, hi)
    if tagged.tokens[i].lower == "," and ends:
        # "on the right, heterogeneous texture": the side has ended; "hypoechoic, left lobe": a place begins.
        return False
    if is_number_at(tagged, j) or not (is_modifier_word(tagged, j, hi) and is_modifier_word(tagged, i - 1, hi)):
        return False
    # A name must follow, else the modifiers stand behind another name.
    most = min(hi, j + _LONGEST_LIST)
    while j < most and (
        tagged.tags[j] in ("word", "sign", "conjunction") and tagged.tokens[j].lower not in (";", ":", ".")
    ):
        if j in tagged.name_at or (tagged.tags[j] == "word" and not is_modifier_word(tagged, j, hi)):
            return tagged.tokens[j - 1].lower not in (",", "and", "or")
        j += 1
    return False


def _opens_place(tagged: Tagged, i: int, hi: int) -> bool:
    """Tell whether "left upper lobe" begins at `i`: a side or level, and to the end no other noun than anatomy."""
    if not (is_side(tagged, i) or tagged.tokens[i].lower in LEVELS or kind_of(tagged.tokens[i].lower) == "direction"):
        return False
    last = i
    while last + 1 < min(hi, i + 6) and tagged.tags[last + 1] == "word":
        last += 1
    name = next((t for k, (stop, t) in tagged.name_at.items() if stop == last + 1 and k > i), None)
    return (name.category if name else category_of(tagged.tokens[last].lower)) == "anatomy"


# No one lists more modifiers before a name; without a bound the work would grow with the square of the text.
_LONGEST_LIST = 40


def _begins_place(tagged: Tagged, i: int, hi: int) -> bool:
    """Tell whether "left kidney" in "cyst left kidney" tells, without a preposition, where the finding is."""
    tokens, before = tagged.tokens, tagged.tokens[i - 1]
    category = "finding" if before.lower == "ca" else category_of(before.lower)
    mass = before.lower.endswith(("ring", "gas", "air", "fluid", *(() if before.lower in term_index() else ("oid",))))
    leads = category in ("finding", "instrument") and not mass
    if (category == "anatomy" and tokens[i].text in words("classes.fossa")) or (leads and _begins_organ(tagged, i, hi)):
        return True  # "transplant kidney RIF", "ulcer gastric antrum"
    if not leads and (category or not before.text.isupper() or tagged.text.isupper()):
        return False
    if not leads and len(before.text) > 2 and "/" not in before.text and _begins_organ(tagged, i, hi):
        return tokens[i].lower not in words("classes.fixed_heads") | {"joint", "joints", "junction"}
    if kind_of(tokens[i].lower) == "place" and tokens[i].text.isupper() and category == "finding":
        return True  # "pneumatocele LUL anterior segment"
    j = i
    while j < hi and (tokens[j].lower in LEVELS or is_side(tagged, j) or kind_of(tokens[j].lower) == "direction"):
        j += 1
    if j == i or j >= hi or tagged.tags[j] != "word":
        return False
    if j + 1 < hi and j not in tagged.name_at and not kind_of(tokens[j].lower) and tagged.tags[j + 1] == "word":
        j += not category_of(tokens[j].lower)  # "plaque left frontal white matter"
    category = tagged.name_at[j][1].category if j in tagged.name_at else category_of(tokens[j].lower)
    last = tagged.tags[j + 1 : min(j + 2, hi)] != ["word"]
    short = tokens[j].text.isupper() and not tagged.text.isupper() and (last or tokens[j + 1].lower in LEVELS)
    sided = last and is_side(tagged, j - 1) and tokens[j].lower.endswith("al")
    # "calculus L VUJ", "lesion R frontal"
    apart = leads and (short or sided)
    return apart or category == "anatomy" or tokens[j].lower in words("classes.fixed_heads")


def _begins_organ(tagged: Tagged, i: int, hi: int) -> bool:
    """Tell whether the words from `i` to the end of a phrase name one organ: "mass gallbladder neck"."""
    j = i + organ_at([t.lower for t in tagged.tokens[i : min(hi, i + 6)]], words("classes.part"))
    j += j == i and tagged.tokens[i].lower in words("classes.body_part") - {"head", "neck", "limb"}  # "patch trunk"
    ends = j >= hi or tagged.tags[j] != "word" or is_side(tagged, j) or bool(kind_of(tagged.tokens[j].lower))
    return j > i and ends


def _begins_relation(tagged: Tagged, i: int, hi: int) -> bool:
    """Tell whether a participle at `i` tells where the name before it lies: "abutting the liver", "filled with"."""
    lower = tagged.tokens[i].lower
    following = tagged.tags[i + 1] if i + 1 < hi else ""
    if following == "word" and after_number(tagged, i + 1) > i + 1 and lower.endswith("ing"):
        return lower not in words("classes.ing_noun")
    after = tagged.tokens[i + 1].lower if i + 1 < hi else ""
    if lower in words("classes.travelling_noun"):
        # "erythema spreading outwards", "laterally spreading tumour"
        leads = following in ("determiner", "preposition", "relation") and after != "of"
        return leads or after.endswith(("wards", "ward")) or (after.endswith("ly") and kind_of(after) == "direction")
    # "scalloping the cortex", where "endplate scalloping" is a name
    leads = after in ("towards", "toward", *LEVELS) or following == "determiner"
    if lower.endswith("ing") and "-" not in lower and (leads or lower not in words("classes.ing_noun")):
        opens = kind_of(after) in ("side", "direction", "size") or after in words("classes.share") or is_adverb(after)
        starts = following == "word" and (opens or after in LEVELS or i + 1 in tagged.name_at)
        return starts or following in ("determiner", "preposition", "relation", "certainty")
    return is_participle(lower) and (following in ("preposition", "with") or after == "between")


def _postposed(tagged: Tagged, start: int, stop: int, mods: list[Mod]) -> int:
    """Take modifiers behind the name ("ulcer oval shallow lower right") off it; return where the name ends."""
    name_stop = tagged.name_at[start][0] if start in tagged.name_at else start + 1
    first = stop
    while first > name_stop and first - 1 not in tagged.name_at and may_trail(tagged, first - 1):
        first -= 1
    if first in tagged.inner:
        return stop
    i = first
    while i < stop:
        if tagged.tokens[i].lower in EXTREMES:
            mods.append(Mod("location", tagged.tokens[i].start, tagged.tokens[i].stop))
            i += 1
            continue
        if tagged.tokens[i].lower in LEVELS or is_side(tagged, i):
            j = i
            while j < stop and (tagged.tokens[j].lower in LEVELS or is_side(tagged, j)):
                j += 1
            alone = j == i + 1 and is_side(tagged, i)
            mods.append(Mod("side" if alone else "location", tagged.tokens[i].start, tagged.tokens[j - 1].stop))
            i = j
            continue
        end, kind = read_modifier(tagged, i, stop)
        if not kind or end == i:
            return stop
        mods.append(Mod(kind, tagged.tokens[i].start, tagged.tokens[end - 1].stop))
        i = end
    return first


def _leading_place(tagged: Tagged, start: int, stop: int, mods: list[Mod]) -> tuple[tuple[int, int] | None, int]:
    """Part "posterior fossa" from "arachnoid cyst": a part of the body before the name of a finding."""
    tokens = tagged.tokens
    if category_of(tokens[stop - 1].lower) != "finding":
        return None, start
    outer = mods[-1] if mods and mods[-1].kind in ("side", "direction", "place") else None
    if outer is not None and tagged.text[outer.stop : tokens[start].start].strip():
        outer = None
    for i in range(start, stop - 1):
        lower = tokens[i].lower
        is_part = lower in words("classes.part") and lower not in words("classes.part_in_name")
        inside = i + 1 in tagged.inner
        leads = tokens[start].lower in LEVELS or kind_of(tokens[start].lower) in ("direction", "side")
        placed = outer is not None or (i > start and (leads or lower in ("lobe", "lobes", "angle", "fossa")))
        if is_part and not inside and placed:
            if outer is not None:
                # "left lower lobe nodule": the side tells which lobe.
                mods.remove(outer)
            return (outer.start if outer else tokens[start].start, tokens[i].stop), i + 1
    return None, start


def _head(tagged: Tagged, name: tuple[int, int]) -> tuple[str, bool]:
    """Return (category, is a part of something) of a name by its last word, or by the ontology for the whole of it."""
    first, last = name
    head = tagged.tokens[last - 1].lower.removesuffix("(s)").removeprefix("left-").removeprefix("right-")
    part = head in words("classes.part")
    picture = picture_category(head, tagged.tokens[last - 2].lower, alone=last - first == 1)
    if picture is not None:
        return picture, False
    if head in words("classes.patient"):
        return "patient", False
    if head in words("classes.generic") and (last - first == 1 or kind_of(tagged.tokens[first].lower)):
        return "generic", part
    for start in range(first, last):
        if start in tagged.name_at and tagged.name_at[start][0] == last:
            return tagged.name_at[start][1].category, part
    category = category_of(head)
    if head == "size" and last - first > 1 and category_of(tagged.tokens[last - 2].lower) == "anatomy":
        return "anatomy", part
    if not category and last - first > 1 and category_of(tagged.tokens[last - 2].lower) == "finding":
        category = "finding"
    return category, part
