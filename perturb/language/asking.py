"""Tell what a whole prompt does: it asks for a structure, denies one, or states something in a full sentence."""

from __future__ import annotations

import re

from robustness.perturb.language.grammar.verbs import finite_verbs
from robustness.types import Prompt

_ASKING = (
    "segment|outline|delineate|mark|trace|highlight|contour|label|annotate|show(?: me)?|identify|find|locate|detect"
    "|circle|extract|isolate"
)
# "segment 4", "outline of the liver", "contour irregular": nouns, which ask for nothing.
_NOUN = (
    r"(?!\s*(?:[,.;:!?)]|$))"
    r"(?! (?:\d|[IVX]+[ab]?\b|of\b|is\b|are\b|was\b|and\b|or\b|in\b|on\b|at\b|with\b))"
    r"(?! (?:(?:ir)?regular|(?:un)?sharp|smooth))"
)
REQUEST = re.compile(
    r"(?P<lead>^\s*|[.;:,!?] +|\b(?:please|pls|plz|kindly)[, ]+|\b(?:you|you please|you kindly|like you to|to) "
    r"|\b(?:count|identify|find|locate|detect|show) and )"
    rf"(?P<verb>{_ASKING})\b(?= ){_NOUN}",
    re.IGNORECASE,
)
_NEED = re.compile(
    r"\bneeds? (?:(?:out|segment|mark|delineat|trac|contour|label|annotat|highlight)\w*ing\b"
    r"|to be \w+ed\b|segmentation\b)"
    r"|\b(?:should|must|shall) be (?:outlined|segmented|marked|delineated|traced|contoured|labell?ed|annotated)\b"
    r"|\b(?:i|we) (?:need|want|would like)\b|\b(?:please|pls|plz|kindly)\b|^\s*(?:where|give me|seg)\b|\?\s*$",
    re.IGNORECASE,
)
_DENIAL = re.compile(
    r"^\W*(?:(?:there|it) (?:is|are) |(?:shows?|with) )?(?:no|not|without|absence of|absent|negative for|free of)\b"
    r"|\bno (?:evidence|signs?) of\b|\b(?:shows?|demonstrates?|reveals?|is|are|has|have) (?:no|not|absent)\b",
    re.IGNORECASE,
)
# Relative clauses, and nouns that look like verbs: "with irregular borders".
_RELATIVE = re.compile(
    r",? (?:that|which|who|whose)\b[^.;]*|\bwith (?:[\w-]+,? ){0,4}?(?:borders|contacts|covers|contours)\b",
    re.IGNORECASE,
)
_NEVER_FINITE = frozenset("segment outline delineate mark trace label find show contour highlight need".split())
_COPULAS = frozenset(
    "is are was were lie lies sit sits has have can shows reveals demonstrates depicts contains needs".split()
)
_PREDICATES = _COPULAS | frozenset(
    "measures appears extends arises involves causes suggests indicates looks seems remains does do had may might could"
    " enhances projects protrudes occupies communicates showed revealed demonstrated confirmed confirms".split()
)


def asks(text: str) -> bool:
    """Tell whether a text asks for something anywhere: an imperative at a clause start, a need, a question."""
    return REQUEST.search(text) is not None or _NEED.search(text) is not None


def denies(prompt: Prompt) -> bool:
    """Tell whether a prompt says that its target is not there, so that asking for it would contradict the prompt."""
    if _DENIAL.search(prompt.text):
        return True
    return any(a.role == "target" and a.value.lower() in ("no", "zero", "0") for a in prompt.attributes)


def is_sentence(text: str) -> bool:
    """Tell whether a finite verb of the main clause or a request stands in a text; "mass that is round" has none."""
    if REQUEST.search(text) or re.match(r"there['\u2019]s\b", text, re.IGNORECASE):
        return True
    words = re.findall(r"[a-z]+", _RELATIVE.sub("", text.lower()))
    return any(word in _COPULAS or (word in finite_verbs() and word not in _NEVER_FINITE) for word in words)


def ends_with_verb(text: str) -> bool:
    """Tell whether a name took the verb behind it for its last noun: "membrane causes"."""
    return text.rpartition(" ")[2].lower() in _PREDICATES


def starts_with_verb(text: str) -> bool:
    """Tell whether a text begins with a finite verb, so that it goes on with a sentence: "occupies the fundus"."""
    first = re.match(r"(?:also |mainly |mostly )?([a-z]+)\b", text.lstrip(), re.IGNORECASE)
    word = first[1].lower() if first else ""
    return word in _PREDICATES or (word in finite_verbs() and word not in _NEVER_FINITE)
