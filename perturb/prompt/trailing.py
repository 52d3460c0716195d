"""What stands behind the comma of a denied noun phrase, and what a prompt holds that no plain denial fits."""

from __future__ import annotations

import re
from collections.abc import Iterator

from robustness.perturb.language.edit import Edit
from robustness.types import Attribute, Prompt

_DESCRIBING = frozenset(
    {
        "size",
        "shape",
        "colour",
        "texture",
        "margin",
        "signal",
        "measure",
        "certainty",
        "pathology",
        "relation",
        "description",
        "number",
    }
)
_PROPERTIES = _DESCRIBING - {"relation", "certainty", "description"}
_GAP = re.compile(r",\s+")
_POINTS_BACK = re.compile(r"(?:each|both|all|one|the (?:larger|smaller|largest|smallest|other|first))\b", re.IGNORECASE)
_PARTICIPLE = re.compile(r"(?:\w+ly )?\w{3,}(?:ing|ed)\b", re.IGNORECASE)
_SURE = frozenset("definite clear obvious convincing confirmed evident certain definitive".split())
_PREDICATE = re.compile(
    r"\s*(?:is|are|was|were|appears?|seems?|looks?|measures?|has|have)(?: (?:a|an|the))?(?: \w+ly| very| about)?\s*",
    re.IGNORECASE,
)
_MAYBE = re.compile(r"\b(?:may|might|could|possibly|probably|likely)\b", re.IGNORECASE)


def descriptions_behind(prompt: Prompt, target: Attribute) -> list[Edit]:
    """Return the edits that leave out what a comma behind a denied target still says of it.

    ", heterogeneous echotexture", ", each about 1 cm", ", likely metastatic" describe what the denial says is not
    there; ", coronal reformat" and ", 58-year-old man" are of the picture and stay, as a second target does.
    """
    text = prompt.text
    end = _clause_end(prompt, target.stop)
    edits = []
    for start, stop in _segments(prompt, target.stop, end):
        inner = [a for a in prompt.attributes if start <= a.start < stop]
        if any(a.kind == "target" for a in inner):
            break
        if _describes(text[start:stop], inner):
            comma = text.rfind(",", 0, start)
            # ", which is a vessel, is visible": the comma that closes it goes too.
            stop += re.match(r",(?= (?:is|are|was|were|has|have|lies?|sits?|can)\b)", text[stop:]) is not None
            edits.append(Edit(comma, stop, text[comma:stop], ""))
    return edits


def _clause_end(prompt: Prompt, at: int) -> int:
    """Return where the clause ends; a stop inside a value ("1.5 cm") ends nothing."""
    ends = (m.start() for m in re.finditer(r"[.;:!?](?=\s|$)", prompt.text[at:]))
    return next((at + e for e in ends if not _is_inside(prompt, at + e)), len(prompt.text))


def _segments(prompt: Prompt, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield what stands between the commas from `start` on; a comma inside a value ("top, left") parts nothing."""
    commas = [m for m in _GAP.finditer(prompt.text, start, end) if not _is_inside(prompt, m.start())]
    for n, comma in enumerate(commas):
        yield comma.end(), commas[n + 1].start() if n + 1 < len(commas) else end


def _is_inside(prompt: Prompt, at: int) -> bool:
    return any(a.start < at < a.stop for a in prompt.attributes)


def _describes(segment: str, inner: list[Attribute]) -> bool:
    """Tell whether a segment speaks of the target, and of nothing that holds without it."""
    own = [a for a in inner if a.role == "target" and a.kind in _DESCRIBING]
    if _POINTS_BACK.match(segment) or _PARTICIPLE.match(segment):
        return not any(a.role in ("scan", "patient") for a in inner)
    return bool(own) and own[0] is inner[0]


def no_denial_fits(prompt: Prompt, target: Attribute, phrase_start: int) -> str:
    """Return why a denial of `target` would say something else than that it is not there, or ""."""
    text = prompt.text
    for a in prompt.attributes:
        gap = text[a.stop : target.start] if a.stop <= target.start else ""
        if a.kind == "measure" and a.role == "target" and re.search(r"[,:;]", gap):
            return f"the prompt reports {a.value!r}, which cannot be measured of what is absent"
        if a.kind == "certainty" and phrase_start <= a.start < target.start and a.value.lower() not in _SURE:
            return f"{a.value!r} is a hedge, and denied it would not say that the target is absent"
        behind = a.start >= target.stop and a.role == "target" and a.kind in _PROPERTIES
        if behind and _PREDICATE.fullmatch(text, target.stop, a.start):
            return f"a denial would deny {a.value!r} and not the target"
    if _MAYBE.search(text[target.stop : _clause_end(prompt, target.stop)].partition(",")[0]):
        return "the prompt is in doubt of its target, and a denial of a doubt says nothing"
    return ""
