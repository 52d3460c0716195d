"""Classes of words: closed classes by list, modifiers by list and by form, names by the ontology."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from functools import cache, lru_cache
from importlib import resources
from typing import Any

from robustness.perturb.language.ontology.modifiers import DIRECTION, RANKED, SIGNAL, SUFFIXES, modifiers
from robustness.perturb.language.ontology.terms import Term, forget_on_extend, term_index

# Where a word is of several kinds, the first of these is meant before a noun.
_ORDER = (
    "size",
    "colour",
    "shape",
    "margin",
    "signal",
    "texture",
    "pathology",
    "side",
    "direction",
    "place",
    "number",
    "description",
)
_EDGE = re.compile(
    r"(?:defined|outlined|circumscribed|demarcated|delineated|marginated|bounded|delimited|bordered|edged|contoured|rimmed)$"
)
_FINDING = re.compile(
    r"(?:oma|omas|omata|itis|osis|oses|iasis|megaly|cele|celes|ectasis|ectasia|pathy|opathies|penia|rrhage|rrhages|"
    r"lith|liths|emia|aemia|plasia|malacia|algia|thorax|noma|sclerosis|hyp(?:er|o)(?:densit|intensit|echogenicit|reflectivit|lucenc)(?:y|ies)|hyp(?:er|o)attenuations?|trauma|edema|oedema|infarct|infarcts|ption)$"
)
_NO_TINTS = frozenset("non anti infra near ultra pre post half".split())


_NO_ADVERBS = frozenset(
    "family anomaly assembly belly butterfly elderly early likely unlikely ugly lily bodily curly".split()
)


@lru_cache(maxsize=16384)
def is_adverb(word: str) -> bool:
    """Tell whether a word (small letters) only tells the degree or the manner of what follows: "frankly necrotic"."""
    if word in words("classes.adverb"):
        return True
    return (
        word.endswith("ly")
        and len(word) > 5
        and word not in _NO_ADVERBS
        and not word.endswith(("megaly", "maly"))
        and not any(word in values for values in modifiers().values())
    )


@cache
def tables() -> dict[str, Any]:
    """Return ``words.toml`` with every list of words as a frozenset and every list of phrases as word tuples."""
    text = resources.files("robustness.perturb.language.grammar").joinpath("words.toml").read_text(encoding="utf-8")
    sets: dict[str, Any] = {}
    for section, rows in tomllib.loads(text).items():
        for key, value in rows.items():
            several = ";" in value
            parts = [tuple(p.split()) for p in value.split(";")] if several else value.split(" ")
            sets[f"{section}.{key}"] = tuple(parts) if several else frozenset(parts)
    return sets


@cache
def words(key: str) -> frozenset[str]:
    """Return the words of one class, such as "classes.preposition"."""
    entry: frozenset[str] = tables()[key]
    return entry


@cache
def phrase_table(key: str) -> dict[str, tuple[tuple[str, ...], ...]]:
    """Return first word -> the phrases of one list that begin with it, longest first."""
    phrases: dict[str, list[tuple[str, ...]]] = {}
    for phrase in tables()[key]:
        phrases.setdefault(phrase[0], []).append(phrase)
    return {first: tuple(sorted(group, key=len, reverse=True)) for first, group in phrases.items()}


@lru_cache(maxsize=16384)
def kind_of(word: str) -> str:
    """Return the kind of attribute that a word (small letters) states before a noun, or ""."""
    table = modifiers()
    if word in words("classes.does"):
        return "description"
    for kind in _ORDER:
        if word in table.get(kind, ()):
            return kind
    return _kind_by_form(word, table)


def _kind_by_form(word: str, table: dict[str, Any]) -> str:
    if DIRECTION.fullmatch(word):
        return "direction"
    if RANKED.fullmatch(word):
        return "size"
    for prefix in ("non-", "semi-", "near-", "sub-", "multi-", "poly-", "quasi-"):
        if word.startswith(prefix) and (kind := kind_of(word.removeprefix(prefix))):
            return kind
    for prefix in ("semi", "hemi"):
        for kind in ("shape", "texture", "margin"):
            if word.startswith(prefix) and word.removeprefix(prefix) in table[kind]:
                return kind
    if SIGNAL.fullmatch(word):
        return "signal"
    if "/" in word and all(kinds := [kind_of(p) for p in word.split("/") if p]):
        # "solid/ground-glass"
        return kinds[0] if kinds else ""
    parts = word.split("-")
    if len(parts) > 1:
        colours = table["colour"]
        if (
            all(p in colours or p in ("dark", "light", "pale", "bright", "deep") for p in parts)
            and parts[-1] in colours
        ):
            return "colour"
        if len(parts) == 2 and parts[1] in colours and parts[0].isalpha() and parts[0] not in _NO_TINTS:
            # "strawberry-red", "slate-grey"
            return "colour"
        if all(p in table["shape"] for p in parts):
            return "shape"
        if kind_of(parts[-1]) in ("texture", "margin", "signal") and is_adverb(parts[0]):
            return kind_of(parts[-1])
    if word not in table["place"]:
        for kind, endings in SUFFIXES:
            if word.endswith(endings) and word not in endings and len(word) > 6:
                return kind
    return ""


@lru_cache(maxsize=16384)
def is_descriptive(word: str) -> bool:
    """Tell whether an unknown word (small letters) describes by its form: "cracked", "broad-necked"."""
    last = word.rpartition("-")[2]
    if (
        not last.endswith(("ed", "ing") if last != word else "ed")
        or (len(word) < 6 and word != "sized")
        or last.endswith(("eed", "shed"))
        or last == "bed"
    ):
        return False
    return not kind_of(word) and not category_of(word)


# "a fluid filled cyst": what fills is no name here, but "lesion enhancing" has a subject.
_STUFF = frozenset(
    "air fat fluid gas blood pus debris mucus calcium ring rim edge water bone faeces stool bile urine".split()
)
_OUTER = ("margin", "texture", "shape", "signal", "colour")
_PAIRED_KINDS = ("texture", "margin", "signal", "colour")
_PAIRED_ENDS = frozenset(
    {"based"}.union(e[1:] for kind, ends in SUFFIXES for e in ends if e[0] == "-" and kind in _PAIRED_KINDS)
) - {"density", "intensity", "signal", "attenuation", "uptake", "coated", "covered", "staining"}
_SEEMS = frozenset({"appearing", "looking"})
_DEGREES = frozenset("high low increased decreased reduced raised intermediate mixed".split())


@lru_cache(maxsize=16384)
def kind_of_pair(first: str, second: str) -> str:
    """Return the kind of a compound written as two words: "thin walled", "ring enhancing", "low signal"; or ""."""
    whole = f"{first}-{second}"
    if second in ("out", "off", "up") and (kind := next((k for k in _OUTER if whole in modifiers()[k]), "")):
        # "punched out"
        return kind
    if first in _DEGREES:
        return "signal" if second in words("classes.signal_noun") else ""
    if not first.isalnum() or is_adverb(first) or kind_of(first) in ("side", "direction", "number"):
        return ""
    if second in _SEEMS:
        # "a normal appearing kidney"
        return "" if category_of(first) else kind_of(first) or kind_of(f"{first}-{second}")
    if second not in _PAIRED_ENDS:
        return ""
    if kind_of(second) and first not in _STUFF:
        # "thick enhancing rim": two values.
        return ""
    painted = second in ("coloured", "colored")
    return "" if category_of(first) and first not in _STUFF and not painted else kind_of(f"{first}-{second}")


def turn_in(lower: Sequence[str]) -> int:
    """Return how many of the words and signs (small letters) lead over to the rest: "but", ". Instead"."""
    turns = [word in words("classes.turn") for word in lower[:2]]
    return 1 if turns[:1] == [True] else 2 * (turns[1:] == [True] and not lower[0].isalnum())


def is_participle(word: str) -> bool:
    """Tell whether a word has the form of a past participle: "supplied", not "bed"."""
    return word.endswith("ed") and len(word) > 5 and not word.endswith(("ershed", "odshed", "eed"))


def is_edge(word: str) -> bool:
    """Tell whether a participle speaks of an edge once an adverb stands before it: "poorly defined"."""
    return bool(_EDGE.match(word))


def is_colour(word: str) -> bool:
    """Tell whether a word is a colour."""
    return kind_of(word) == "colour"


@lru_cache(maxsize=16384)
def category_of(head: str) -> str:
    """Return "finding", "anatomy", "instrument" or "" for a head noun (small letters), by the ontology or its form."""
    if head in words("classes.finding"):
        return "finding"
    terms = term_index().get(head)
    if terms:
        return terms[0].category
    if _FINDING.search(head) and len(head) > 5:
        return "finding"
    if "/" in head and any(category_of(p) == "finding" for p in head.split("/") if p):
        return "finding"
    return "anatomy" if head in words("classes.part") or head in words("classes.body_part") else ""


_CHAMBERS = ("ventric", "atri", "coronary", "circumflex", "bundle", "anterior", "main", "posterior", "gastric", "colic")
# Vessels, nerves and muscles are named by these; "proximal" and "distal" pick a part of one.
_FIXED_AXES = frozenset("anterior posterior superior inferior medial lateral superficial deep".split())
_OF_A_PART = frozenset("nasal temporal radial ulnar lingual buccal palmar plantar labial deep".split())
_NAMED_PARTS = frozenset("lobe lobes pole poles horn horns".split())
_OF_THE_EYE = ("retin", "macul", "chor", "conjunct", "corne", "sclera", "peripap", "disc", "drusen", "limb", "iris")


def is_fixed(word: str, rest: Sequence[str], *, is_term: bool) -> bool:
    """Tell whether a side or direction is a part of a name: "left ventricle", "lateral plantar nerve".

    Args:
        rest: the words of the phrase behind it.
        is_term: the ontology knows a name that begins right behind it.
    """
    if not rest:
        return False
    if word in ("left", "right"):
        return rest[0].startswith(_CHAMBERS) and not is_term and rest[0] not in ("anterior", "posterior")
    if kind_of(word) != "direction":
        return False
    if rest[0] in ("cruciate", "communicating", "choroidal", "cingulate", "commissure"):
        return True
    if word in _FIXED_AXES and not words("classes.fixed_heads").isdisjoint(rest):
        # "superficial femoral artery", "superior temporal vein occlusion"
        return True
    if is_term or (word in ("nasal", "temporal") and rest[0].startswith(_OF_THE_EYE)):
        return False
    if word in _OF_A_PART:
        return rest[-1] not in words("classes.partitive_direction") or rest[-1] in _NAMED_PARTS
    return rest[-1] in words("classes.name_heads") and category_of(rest[-1]) != "finding"


# "bleeding vessel" is a name, "bleeding mass" is not.
_SOURCES = frozenset("vessel vessels point points site sites source sources spot spots artery varix varices".split())
_SIGN_WORDS = frozenset("size shape colour signal texture margin pathology".split())
# The histological type is a part of the tumour's name (WHO classification): "lobular carcinoma", "tubular adenoma".
_HISTOLOGIC = frozenset(
    "lobular tubular papillary mucinous cribriform villous serous follicular medullary cystic".split()
)


def names_on(word: str, following: str, head: str) -> bool:
    """Tell whether a modifier is a part of the name that ends in `head`: "bleeding vessel", "lobular carcinoma"."""
    if word == "bleeding":
        return following in _SOURCES
    if head in ("sign", "signs") and kind_of(word) in _SIGN_WORDS and word not in ("subtle", "faint", "positive"):
        # "deep sulcus sign", "red wale sign": a sign is named by what it looks like.
        return True
    return word in _HISTOLOGIC and head.removesuffix("s").endswith(("carcinoma", "adenoma"))


# "lytic lesion" states a signal and a target.
_OPEN_HEADS = frozenset("lesion lesions growth growths".split())
_PLAIN_KINDS = frozenset("signal texture shape size colour place".split())
Names = dict[str, tuple[tuple[tuple[str, ...], Term], ...]]


@cache
def names_by_first() -> Names:
    """Return first word -> the ontology's names of several words that begin with it, each with its term."""
    groups: dict[str, list[tuple[tuple[str, ...], Term]]] = {}
    for name, group in term_index().items():
        parts = tuple(name.split(" "))
        # "atypical naevus" states a pathology and a target, whatever the ontology calls it.
        is_said_twice = kind_of(parts[0]) == "pathology" or parts[0] in ("enlarged", "widened")
        is_said_twice |= parts[0].startswith(("hyper", "hypo", "iso")) and kind_of(parts[0]) == "signal"
        is_said_twice |= " ".join(parts[1:]) in _OPEN_HEADS and kind_of(parts[0]) in _PLAIN_KINDS
        if len(parts) > 1 and not (is_said_twice and " ".join(parts[1:]) in term_index()):
            groups.setdefault(parts[0], []).append((parts, group[0]))
    return {first: tuple(sorted(rows, key=lambda r: (-len(r[0]), r[0]))) for first, rows in groups.items()}


for _cached in (names_by_first, category_of):
    forget_on_extend(_cached)
