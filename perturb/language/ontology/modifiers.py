"""Words that modify a target, by kind, with their opposites (``modifiers.csv``), and forms that tell a kind."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import NamedTuple

# The end of a compound tells its kind: "dome-shaped", "rim-enhancing".
SUFFIXES = (
    ("shape", ("-shaped", "shaped", "-like")),
    (
        "signal",
        (
            "-enhancing",
            "-avid",
            "intense",
            "-echoic",
            "-dense",
            "-bright",
            "-dark",
            "-attenuating",
            "-lucent",
            "-signal",
            "-density",
            "-attenuation",
            "-intensity",
            "-uptake",
        ),
    ),
    (
        "shape",
        (
            "-mouthed",
            "-topped",
            "-tipped",
            "-ended",
            "-necked",
            "-bottomed",
            "-headed",
            "-branched",
            "-stemmed",
            "-cornered",
        ),
    ),
    ("colour", ("-staining", "-coloured", "-colored", "-tinged", "-pigmented", "-hued", "-tinted")),
    (
        "margin",
        (
            "-defined",
            "-circumscribed",
            "-demarcated",
            "-marginated",
            "-bordered",
            "-edged",
            "-contoured",
            "-rimmed",
            "-margined",
            "-outlined",
        ),
    ),
    ("texture", ("-scaled", "-coated", "-crusted", "-covered", "-lined", "-streaked", "-speckled", "-studded")),
    ("texture", ("-walled", "-containing", "-filled", "-textured", "-surfaced")),
    ("texture", ("less",)),
    ("side", ("-sided",)),
    ("pathology", ("-free", "-grade", "-looking", "-appearing", "-differentiated")),
    ("pathology", ("matous", "ectatic", "aemic")),
    ("size", ("-sized", "-segment", "-length", "-bore", "-calibre", "-caliber", "-gauge")),
)
SIGNAL = re.compile(
    r"(?:[a-z0-9]+-)?(?:hyper|hypo|iso|an|hetero|non-?)-?(?:echoic|echogenic|dens[ei]\w*|intens[ei]\w*|attenuat\w+|reflective|"
    r"fluorescent|autofluorescent|vascular|metabolic|lucent|enhanc\w+|perfused|avid|opaque|refractile)"
    r"|(?:t1|t2|flair|stir|dwi)-(?:iso|hyper|hypo|high|low|intermediate)"
)
_AXIS = (
    "anterior|posterior|superior|inferior|medial|lateral|nasal|temporal|dorsal|ventral|cranial|caudal|proximal|distal"
)
DIRECTION = re.compile(
    rf"(?:antero|postero|supero|infero|dorso|ventro|cranio|caudo|medio|latero)-?(?:{_AXIS}|septal|basal|apical)(?:ly)?"
    rf"|(?:{_AXIS})(?:ly|most|wards?)|(?:{_AXIS})-(?:{_AXIS})"
    rf"|mid-?(?:{_AXIS})"
    r"|(?:mesio|disto)-?angular"
    # "sup-temp", "inf/nas"
    r"|(?:sup|inf|ant|post|med|lat|temp|nas)[-/](?:temp|nas|lat|med|sup|inf|ant|post)(?:oral|al)?"
)
# "fourth-largest", "next-smallest"
RANKED = re.compile(
    r"(?:second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|next|\d(?:nd|rd|th))-"
    r"(?:larg|small|bigg|long|short|thick|thinn|wid|narrow|tall|deep|shallow)est"
)


_EVIDENCE = frozenset("evidence sign signs suggestion indication trace hint suspicion feature features".split())
# "not seen", "was not found": said behind a thing, these deny it.
SEEN = frozenset(
    "seen found identified visualised visualized visible present detected demonstrated noted evident shown apparent "
    "appreciated observed reported recognised recognized depicted discernible encountered".split()
)
_BEFORE_NOT = {"is": (), "are": (), "was": (), "were": (), "has": ("been",), "have": ("been",), "could": ("be",)}
OPENS_DENIAL = frozenset({"no", "without", "not", *_BEFORE_NOT})


def denial_length(lower: Sequence[str]) -> int:
    """Return how many of the first words deny: "no convincing evidence of", "was not found"; 0 where they do not.

    Args:
        lower: words in small letters, "" for one that is of another class.
    """
    if lower[:1] in (["no"], ["without"]):
        k = next((k for k in range(1, min(4, len(lower) - 1)) if lower[k] in _EVIDENCE), 0)
        words = all(word[:1].isalpha() for word in lower[1:k])
        return k + 2 if k and words and lower[k + 1] in ("of", "for") else 0
    between = _BEFORE_NOT.get(lower[0], ()) if lower else ()
    start = len(lower) > 0 and lower[0] in _BEFORE_NOT
    parts = [*([lower[0]] if start else []), "not", *between]
    denies = list(lower[: len(parts)]) == parts and not SEEN.isdisjoint(lower[len(parts) : len(parts) + 1])
    return len(parts) + 1 if denies else 0


def said_behind(denial: str) -> bool:
    """Tell whether words that deny stand behind what they deny: "was not seen", "excluded", "nil"."""
    words = denial.split()
    return bool(words) and (
        words[-1] in SEEN | {"absent", "excluded", "nil"}
        or denial.endswith("ruled out")
        or words[:2] == ["no", "longer"]
        or (words[0] in ("has", "have") and words[-1] in ("resolved", "cleared", "disappeared"))
    )


class Modifier(NamedTuple):
    """A value of one kind and what contradicts it, best first."""

    kind: str
    value: str
    opposites: tuple[str, ...]
    source: str


@cache
def modifiers() -> dict[str, dict[str, Modifier]]:
    """Return kind -> small-letter value -> row."""
    text = resources.files("robustness.perturb.language.ontology").joinpath("modifiers.csv").read_text(encoding="utf-8")
    rows: dict[str, dict[str, Modifier]] = {}
    for r in csv.DictReader(text.splitlines()):
        row = Modifier(r["kind"], r["value"], tuple(filter(None, r["opposites"].split("|"))), r["source"])
        rows.setdefault(row.kind, {})[row.value.lower()] = row
    return rows


def phrases(kind: str) -> tuple[tuple[str, ...], ...]:
    """Return the values of `kind` that have several words, as word tuples, longest first."""
    several = [tuple(value.split(" ")) for value in modifiers().get(kind, {}) if " " in value]
    return tuple(sorted(several, key=lambda words: (-len(words), words)))


def pairs(text: str) -> dict[str, str]:
    """Return "a>b; c>d" as a dict.

    Example:
        >>> pairs("upper>lower; left>right")
        {'upper': 'lower', 'left': 'right'}
    """
    return {old: new for old, _, new in (pair.partition(">") for pair in text.split("; "))}
