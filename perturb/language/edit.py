"""Edits of a text: splices with their grammar repairs, undone exactly by the record that they leave."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from robustness.perturb.language.grammar.vocabulary import words
from robustness.perturb.language.inflection import is_plural, plural_form, singular_of
from robustness.perturb.language.ontology.modifiers import pairs
from robustness.perturb.language.proper import is_proper
from robustness.types import Attribute, Params, Prompt

_BE = re.compile(r"\s(are|were|have|lie|appear|is|was|has|lies|appears)\b", re.IGNORECASE)
_THERE = re.compile(r"\bthere (is|are|was|were) (?:an? )?$", re.IGNORECASE)
_SINGULAR = pairs("are>is; were>was; have>has; lie>lies; appear>appears")
_ARTICLE = re.compile(r"\b(an?) $", re.IGNORECASE)
_VOWELS = frozenset("aeiouAEIOU")
# Sounds that the first letter does not tell: "a one-sided", "a unilateral", "an hour".
_CONSONANT_STARTS = ("one", "uni", "use", "eu", "ukulele", "unanim")
_LETTERS = re.compile(r"[B-DF-HJ-NP-TV-Z]{2,4}(?![\w-])")
_SPELLED = re.compile(r"(?:MR[IA]|MLO|LAD|LAO|RAO|NBI|ROI)(?![\w-])")
_ONE_LETTER = re.compile(r"[A-Za-z](?=[&-][A-Za-z\d]|\d)")
# Kinds whose values may be capital as abbreviations: "RVOT", "PA", "OD".
_ABBREVIATED = frozenset({"target", "place", "modality", "view", "side", "phase"})
_UN_NOT_YOO = ("unin", "unim", "unid")


class Edit(NamedTuple):
    """`old` at [start, stop) of the original text becomes `new`."""

    start: int
    stop: int
    old: str
    new: str


def splice(text: str, edits: Iterable[Edit]) -> str:
    """Return `text` with every edit made; the edits do not overlap.

    Raises:
        ValueError: edits overlap or do not fit the text.
    """
    parts: list[str] = []
    at = 0
    for edit in sorted(edits):
        if edit.start < at or text[edit.start : edit.stop] != edit.old:
            raise ValueError(f"edits: expected {edit.old!r} at [{edit.start}:{edit.stop}] after {at} of {text!r}")
        parts += (text[at : edit.start], edit.new)
        at = edit.stop
    return "".join([*parts, text[at:]])


def reversed_edits(edits: Iterable[Edit]) -> list[Edit]:
    """Return the edits that lead from the changed text back to the original."""
    shift = 0
    back: list[Edit] = []
    for edit in sorted(edits):
        start = edit.start + shift
        back.append(Edit(start, start + len(edit.new), edit.new, edit.old))
        shift += len(edit.new) - (edit.stop - edit.start)
    return back


def match_case(new: str, old: str) -> str:
    """Return `new` with a capital at the start where `old` has one (all capitals where `old` is an acronym)."""
    if not old or not new or not old[0].isupper():
        return new
    if old.isupper() and sum(c.isalpha() for c in old) > 1 and (len(old) > 4 or new.islower()):
        return new.upper()
    return new[0].upper() + new[1:]


def takes_an(word: str) -> bool:
    """Tell whether the indefinite article before `word` is "an"."""
    if _LETTERS.match(word) or _ONE_LETTER.match(word) or _SPELLED.match(word):
        # "an FHR", "a CT", "an H&E slide", "an x-ray", "a U-shaped cyst": the letters are spelled.
        return word[0] in "AEFHILMNORSXaefhilmnorsx"
    lower = word.lower()
    if lower[:1].isdigit():
        # "an 80-year-old woman", "an 11 mm stone"; "a 110 mm mass"
        return re.match(r"8|1[18](?!\d)", lower) is not None
    if lower.startswith(_CONSONANT_STARTS) and not lower.startswith(_UN_NOT_YOO):
        return False
    return lower[:1] in _VOWELS or lower.startswith(("hour", "honest", "heir"))


def article_repair(text: str, start: int, old: str, new: str) -> Edit | None:
    """Return the edit of "a" or "an" right before `start` that `new` needs, or None.

    An article that did not agree with the old word is a slip of the source and stays as it is.
    """
    head = text[:start]
    word = head.rstrip(" ").rpartition(" ")[2]
    if word.lower() not in ("a", "an") or not head.endswith(" ") or not new:
        return None
    if (word.lower() == "an") != takes_an(old) or takes_an(old) == takes_an(new):
        return None
    stop = len(head.rstrip(" "))
    fixed = word[0] + ("n" if takes_an(new) else "")
    return Edit(stop - len(word), stop, word, fixed)


def record(
    text: str,
    edits: Sequence[Edit],
    *,
    kind: str,
    old: str,
    new: str,
    source: str,
    repairs: Sequence[Edit] = (),
    **extra: Any,
) -> Params:
    """Return the JSON record of a change; `start` and `stop` are the span in the old text, edits hold every splice."""
    ordered = sorted((*edits, *repairs))
    first = min(edits)
    return {
        "text": splice(text, ordered),
        "kind": kind,
        "old": old,
        "new": new,
        "start": first.start,
        "stop": first.stop,
        "source": source,
        "edits": [list(e) for e in ordered],
        "repairs": [list(e) for e in sorted(repairs)],
        **extra,
    }


def undo(params: Params) -> str:
    """Return the text from before the change that `params` records."""
    return splice(params["text"], reversed_edits(Edit(*e) for e in params["edits"]))


def same_value(prompt: Prompt, kind: str) -> tuple[Attribute, ...]:
    """Return the attributes of `kind` that state the first one's value, so that an edit cannot contradict itself."""
    first = prompt.get(kind)
    if first is None:
        return ()
    return tuple(
        a
        for a in prompt.attributes
        if a.kind == kind and a.role == first.role and a.value.lower() == first.value.lower()
    )


