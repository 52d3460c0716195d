"""What stands behind a denied noun phrase, and what a prompt holds that no plain denial fits."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from robustness.perturb.language.edit import Edit
from robustness.perturb.language.grammar.asking import starts_with_verb
from robustness.perturb.language.inflection import is_plural, singular_of
from robustness.types import Attribute, Prompt

_DESCRIBING = frozenset(
    "size shape colour texture margin signal measure certainty pathology relation description number place location"
    " direction side".split()
)
_PROPERTIES = frozenset("size shape colour texture margin signal measure pathology number".split())
_GAP = re.compile(r",\s+")
_POINTS_BACK = re.compile(
    r"(?:each|both|all|one|the (?:larger|smaller|largest|smallest|other|first)|which|that|most(?:ly)?"
    r"|\d+ (?:hours?|days?|weeks?) old)\b",
    re.IGNORECASE,
)
_ATTACHED = re.compile(r"(?:(?:\w+ly )?\w{3,}(?:ing|ed)|with|without|at least|up to)\b", re.IGNORECASE)
# What may stand beside the values in a segment that says nothing more than they do.
_FILLERS = re.compile(
    r"[\W_]+|\b(?:in|on|at|of|to|from|by|and|or|with|within|the|an?|its?|about|approximately|roughly|around|more|less"
    r"|than|size|diameter|shape|outline|colou?r|texture|appearance|margins?|borders?|surface|echotexture|signal"
    r"|intensity|density|attenuation|enhancement|side|most|almost|partly|mainly|just|slightly|very|measuring"
    r"|each|position|part|long|wide|deep|across|maximum|greatest|image|picture|frame|photo|photograph|edge|corner|half"
    r"|third|quarter|quadrant|region|area)\b",
    re.IGNORECASE,
)
_DENIES = re.compile(r"no\s(?!(?:more|less|larger|smaller|bigger|longer|greater)\b)", re.IGNORECASE)
_DENIED_APART = re.compile(rf",\s+{_DENIES.pattern}[^,.;:]*(?=[,.]|$)", re.IGNORECASE)
_PREDICATE = re.compile(
    r"\s*(?:is|are|was|were|appears?|seems?|looks?|measures?|has|have)(?: (?:a|an|the))?(?: \w+ly| very| about)?\s*",
    re.IGNORECASE,
)
# "Cup-to-disc ratio 0.8; segment the optic cup."
_REPORTED = re.compile(r"\b(?!(?:stage|level|segment|grade)\b)[a-z]+(?: of|:|=)? \d[^,;:]*[,;:]", re.IGNORECASE)
_MAYBE = re.compile(r"\b(?:may|might|could|possibly|probably|likely)\b", re.IGNORECASE)
_SURE = frozenset("definite clear obvious convincing confirmed evident certain definitive".split())
_LENGTH = re.compile(r"\d\s?-?(?:mm|cm|µm|um|μm|m|in|inch(?:es)?|ml|cc)\b|percent|%|half|third|quarter", re.IGNORECASE)
_MEASURED = re.compile(
    r",?(?: (?:measuring|of|with an? (?:\w+ )?(?:diameter|length|width|size) of|larger than|smaller than|greater than"
    r"|less than|more than|about|approximately|roughly|around|up to|over|under))* $",
    re.IGNORECASE,
)
_MEASURED_SIDE = re.compile(r"(?: in (?:\w+ )?(?:size|diameter|length|width|thickness)| in dimension| long| wide)?")
_WHOLE: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    (re.compile(r"\bon both sides\b|\bbilaterally\b", re.IGNORECASE), lambda m: "on either side"),
    (
        re.compile(r"\bboth (?:of the |the )?(?P<n>(?:[a-z]+ )?[a-z]+?s)\b(?!-)", re.IGNORECASE),
        lambda m: f"either {singular_of(m['n'])}",
    ),
    (
        re.compile(r"\ball (?:of the |the )?(?P<n>(?:two|three|four|five|six|\d+) [a-z]+s)\b", re.IGNORECASE),
        lambda m: f"any of the {m['n']}",
    ),
    (
        re.compile(r"\ball (?:of the |the )?(?P<n>[a-z]+s)\b|\b(?:each|every) (?P<o>[a-z]+)\b", re.IGNORECASE),
        lambda m: f"any {singular_of(m['n']) if m['n'] else m['o']}",
    ),
)


def descriptions_behind(prompt: Prompt, target: Attribute) -> list[Edit] | None:
    """Return the edits that leave out what a comma behind a denied target still says of it.

    ", heterogeneous echotexture", ", each about 1 cm", ", likely metastatic" describe what the denial says is not
    there; ", coronal reformat" and ", 58-year-old man" are of the picture and stay, as a second target does. None where
    a comma leads to words that nobody could read: they may name another finding.
    """
    text = prompt.text
    end = clause_end(prompt, target.stop)
    edits: list[Edit] = []
    for start, stop in _segments(prompt, target.stop, end):
        inner = [a for a in prompt.attributes if start <= a.start < stop]
        if any(a.kind == "target" for a in inner) or starts_with_verb(text[start:stop]):
            break
        if inner and all(_is_of_the_picture(a) for a in inner) and not _POINTS_BACK.match(text[start:stop]):
            continue
        if _DENIES.match(text, start) and not starts_with_verb(text[start:stop]):
            # ", no bleeding" denies another thing, and stays.
            continue
        if not _describes(text, start, stop, inner):
            return None
        comma = text.rfind(",", 0, start)
        # ", which is a vessel, is visible": the comma that closes it goes too.
        stop += text[stop : stop + 1] == "," and starts_with_verb(text[stop + 1 :].lstrip())
        edits.append(Edit(comma, stop, text[comma:stop], ""))
    return edits


def _is_of_the_picture(a: Attribute) -> bool:
    return a.role in ("scan", "patient") or a.kind in ("view", "phase", "quality", "modality")


def denied_apart(text: str, start: int) -> str:
    """Return `text` without what it denies behind a comma from `start` on: "two polyps, no bleeding"."""
    return text[:start] + _DENIED_APART.sub("", text[start:])


def measures_behind(prompt: Prompt, target: Attribute) -> list[Edit]:
    """Return the edits that leave out how large a denied target is: "no nodule measuring 12 mm" denies the 12 mm.

    A distance goes with the relation that it measures: " 4 cm above the carina".
    """
    text = prompt.text
    end = clause_end(prompt, target.stop)
    edits = []
    for a in prompt.attributes:
        if a.kind != "measure" or not target.stop <= a.start < end or not _LENGTH.search(a.value):
            continue
        before = _MEASURED.search(text, target.stop, a.start)
        start = before.start() if before else a.start
        side = _MEASURED_SIDE.match(text, a.stop)
        stop = side.end() if side else a.stop
        start, stop = _with_parentheses(prompt, start, stop)
        bare = not starts_with_verb(text[target.stop : start].lstrip().rpartition(" ")[2])
        way = next(
            (r for r in prompt.attributes if r.kind in ("relation", "direction") and r.start == stop + 1 and bare), None
        )
        stop = way.stop if way else stop
        owner = next((d for d in prompt.attributes if way and d.kind == "description" and d.stop + 1 == a.start), None)
        # "with tonsils 8 mm below the foramen": the distance is of what the denied thing has.
        start = owner.start - 1 if owner else start
        edits.append(Edit(start, stop, text[start:stop], ""))
    return edits


def rates_behind(text: str, start: int, stop: int) -> list[Edit]:
    """Return the edit that leaves out what a number is counted by: "no mitoses per 10 high-power fields"."""
    return [
        Edit(m.start(), m.end(), m.group(), "")
        for m in re.finditer(r" per [\w -]+$", text[:stop])
        if m.start() >= start
    ]


def _with_parentheses(prompt: Prompt, start: int, stop: int) -> tuple[int, int]:
    """Return a measure's span with the parentheses that hold it and nothing but measures: " (6 x 4 mm, 900 HU)"."""
    text = prompt.text
    opening, closing = text.rfind(" (", 0, start + 2), text.find(")", stop)
    if opening < 0 or closing < 0 or ")" in text[opening:start]:
        return start, stop
    inner = text[opening + 2 : closing]
    for a in prompt.attributes:
        if a.kind == "measure" and opening < a.start < closing:
            inner = inner.replace(a.value, "")
    return (start, stop) if re.search(r"\w", inner) else (opening, closing + 1)


