"""The opposites of a value, best first: by rule where there is one (places, ages, numbers), else from the lexicon."""

from __future__ import annotations

import re
from typing import NamedTuple

from robustness.perturb.language import wordnet
from robustness.perturb.language.clinical_opposites import clinical_opposites
from robustness.perturb.language.grammar.numerals import spell, unspell
from robustness.perturb.language.lexicon import Word, classes, descriptions, singular, words_by_kind
from robustness.perturb.language.mirror_words import named_sides

_SEPARATOR = re.compile(r",\s*(?:and\s+)?|\s+and\s+")
_CORNERS = ("top left", "bottom right", "top right", "bottom left")
_MIDDLES = frozenset({"center", "centre", "middle", "central"})
_AGE = re.compile(r"(?P<n>\w+(?:-\w+)*?)(?P<rest>-years?-old)", re.IGNORECASE)
_ADULT = (18, 90)
_CHEXPERT = "chexlocalize"
# Only of these does a word's antonym in general English contradict it in a medical prompt.
_FROM_WORDNET = ("shape", "colour", "size", "pathology")


# What has a degree and no extent: there is no "tiny stranding".
_DEGREES = frozenset(
    "stranding thickening oedema edema swelling dilatation dilation stenosis atrophy narrowing widening enhancement"
    " regurgitation hydronephrosis inflammation erythema congestion fibrosis emphysema steatosis calcification scarring"
    " haze opacification dysplasia gliosis spondylolisthesis cardiomegaly hypokinesis ectasia blurring pallor cupping"
    " maceration undermining".split()
)


class Opposite(NamedTuple):
    """A candidate value and where it comes from."""

    value: str
    source: str


def opposites(kind: str, value: str, *, target: str = "") -> list[Opposite]:
    """Return the candidates that contradict `value`, best first; an empty list where none is known.

    Locations are reflected in the image centre (a centre becomes a corner), ages mirrored in the adult range (at least
    20 years away), lists of sizes and findings taken as wholes, descriptions exchanged for those of other classes than
    `target`; everything else is a row of the lexicon, else of the ontology's modifiers, else a rule for places in the
    patient, directions, relations, figures and clock hours.
    """
    candidates = _of_the_templates(kind, value, target=target)
    if kind == "size" and value.lower() == "moderate" and target.lower().split(" ")[-1] in _DEGREES:
        return [Opposite("severe", "a degree, no extent: mild < moderate < severe; curated")]
    one_of_two = kind == "side" and value.lower() in ("both", "bilateral")
    if kind == "side" and len(named_sides(value)) == 2 and re.search(r"\b(?:left|lt|right|rt|[lr])\b", value.lower()):
        # Of "left or right" and "L/R" neither side alone is the opposite.
        return []
    if candidates or (_row(kind, value.lower()) is not None and not one_of_two):
        # The lexicon knows the word: where it has no opposite, there is none.
        return candidates
    candidates = [Opposite(*c) for c in clinical_opposites(kind, value)]
    if kind == "location":
        # "left and right" reflected is the same pair of places.
        candidates = [o for o in candidates if _places(o.value) != _places(value)]
    return candidates


def _places(value: str) -> set[str]:
    return set(re.split(r",?\s+(?:and|or)\s+(?:the\s+)?|,\s*|\s*[/&+]\s*", value.lower()))


def _of_the_templates(kind: str, value: str, *, target: str = "") -> list[Opposite]:
    """Return the candidates that the benchmark's lexicon and its rules give."""
    words = value.lower()
    if kind == "location":
        return _locations(words)
    if kind == "age":
        return _ages(words)
    if kind == "size":
        return _sizes(words)
    if kind == "number":
        return _numbers(words)
    if kind == "pathology" and (("," in words) or _row(kind, words) is None):
        return _findings(words)
    if kind == "description":
        return _descriptions(words, target)
    row = _row(kind, words)
    return [Opposite(new, row.source) for new in row.opposites] if row else []


def from_wordnet(kind: str, value: str) -> list[Opposite]:
    """Return WordNet's antonyms of a value; none where it is not installed or the kind is not its business."""
    if kind not in _FROM_WORDNET:
        return []
    row = _row(kind, value.lower())
    pos = row.form if row else "adjective"
    return [Opposite(word, wordnet.SOURCE) for word in wordnet.antonyms(value, pos) if word != value.lower()]


def why_unknown(kind: str, value: str) -> str:
    """Return why no opposite of a value is known."""
    missing = wordnet.missing() if kind in _FROM_WORDNET else ""
    return f"no opposite of the {kind} {value!r} is known" + (f" to the lexicon; {missing}" if missing else "")