def swap(prompt: Prompt, kind: str, new: str, *, source: str, repairs: Sequence[Edit] = (), **extra: Any) -> Params:
    """Return the record of `kind` set to `new` wherever its first value stands; case and article are kept right."""
    spans = same_value(prompt, kind)
    names = [
        (kind == "target" and _is_name_inside(prompt.text, a))
        or (kind in _ABBREVIATED and len(new) > 4 and _is_acronym_inside(prompt.text, a))
        # The capitals of "BI-RADS 4" and "L4/L5" are no reason for another word's.
        or (re.search(r"\d", a.value) is not None and kind != "modality" and not prompt.text.isupper())
        # The R of "mass, R breast" is capital as a letter.
        or (len(a.value) == 1 and a.start > 0)
        for a in spans
    ]
    edits = [
        Edit(a.start, a.stop, a.value, _opened(new, kind, a) if own else _spelled(match_case(new, a.value), kind))
        for a, own in zip(spans, names, strict=True)
    ]
    # "no FHR" gives "an FHR".
    edits = [
        e._replace(new=e.new + "n") if e.new.lower() == "a" and takes_an(prompt.text[e.stop :].lstrip()) else e
        for e in edits
    ]
    articles = [r for e in edits if (r := article_repair(prompt.text, e.start, e.old, e.new))]
    return record(
        prompt.text,
        edits,
        kind=kind,
        old=spans[0].value,
        new=edits[0].new,
        source=source,
        repairs=[*articles, *repairs],
        **extra,
    )


def _spelled(new: str, kind: str) -> str:
    """Return the words of a view with its short forms in capitals: "PA supine", which a sentence's start may open."""
    capitals = words("view.capitals") if kind == "view" else frozenset[str]()
    return " ".join(w.upper() if w.upper() in capitals else w for w in new.split(" "))


def _opened(new: str, kind: str, old: Attribute) -> str:
    """Return the word with a capital where it opens a text instead of a letter or an abbreviation: "R breast"."""
    opens = old.start == 0 and (kind in ("side", "view", "phase") or (kind == "measure" and old.value[:1].isupper()))
    return new[:1].upper() + new[1:] if opens else new


