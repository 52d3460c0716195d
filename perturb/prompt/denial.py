"""Denials of the targets of free sentences, with the sentence kept whole."""

from __future__ import annotations

import re

from robustness.perturb.language.edit import Edit, match_case
from robustness.perturb.language.inflection import is_plural
from robustness.perturb.language.proper import is_proper
from robustness.perturb.prompt.removal import ENUMERATED, has_verb
from robustness.perturb.prompt.trailing import descriptions_behind, no_denial_fits
from robustness.types import Attribute, Prompt

_BEFORE_A_NAME = frozenset(
    {
        "number",
        "size",
        "colour",
        "shape",
        "texture",
        "margin",
        "signal",
        "pathology",
        "side",
        "direction",
        "measure",
        "description",
        "place",
        "certainty",
    }
)
_BETWEEN = re.compile(r"(?:[\s,-]|\band\b)*", re.IGNORECASE)
_ARTICLE = re.compile(r"\b(?:an?|the|any|some|all|this|these|each|every|both)\s+$", re.IGNORECASE)
_COUNT = re.compile(
    r"(?:one|two|three|four|five|six|seven|eight|nine|ten|\d+|both|several|multiple|many|few|single|solitary|numerous"
    r"|a couple of|a pair of)$|^(?:at least|at most|up to|more than|fewer than|about|approximately|exactly)\b"
    r"|\w+est$",
    re.I,
)
_REQUEST = re.compile(
    r"(?:^|(?<=[.;:!?,] ))\s*(?:(?:hi|hello|please|kindly|now)[, ]+)*"
    r"(?:(?:can|could|would|will) you (?:please )?)?(?:i (?:want|need|would like) (?:you to )?)?(?:try to )?"
    r"(?:segment|outline|delineate|mark|label|trace|show(?: me)?|highlight|contour|find|identify|locate|annotate|"
    r"detect|"
    r"seg|extract|point out|draw|need|want|give me|map|isolate|where is|where are)?\s*$",
    re.IGNORECASE,
)
_UNFIT = re.compile(
    r"\?|\b(?:mask|masks|segmentation|contour|annotation|area|region|cluster) (?:of|for)\b"
    r"|\bneeds? (?:\w+ing|to be|segmentation)\b|\b(?:should|must) be\b"
    r"|\bfor me\b|\boutlined\b|\bsegmented\b|\btarget\s*=|\bin situ\b|\bonly\b",
    re.IGNORECASE,
)
_HEADS = re.compile(
    r"\b(?:larger|smaller|largest|smallest|one|all|each|none) of\b|\bcouple of\b|\bpair of\b", re.IGNORECASE
)


def denial(prompt: Prompt, form: str = "no") -> list[Edit] | None:
    """Return the edits that deny every target of a prompt, or None where no plain denial keeps the sentence whole.

    "A cyst lies beside the aorta." gives "No cyst lies ...", "Segment the left kidney." "There is no left kidney.",
    "optic disc and optic cup" "no optic disc and no optic cup". What a comma behind the target still says of it is left
    out: "lesion, likely metastatic" gives "no lesion".
    """
    text = prompt.text
    targets = [a for a in prompt.attributes if a.kind == "target"]
    if not targets or _UNFIT.search(text) or _HEADS.search(text) or ENUMERATED.search(text):
        return None
    edits: list[Edit] = []
    for target in targets:
        edit = _deny(prompt, target, form if len(targets) == 1 else "no")
        if edit is None or no_denial_fits(prompt, target, _phrase_start(prompt, target)):
            return None
        edits += [e for e in descriptions_behind(prompt, target) if e not in edits]
        if not any(edit.start < e.stop and e.start < edit.stop for e in edits):
            edits.append(edit)
    return sorted(edits)


def _deny(prompt: Prompt, target: Attribute, form: str) -> Edit | None:
    text = prompt.text
    start = _phrase_start(prompt, target)
    counted = re.match(r"(?:\w+ ?){1,3}", text[start : target.start])
    number = next((a for a in prompt.attributes if a.kind in ("number", "side", "size") and a.start == start), None)
    stop = start
    if counted and number is not None and _COUNT.search(number.value):
        stop = number.stop + 1
    article = _ARTICLE.search(text, 0, start)
    first = article.start() if article else start
    if re.search(r"\bof\s*$", text[:first]):
        # "scan of the uterus" would deny the scan.
        return None
    request = _REQUEST.search(text[:first])
    asks = request is not None and request.group().strip() != ""
    if asks and request is not None:
        lead = request.start() + (len(request.group()) - len(request.group().lstrip()))
        verb = "are" if is_plural(target.value) else "is"
        there = "There" if lead == 0 or text[lead - 2 : lead - 1] in ".!?" else "there"
        return Edit(lead, stop, text[lead:stop], f"{there} {verb} no ")
    if not asks and request is None and not article and first and not _joins(text[:first]):
        return None
    old = text[first:stop]
    # Inside a sentence only "no" fits: "Ultrasound shows no cyst".
    # "without any kidneys, nephrographic phase" would read as a list of what is lacking.
    opening = form if first == 0 and not has_verb(text) and "," not in text[target.stop :] else "no"
    new = match_case(f"{opening} ", old or (text[first:] if first == 0 else ""))
    if text.isupper():
        new = new.upper()
    if first == 0 and not old and _is_plain_capital(text):
        return Edit(0, 1, text[0], f"{match_case(opening, 'A')} {text[0].lower()}")
    return Edit(first, stop, old, new)


def _joins(head: str) -> bool:
    return (
        re.search(
            r"(?:\band|\bor|[,;:/(]|\bis|\bare|\bshows?|\breveals?|\bdemonstrates?|\bcontains?|\bwith|\bon|\bhas|\bsee)\s*$",
            head,
            re.I,
        )
        is not None
    )


def _is_plain_capital(text: str) -> bool:
    """Tell whether the first word is capital only because it is the first: "Fluid tracking", not "T2 bright"."""
    first = re.split(r"[\s,;:]", text, maxsplit=1)[0]
    return first[:1].isupper() and not is_proper(text)


def _phrase_start(prompt: Prompt, target: Attribute) -> int:
    """Return where the noun phrase of a target begins: the modifiers right before it."""
    start = target.start
    for a in reversed(prompt.attributes):
        if (
            a.kind in _BEFORE_A_NAME
            and a.stop <= start
            and not (a.kind == "measure" and "," in prompt.text[a.stop : start])
            and a.role != "landmark"
            and _BETWEEN.fullmatch(prompt.text, a.stop, start)
        ):
            start = a.start
    return start