def _descriptions(words: str, target: str) -> list[Opposite]:
    """Return one description of each class that shares no noun with the target, as a clause where the old one is."""
    if not re.match(r"(?:which|that|an?|the)\b|(?:is|are) an? ", words):
        # "with central pallor", "non-mobile": no description, which says what a class is, can stand there.
        return []
    clause = words.startswith(("which ", "that "))
    ours = set(singular(target).split())
    others = []
    for name, rows in descriptions().items():
        if ours & set(name.split()) or any(row.text.lower() == words for row in rows):
            continue
        text = rows[0].text if clause else re.sub(r"^which (?:is|are) ", "", rows[0].text)
        others.append(Opposite(text, f"description of another class ({name}); {rows[0].source}"))
    return others


def _row(kind: str, words: str) -> Word | None:
    return words_by_kind().get(kind, {}).get(words)


def _locations(words: str) -> list[Opposite]:
    parts = re.split(f"({_SEPARATOR.pattern})", words)
    source = "point reflection in the image centre"
    places = []
    for corner in _CORNERS:
        new = "".join(part if i % 2 else _reflect(part, corner) for i, part in enumerate(parts))
        if new and "?" not in new and Opposite(new, source) not in places:
            places.append(Opposite(new, source))
    old = set(parts[::2])
    # "left, right" reflected is the same pair of places; a centre goes to a corner that is not named yet.
    changed = [o for o in places if set(_SEPARATOR.split(o.value)) != old]
    return sorted(
        changed, key=lambda o: (_repeats(o.value) > _repeats(words), len(old & set(_SEPARATOR.split(o.value))))
    )


def half_reflections(words: str) -> list[Opposite]:
    """Return a corner of the image with its column, then its row exchanged; nothing for other places."""
    pieces = re.split(r"([\s-])", words.lower())
    table = words_by_kind()["location"]
    if len(pieces) != 3 or any(p not in table or not table[p].opposites for p in pieces[::2]):
        return []
    row, gap, column = pieces
    source = "reflection in one axis of the image"
    return [
        Opposite(f"{row}{gap}{table[column].opposites[0]}", source),
        Opposite(f"{table[row].opposites[0]}{gap}{column}", source),
    ]


def _repeats(words: str) -> int:
    """Return how many places of a list are named before in it."""
    places = _SEPARATOR.split(words)
    return len(places) - len(set(places))


def _reflect(place: str, corner: str) -> str:
    """Return the place on the other side of the centre; the centre itself becomes `corner`; "?" where not known."""
    if place in _MIDDLES:
        return corner
    table = words_by_kind()["location"]
    pieces = re.split(r"([\s-])", place)
    if any(p not in table for p in pieces[::2]):
        return "?"
    return "".join(p if i % 2 or p in _MIDDLES else table[p].opposites[0] for i, p in enumerate(pieces))


def _ages(words: str) -> list[Opposite]:
    match = _AGE.fullmatch(words)
    age = unspell(match["n"]) if match else None
    if match is None or age is None:
        return []
    low, high = _ADULT
    mirrored = min(max(low + high - age, low), high)
    if abs(mirrored - age) < 20:
        mirrored = age + 35 if age + 35 <= high else age - 35
    new = str(mirrored) if match["n"].isdigit() else spell(mirrored)
    return [Opposite(new + match["rest"], f"age mirrored in the adult range {low} to {high}, at least 20 years away")]


def _sizes(words: str) -> list[Opposite]:
    names = re.split(r",\s*", words)
    rows = [_row("size", n) for n in names]
    if not all(rows):
        return []
    sizes = [Opposite(new, r.source) for r in rows if r for new in r.opposites if new not in names]
    # "small, medium" is contradicted by large, not by tiny.
    sizes.sort(key=lambda o: sum(r is not None and o.value in r.opposites for r in rows), reverse=True)
    return list(dict.fromkeys(sizes))


def _numbers(words: str) -> list[Opposite]:
    row = _row("number", words)
    if row is not None:
        return [Opposite(new, row.source) for new in row.opposites]
    number = unspell(words)
    if number is None:
        return []
    source = "another number; one <-> several"
    digits = words.isdigit()
    other = [1, number + 3] if number != 1 else [5]
    return [Opposite(str(n) if digits else spell(n), source) for n in other if n != number and n < 200]


def _findings(words: str) -> list[Opposite]:
    """Return the chest findings that a list leaves out: what is present becomes what is absent."""
    listed = {part.strip() for part in words.split(",")}
    findings = [row for row in classes() if row.dataset == _CHEXPERT and row.name != "Airspace Opacity"]
    if not listed <= {row.name.lower() for row in findings}:
        return []
    rest = [row.name for row in findings if row.name.lower() not in listed]
    return [Opposite(", ".join(rest), f"complement within the {findings[0].source}")] if rest else []