def wholes_behind(text: str, start: int, stop: int) -> list[Edit]:
    """Return the edits of "both" and "all" in [start, stop): "no lesions in both lobes" would allow them in one."""
    edits: list[Edit] = []
    for pattern, new in _WHOLE:
        for m in pattern.finditer(text, start, stop):
            if any(m.start() < e.stop and e.start < m.end() for e in edits):
                continue
            plural = m.groupdict().get("n")
            if plural and not is_plural(plural):
                continue
            edits.append(Edit(m.start(), m.end(), m.group(), new(m)))
    return edits


def clause_end(prompt: Prompt, at: int) -> int:
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


def _describes(text: str, start: int, stop: int, inner: list[Attribute]) -> bool:
    """Tell whether a segment speaks of the target alone: every word of it is read, or it cannot stand alone."""
    segment = text[start:stop]
    if _POINTS_BACK.match(segment) or (_ATTACHED.match(segment) and " and " not in segment):
        return True
    if any(a.role in ("scan", "patient") for a in inner):
        return False
    if not inner or any(a.kind not in _DESCRIBING for a in inner):
        return bool(re.fullmatch(r"\w{3,}(?:al|ic|ous|ar|ive|ate)", segment, re.IGNORECASE))
    for a in reversed(inner):
        segment = segment[: a.start - start] + " " * (a.stop - a.start) + segment[a.stop - start :]
    return not _FILLERS.sub("", segment)


def no_denial_fits(prompt: Prompt, target: Attribute, phrase_start: int) -> str:
    """Return why a denial of `target` would say something else than that it is not there, or ""."""
    text = prompt.text
    if _REPORTED.search(text[:phrase_start]) and not any(a.role == "scan" for a in prompt.attributes):
        return "the prompt reports a measure, which cannot be taken of what is absent"
    for a in prompt.attributes:
        gap = text[a.stop : target.start] if a.stop <= target.start else ""
        if a.kind == "measure" and a.role == "target" and re.search(r"[,:;]", gap):
            return f"the prompt reports {a.value!r}, which cannot be measured of what is absent"
        if a.kind == "certainty" and phrase_start <= a.start < target.start and a.value.lower() not in _SURE:
            return f"{a.value!r} is a hedge, and denied it would not say that the target is absent"
        behind = a.start >= target.stop and a.role == "target" and a.kind in _PROPERTIES
        if behind and _PREDICATE.fullmatch(text, target.stop, a.start):
            return f"a denial would deny {a.value!r} and not the target"
    if _MAYBE.search(text[target.stop : clause_end(prompt, target.stop)].partition(",")[0]):
        return "the prompt is in doubt of its target, and a denial of a doubt says nothing"
    return ""