def _is_acronym_inside(text: str, old: Attribute) -> bool:
    """Tell whether `old` is an acronym ("RVOT") or begins with one or with a name inside a sentence ("a FAST scan")."""
    first = re.split(r"[\s-]", old.value)[0]
    begins = not re.search(r"\w", text[: old.start]) or text[: old.start].rstrip(" ").endswith((".", "!", "?"))
    short = old.value.isupper() and len(old.value) < 5
    if not begins and " " in old.value and first[:1].isupper() and any(w.islower() for w in old.value.split(" ")):
        # "the Hartmann's pouch and the cystic duct"
        return not text.isupper()
    return first.isupper() and len(first) < 5 and not text.isupper() and (short or not begins)


def _is_name_inside(text: str, old: Attribute) -> bool:
    """Tell whether `old` has its own capital inside a sentence ("a Roth spot", "the CHD"), which no new noun takes."""
    before = text[: old.start].rstrip(" ")
    inside = before[-1:].isalnum() and before.rpartition(" ")[2].islower()
    return inside and len(old.value.split(" ")) < 3 and is_proper(old.value) and not text.isupper()


def noun_repairs(prompt: Prompt, new: str) -> list[Edit]:
    """Return the edits that keep the counted noun in agreement: "one polyp" -> "several polyps".

    Only a noun that agreed before is fixed: "two round polyp" of the source keeps its singular.
    """
    number, target = prompt.get("number"), prompt.get("target")
    if number is None:
        return []
    was_one, is_one = _is_one(number.value), _is_one(new)
    if number.value.lower() == "no" and target is not None and target.start >= number.stop:
        # "no gallstones" agrees with either number.
        was_one = not is_plural(target.value)
    if was_one == is_one:
        return []
    region = re.compile(r"[\w ]{0,30}?\b(?P<v>regions?|parts?|pieces?)\b").match(prompt.text, number.stop)
    if region is not None and (target is None or target.start > region.end() or target.stop < number.start):
        word = region["v"]
        fixed = word.rstrip("s") if is_one else word.rstrip("s") + "s"
        return [] if fixed == word else [Edit(*region.span("v"), word, fixed)]
    if target is None or target.start < number.stop:
        return []
    if is_plural(target.value) == was_one:
        return []
    return number_of_noun(target, to_one=is_one)


def agreeing_verb(prompt: Prompt, new: str) -> list[Edit]:
    """Return the edits that keep a verb beside the counted noun in agreement: "one clip is", "there are several"."""
    target, number = prompt.get("target"), prompt.get("number")
    if target is None or number is None:
        return []
    table = _SINGULAR if new.lower() in ("one", "1", "a single") else {one: many for many, one in _SINGULAR.items()}
    found = [_BE.match(prompt.text, target.stop), _THERE.search(prompt.text[: number.start])]
    return [
        Edit(*verb.span(1), verb[1], match_case(table[verb[1].lower()], verb[1]))
        for verb in found
        if verb is not None and verb[1].lower() in table
    ]


def without_article(prompt: Prompt, new: str) -> list[Edit]:
    """Return the edit that takes the article off "a single web" where several are asked for."""
    old = prompt.get("number")
    article = _ARTICLE.search(prompt.text[: old.start]) if old is not None else None
    if article is None or new.lower() in ("single", "solitary", "one", "lone") or article[1].lower() == "the":
        return []
    return [Edit(article.start(), article.end(), article[0], "")]


def number_of_noun(target: Attribute, *, to_one: bool) -> list[Edit]:
    """Return the edit that sets a target's noun to the singular or the plural; none where it stays."""
    fixed = singular_of(target.value) if to_one else plural_form(target.value)
    if fixed.lower() == target.value.lower():
        return []
    word = target.value
    fixed = fixed.lower() if word.islower() else fixed.upper() if word.isupper() else fixed
    if word[:1].isupper() and not word.isupper():
        fixed = fixed[0].upper() + fixed[1:]
    return [Edit(target.start, target.stop, word, fixed)]


def _is_one(value: str) -> bool:
    words = value.lower().split()
    return (
        bool(words) and words[-1] in ("one", "1", "single", "no", "solitary", "lone") and words[0] not in ("more", "at")
    )
