"""When a sentence cannot stand without a value: what beside it would hang on nothing, or mean another thing."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from robustness.perturb.language.grammar.asking import starts_with_verb
from robustness.perturb.language.grammar.vocabulary import category_of
from robustness.types import Attribute, Prompt


class Beside(NamedTuple):
    """A value and what stands beside it: the text before and behind, and the kinds that touch it."""

    old: Attribute
    text: str
    before: str
    after: str
    precedes: frozenset[str]
    follows: frozenset[str]
    alike: int


Rule = tuple[tuple[str, ...], Callable[[Beside], object], str]


def what_holds(prompt: Prompt, old: Attribute) -> str:
    """Return why a value cannot be left out, by what stands around it, or ""."""
    neighbours = [a for a in prompt.attributes if a is not old]
    beside = Beside(
        old,
        prompt.text,
        prompt.text[: old.start],
        prompt.text[old.stop :],
        frozenset(a.kind for a in neighbours if 0 <= old.start - a.stop <= 1),
        frozenset(a.kind for a in neighbours if 0 <= a.start - old.stop <= 1),
        sum(a.kind == old.kind and a.role == old.role for a in prompt.attributes),
    )
    for holds, why in _rules_of(old.kind):
        if holds(beside):
            return f"{old.value!r} cannot be left out: {why}"
    return ""


@cache
def _rules_of(kind: str) -> tuple[tuple[Callable[[Beside], object], str], ...]:
    return tuple((holds, why) for kinds, holds, why in _RULES if kind in kinds)


_PREDICATE = re.compile(r"(?:is|are|was|may|might|could|can|cannot|suspected to|appears|seems)\b", re.IGNORECASE)
_EXCLUDED = re.compile(r"\b(?:excluded|ruled out)$", re.IGNORECASE)
_PICTURE_NEXT = re.compile(r"\s*(?:images?|scans?|slices?|sections?|views?|pictures?)\b", re.IGNORECASE)
_QUANTITY = re.compile(
    r"\b(?:fraction|thickness|angle|diameter|volume|length|width|height|depth|rate|pressure|score|index|dose|value|ratio)"
    r"(?: of| =|:)?\s*$|\bthe \w+(?:er|est)(?: measuring| being| of)?\s*$|\b(?:\w+er|more|less) than $"
    r"|\bit (?:measures|is) $|(?<!which )(?<!that )\bmeasure[sd]?(?: about| approximately| roughly| up to| around)? $",
    re.IGNORECASE,
)
_PARTITIVE = re.compile(
    r" (?:quadrants?|aspects?|thirds?|portions?|parts?|hal(?:f|ves)|zones?|segments?|poles?|ends?|sides?"
    r"|divisions?|surfaces?|regions?|lobes?|compartments?|columns?)\b",
    re.IGNORECASE,
)
_LEADING = re.compile(r"\w{3,}ing (?:from|to|into|towards?|at|in|on|over) (?:the )?$", re.IGNORECASE)
# "one at the top and one in the middle", "the first in the centre": each of several is told by itself.
ENUMERATED = re.compile(
    r"\bone\b.+\b(?:one|two|three|the other|another)\b|\bthe (?:first|former)\b.+\bthe (?:second|latter|other)\b",
    re.IGNORECASE,
)
_COUNTED_AGAIN = re.compile(
    ENUMERATED.pattern + r"|\bthe (?:larger|smaller|largest|smallest|bigger|biggest|other|first|second|former|latter)\b"
    r"|\bboth\b|\brespectively\b",
    re.IGNORECASE,
)
_LOOKS = ("size", "colour", "shape", "texture", "margin", "signal")
_DEPTH = re.compile(r"superficial|deep", re.IGNORECASE)
_INJURY = re.compile(
    r"\b(?:burn|wound|ulcer|laceration|abrasion|cut|erosion|bite|incision|scald|tear)s?\b|\bulceration\b", re.IGNORECASE
)
_HAS = re.compile(r"\b(?:has|have|shows?)(?: [\w,-]+){0,5} $", re.IGNORECASE)
_COPULA = re.compile(
    r"(?<!there )(?<!that )(?<!which )\b(?:is|are|was|were|being|be|been|appears?|looks?|seems?|remains?)"
    r"(?: \w+ly| very)? $",
    re.I,
)
_LIST_GOES_ON = re.compile(r"(?:,| and) (?!(?:measuring|with|which|without|no|not|the|an?|its)\b)\w", re.IGNORECASE)
_PARTICIPLE = re.compile(r"\b\w{3,}ed $", re.IGNORECASE)
# "with tonsils 8 mm below the foramen magnum"
_DISTANCE_OF_ANOTHER = re.compile(r"\bwith (?:an? |the )?[\w -]{1,30}? \d[\d.]* ?[a-zµ]+ [a-z]", re.IGNORECASE)
_OF_WHAT = re.compile(
    r"\b(?:level|masks?|contours?|outlines?|segmentations?|annotations?|extent|size|volume|area|position|location|boundar(?:y|ies)"
    r"|loss|absence|lack|blunting|obliteration|effacement|elevation|deviation|widening|enlargement|narrowing|displacement"
    r"|borders?|edges?|margins?|images?|scans?|pictures?|radiographs?|number|part|portion|appearance)"
    r" (?:of|for) (?:the |an? )?$",
    re.IGNORECASE,
)
_OF = re.compile(r" (?:of|to|into|from|by|and|or|on|at)\b|, \d| in place\b| \w+ (?:its|their)\b", re.IGNORECASE)
_PLACED = re.compile(r"\b(?:of|in|at|on|within|over) (?:the |an? )?$", re.IGNORECASE)
_NOUN_NEXT = re.compile(
    r" (?!(?:of|in|at|on|with|and|or|to|from|by|for|near|above|below|behind|between|within|without|but|that|which|who"
    r"|is|are|was|has|can|after|during|before|following|adjacent|next|close|using|\w+ing|\w+ed|\w+ly)\b)[a-z]",
    re.IGNORECASE,
)
_GOES_ON = re.compile(r" (?:to|into|and)\b", re.IGNORECASE)
_ITS = re.compile(r"\bwith (?:its|the|an?) [\w ]{2,30} (?:in|at|on|near|within) (?:the )?$", re.IGNORECASE)
_ASKED = re.compile(r"(?:^|[.] )(?:is|are|does|do) [^?]*$", re.IGNORECASE)
_MORE_MEASURES = re.compile(r"(?:,| and| or|, and) (?:about )?\d", re.IGNORECASE)
_ABBREVIATION = re.compile(r" \([A-Z][A-Za-z0-9-]+\)")
_PROPERTY = re.compile(
    r" (?:borders?|margins?|edges?|outlines?|contours?|surfaces?|colou?rs?|shape|texture|appearance|orientation)\b",
    re.I,
)
_BARE_PART = re.compile(
    r" (?:wall|fossa|horn|border|margin|edge|leaflet|rim|limb|branch|angle|root|cusp)s?\b(?! of\b)", re.IGNORECASE
)
_ASKS = re.compile(r"(?:is|are) (?!there\b)", re.IGNORECASE)
_EYE = re.compile(r"(?:right|left|both) eyes?, ", re.IGNORECASE)
_ORDINAL = re.compile(
    r"(?:between )?(?:the )?(?:first|second|third|fourth|fifth|sixth|seventh)(?: and| to|$)", re.IGNORECASE
)
_SIDES = re.compile(r"(?:,| and| or) (?:the )?(?:left|right)\b", re.IGNORECASE)
_NOUN_OF_IT = re.compile(
    r" (?:amounts?|quantity|volume) of\b| (?:signal|echogenicity|density|intensity|attenuation|echotexture)\b",
    re.IGNORECASE,
)
_HEADLESS = re.compile(r"(?:^|(?<!with )\b(?:an?|the) )(?:[\w-]+ )?$", re.IGNORECASE)
_AXIS = re.compile(r"\b(?:short|long)[- ]axis(?: diameter)? \d", re.IGNORECASE)
_VALUE_NEXT = re.compile(r", \w+ ?=|:? ?\d| b ?=? ?\d|[ -](?:stained|weighted|based|guided)\b", re.IGNORECASE)
_ARTICLE = re.compile(r"\b(?:an?|the|this|of)\s*$", re.IGNORECASE)

# "the small one", "the hypodense part of the liver"; not "one large region: left ventricle", "large areas of bleeding".
_STANDS_FOR_A_NAME = re.compile(
    r" (?:ones?|part|portion|area|region|component|thing|structure)s?\b(?!-|:)(?! of (?!the\b|an?\b|this\b|its\b)\w)",
    re.IGNORECASE,
)
# "gray matter in one region": the name stands before, and the whole phrase goes.
_IN_PARTS = re.compile(r"\w,? in \w+ (?:regions?|parts?|pieces?)\b", re.IGNORECASE)


def _behind(pattern: str | re.Pattern[str]) -> Callable[[Beside], object]:
    """Return the rule that a pattern begins right behind the value."""
    compiled = re.compile(pattern)
    return lambda b: compiled.match(b.after)


def _ahead(pattern: str | re.Pattern[str]) -> Callable[[Beside], object]:
    """Return the rule that a pattern stands before the value."""
    compiled = re.compile(pattern)
    return lambda b: compiled.search(b.before)


_OTHERS = ("size", "shape", "colour", "texture", "margin", "signal", "number", "direction")
_SAID = (*_OTHERS, "side", "pathology", "measure", "description", "quality", "negation")
_RULES: tuple[Rule, ...] = (
    (_LOOKS, lambda b: re.match(r"\s+than\b", b.after), "the comparison behind it would hang on nothing"),
    (
        _OTHERS,
        lambda b: _STANDS_FOR_A_NAME.match(b.after) and not (b.old.kind == "number" and _IN_PARTS.search(b.text)),
        "it alone says which",
    ),
    (
        _OTHERS,
        lambda b: _NOUN_OF_IT.match(b.after) and not re.search(r"(?:, |\bwith (?:an? )?)$", b.before),
        "the noun behind it needs it",
    ),
    (
        _OTHERS,
        lambda b: " " not in b.old.value and _HEADLESS.search(b.before) and re.match(r" (?:in|of|on|at)\b", b.after),
        "it is a noun here",
    ),
    (_OTHERS, lambda b: "target" in b.precedes and re.fullmatch(r"\s*[.?!]?", b.after), "it is a noun here"),
    (("place",), lambda b: "than" in b.old.value or re.match(r"[- ]predominant\b", b.after), "it is part of a measure"),
    (("place",), _ahead(r"\bfrom (?:the )?$"), "a distance is measured to it"),
    (("phase",), lambda b: b.before[-2:] != ", " and re.match(r" frames?\b", b.after), "the noun behind it needs it"),
    (("texture",), _behind(r" (?:arter|duct|vein|vessel)"), "it is part of a name"),
    (("side",), _behind(r" (?:ventricular|atrial|main)\b"), "it is part of a name"),
    (("direction",), _behind(r" \w+ing\b"), "the word behind it needs it"),
    (("certainty",), lambda b: re.search(r"\bas $", b.before, re.IGNORECASE), "it is part of a comparison"),
    (("certainty",), lambda b: b.before.endswith(", ") and not b.follows & {"negation"}, "it says how sure a name is"),
    (("certainty",), lambda b: _PREDICATE.match(b.old.value), "the sentence hangs on it"),
    (("certainty",), lambda b: _EXCLUDED.search(b.old.value), "the name before it would be asked for"),
    (("certainty",), lambda b: b.follows & {"pathology", "negation"}, "the sentence hangs on it"),
    (("certainty",), lambda b: re.match(r" (?:an?|the) ", b.after, re.IGNORECASE), "it is the verb"),
    (("pathology",), lambda b: "certainty" in b.precedes, "the words of certainty before it speak of it"),
    (("sex",), _ahead(r"\b(?:an?|the) (?!\S*old )[a-z][\w-]* $"), "the word before it needs a noun"),
    (("relation",), _ahead(r"\bthan (?:the |that |an? )\w+ $"), "what is compared with is told by it"),
    (
        ("modality",),
        lambda b: b.precedes & {"view", "phase", "quality"} and not _PICTURE_NEXT.match(b.after),
        "the words before it need a noun",
    ),
    (
        ("modality",),
        lambda b: re.match(r" of\b", b.after) or (b.after.startswith(":") and b.before.strip()),
        "the words beside it need it",
    ),
    (("place", "location", "relation"), lambda b: _ASKS.match(b.text) and b.after.startswith("?"), "it is asked"),
    (("place",), lambda b: _EYE.match(b.text) and b.before.endswith(", "), "a heading stands before it"),
    (("direction",), lambda b: "side" in b.precedes and not re.match(r" \w", b.after), "the side before it needs it"),
    (("measure",), lambda b: _ORDINAL.match(b.old.value), "it tells which of several are meant"),
    (("modality",), lambda b: starts_with_verb(b.after) or _VALUE_NEXT.match(b.after), "the words behind it need it"),
    (("direction", "side", "place"), _behind(_PARTITIVE), "the part that follows is named by it"),
    (("direction",), _behind(_BARE_PART), "the part that follows is named by it"),
    (("direction",), lambda b: _DEPTH.fullmatch(b.old.value) and _INJURY.search(b.text), "it tells how deep it goes"),
    (("age",), _behind(r" aged\b"), "the words behind it speak of it"),
    (("place",), lambda b: "view" in b.precedes and b.after.startswith(":"), "the view before it needs it"),
    (("measure",), lambda b: "%" in b.old.value and b.alike > 1, "it is one of several shares"),
    (
        ("side",),
        lambda b: b.old.role == "target" and _SIDES.search(b.text.replace(b.old.value, "", 1)) is not None,
        "the prompt names both sides",
    ),
    (("age",), lambda b: "sex" in b.follows and not _ARTICLE.search(b.before), "the noun behind it would stand alone"),
    (("measure",), _ahead(_QUANTITY), "the words before it tell what is measured"),
    (
        ("measure",),
        lambda b: not re.search(r"\d", b.old.value) and " of " in b.old.value,
        "the place goes with the extent",
    ),
    (("measure",), _behind(r" from\b"), "it is a distance"),
    (("relation",), _ahead(r"\b(?:diameters?|widths?|breadths?|levels?|vertebrae|segments?) $"), "its distance stays"),
    (("measure", "view"), lambda b: _AXIS.search(b.text), "the words beside it tell what is measured"),
    (("measure",), lambda b: _MORE_MEASURES.match(b.after) or re.search(r"\b(?:and|or) $", b.before), "one of several"),
    (
        ("size",),
        lambda b: re.search(r"\bthe\s*$", b.before, re.IGNORECASE) and "measure" in b.follows,
        "it names the one of two that is measured",
    ),
    (("size",), _behind(r" tumou?r volume\b"), "it is part of a name"),
    (
        ("relation",),
        lambda b: b.follows & {"place", "location"} and not b.after.lstrip().startswith(","),
        "what follows tells where it leads",
    ),
    (
        ("relation",),
        lambda b: _GOES_ON.match(b.after) and not starts_with_verb(b.after.removeprefix(" and ")),
        "the words behind it go on from it",
    ),
    (("relation",), lambda b: _DISTANCE_OF_ANOTHER.search(b.text[: b.old.stop]), "the distance is of another thing"),
    (("location",), _ahead(_LEADING), "the verb before it leads there"),
    (("location",), lambda b: b.alike > 1, "the prompt tells the location more than once"),
    (("location", "place", "side"), lambda b: ENUMERATED.search(b.text), "the prompt tells where each of several lies"),
    (("number",), lambda b: _COUNTED_AGAIN.search(b.after), "what follows still counts"),
    (
        ("number",),
        lambda b: b.old.value.lower() in ("every", "each", "all") or re.search(r"\bper \w", b.after),
        "the noun behind it needs it",
    ),
    (
        _SAID,
        lambda b: _COPULA.search(b.before) and not _LIST_GOES_ON.match(b.after),
        "the verb before it would say nothing",
    ),
    (
        ("description",),
        lambda b: (
            "measure" in b.follows
            or _OF.match(b.after)
            or (re.match(r" in the\b", b.after) and category_of(b.old.value.lower().split(" ")[-1]) == "finding")
            or _PARTICIPLE.search(b.before)
        ),
        "the words beside it speak of it",
    ),
    (("place",), lambda b: _OF_WHAT.search(b.before) or _ABBREVIATION.match(b.after), "the noun is named by it"),
    (("place",), lambda b: _PLACED.search(b.before) and _NOUN_NEXT.match(b.after), "the next noun hangs on it"),
    (
        ("place",),
        lambda b: _ITS.search(b.before) or re.match(r" (?:and|or) (?!\w+ing\b)", b.after),
        "it goes with the words beside it",
    ),
    (
        ("place",),
        lambda b: b.old.start == 0 and b.after.startswith(":") and re.search(r"\b(?:lobe|zone|pole)", b.after),
        "the part behind it is of it",
    ),
    (
        ("side",),
        lambda b: b.after.startswith(("-", "_")) or re.search(r"\bseparately\b", b.after),
        "the word behind it needs it",
    ),
    (_OTHERS, lambda b: "?" in b.after and _ASKED.search(b.before), "it is what is asked"),
    (
        _OTHERS,
        lambda b: b.before.endswith(", ") and re.match(r" (?:at|on|in) (?:the|its)\b", b.after),
        "the words behind it tell where",
    ),
    (_OTHERS, lambda b: _PROPERTY.match(b.after) and _HAS.search(b.before), "the word behind it needs it"),
    (_OTHERS, _ahead(r"(?:^|\W)to $"), "it is one end of a range"),
    (("colour", "signal"), _behind(r" to \w"), "it is one end of a range"),
    (("signal",), lambda b: "modality" in b.precedes, "the modality before it is part of it"),
    (
        ("view",),
        lambda b: "side" in b.precedes and b.before.endswith(" ") and re.match(r" views?\b", b.after),
        "the side before it is the view's",
    ),
)
