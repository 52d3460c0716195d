"""Denials of the targets of free sentences, with the sentence kept whole."""

from __future__ import annotations

import re

from robustness.perturb.language.edit import Edit
from robustness.perturb.language.grammar.asking import ends_with_verb
from robustness.perturb.language.grammar.vocabulary import kind_of
from robustness.perturb.language.holding import ENUMERATED
from robustness.perturb.language.inflection import is_plural
from robustness.perturb.language.ontology.terms import find_term
from robustness.perturb.language.proper import is_proper
from robustness.perturb.prompt.removal import removal
from robustness.perturb.prompt.statement import denied_statement, neither_nor
from robustness.perturb.prompt.trailing import (
    clause_end,
    descriptions_behind,
    measures_behind,
    no_denial_fits,
    rates_behind,
    wholes_behind,
)
from robustness.types import Attribute, Prompt

_BEFORE_A_NAME = frozenset(
    "number size colour shape texture margin signal pathology side direction measure description place"
    " certainty".split()
)
_OF_AN_ORGAN = frozenset({"size", "colour", "pathology", "texture", "signal", "shape", "margin"})
_BETWEEN = re.compile(r"(?:[\s,-]|\band\b)*", re.IGNORECASE)
_ARTICLE = re.compile(r"\b(?:an?|the|any|some|all|this|these|each|every|both)\s+$", re.IGNORECASE)
_COUNT = re.compile(
    r"(?:one|two|three|four|five|six|seven|eight|nine|ten|\d+|both|several|multiple|many|few|single|solitary|numerous"
    r"|every|each|all|a few|bilateral|twin|paired|left and right|right and left|a couple of|a pair of"
    r"|lots of|plenty of|loads of|dozens of|scores of|hundreds of"
    r"|(?:an? )?(?:handful|number|multitude|host|trio|dozen|plethora|abundance) of|countless|innumerable)$"
    r"|^(?:at least|at most|up to|more than|fewer than|about|approximately|exactly)\b|\w+est$",
    re.I,
)
_VERB = (
    r"segment|outline|delineate|mark|label|trace|show(?: me)?|highlight|contour|find|identify|locate|annotate|detect"
    r"|count|seg|extract|point out|draw|map|isolate"
)
_REQUEST = re.compile(
    r"(?:^|(?<=[.;:!?,] ))\s*(?:(?:hi|hello|please|kindly|now)[, ]+)*"
    r"(?:(?:can|could|would|will) you (?:please )?)?(?:i (?:want|need|would like) (?:you to )?)?(?:try to )?"
    rf"(?:(?:{_VERB})(?: and (?:{_VERB}))?|need|want|give me|where is|where are)?\s*$",
    re.IGNORECASE,
)
_UNFIT = re.compile(
    r"\?|\b(?:mask|masks|segmentation|contour|annotation|area|region|cluster|extent|clump|group|number) (?:of|for)\b"
    r"|\bneeds? (?:\w+ing|to be|segmentation)\b|\b(?:should|must) be\b|\bbeing \w+ed\b|\bwhere\b|\bwhat\b"
    r"|\bseparately\b|\b(?:from|to|of) it\b|\byou can\b|\bwith the \w+est\b"
    r"|\b(?:closest|nearest|furthest|farthest)\b"
    r"|\bfor me\b|\boutlined\b|\bsegmented\b|\bas possible\b|\btarget\s*="
    r"|\bin situ\b|\bonly\b|\b(?:except|excluding|apart from)\b",
    re.IGNORECASE,
)
_HEADS = re.compile(
    r"\b(?:larger|smaller|largest|smallest|one|all|each|none) of\b|\bcouple of\b|\bpair of\b", re.IGNORECASE
)
# A part presupposes its whole: "no segment of the lesion" says that there is a lesion. So does a property.
_PART = re.compile(
    r"(?:[\w-]+ )*(?:segment|part|portion|half|third|border|edge|margin|rim|boundary|outline|contour|surface"
    r"|component|aspect|front|tip|core|centre|center|end)s? of\b"
    r"|(?:[\w-]+ )*(?:border|margin|edge|outline|contour|surface|colou?r|shape|texture|appearance|orientation"
    r"|depth|thickness|ratio|index|score|length|diameter|volume|pressure|fraction|angle|width|height|circumference)s?$",
    re.IGNORECASE,
)
_JOINT = re.compile(
    r"(?:\band|\bor|[,;:/(]|\bis|\bare|\bshows?|\bshowing|\breveals?|\bdemonstrates?|\bcontains?|\bwith|\bon|\bhas"
    r"|\bsee)\s*$",
    re.IGNORECASE,
)
_MANY = re.compile(r"\b(?:both|each|every|all)\b|,|\b[a-z]+['\u2019]s\b")
_PICTURE = re.compile(r"\b(?:in|on) (?P<a>an?) $", re.IGNORECASE)


def denial(prompt: Prompt) -> list[Edit] | None:
    """Return the edits that deny every target of a prompt, or None where no plain denial keeps the sentence whole.

    "A cyst lies beside the aorta." gives "No cyst lies ...", "Segment the left kidney." "There is no left kidney.",
    "optic disc and optic cup" "no optic disc and no optic cup". How many there are, how large they are and what a comma
    still says of them is left out: "two nodules of 5 mm, likely metastatic" gives "no nodules".
    """
    text = prompt.text
    targets = [a for a in prompt.attributes if a.kind == "target"]
    if not targets or _UNFIT.search(text) or _HEADS.search(text) or ENUMERATED.search(text):
        return None
    if any(
        _says_how_it_is(prompt, t)
        or _PART.match(t.value)
        or _MANY.search(t.value)
        or ends_with_verb(t.value)
        or text[t.stop : t.stop + 1] == ":"
        for t in targets
    ):
        return None
    if any(no_denial_fits(prompt, t, phrase_start(prompt, t)) for t in targets):
        return None
    if len(targets) == 2 and (pair := neither_nor(prompt, [phrase_start(prompt, t) for t in targets])):
        return pair
    if any(_is_joined_to_more(prompt, t) or _is_in_a_heading(text, t) for t in targets):
        return None
    edits: list[Edit] = []
    if re.search(r"\bboth\b", text[targets[-1].stop :], re.IGNORECASE) and not wholes_behind(
        text, targets[-1].stop, len(text)
    ):
        return None
    for target in targets:
        own = _deny(prompt, target)
        behind = descriptions_behind(prompt, target)
        if own is None or behind is None:
            return None
        end = clause_end(prompt, target.stop)
        own = denied_statement(prompt, target, own) or own
        if re.match(r"\s*[;]", text[end:]) and _describes_behind(prompt, end):
            return None
        for edit in (*own, *behind, *measures_behind(prompt, target), *_loose_ends(text, target.stop, end)):
            if not any(edit.start < e.stop and e.start < edit.stop for e in edits) and edit not in edits:
                edits.append(edit)
    return sorted(edits)


def _loose_ends(text: str, start: int, end: int) -> list[Edit]:
    return [*rates_behind(text, start, end), *wholes_behind(text, start, end)]


def _is_joined_to_more(prompt: Prompt, target: Attribute) -> bool:
    """Tell whether "and" leads from a target to what was not read as another, or a preposition leads to a target."""
    text = prompt.text
    targets = [a for a in prompt.attributes if a.kind == "target"]
    joint = re.match(r"\s*(?:,?\s(?:and|or|plus)|[&+/])\s+(?:both |the |an? )*", text[target.stop :], re.IGNORECASE)
    if joint and not any(phrase_start(prompt, t) == target.stop + joint.end() for t in targets):
        return True
    if joint and target.start == phrase_start(prompt, target) and " " not in target.value:
        behind = next(t for t in targets if phrase_start(prompt, t) == target.stop + joint.end())
        if find_term(target.value) is None and " " in behind.value and joint.group().strip().lower() == "and":
            # "Dot and blot haemorrhages": the first word is an adjective of the second noun.
            return True
    listed = re.match(r",\s+(?=\w)", text[target.stop :]) if len(targets) > 1 else None
    if listed and not any(a.start <= target.stop + listed.end() < a.stop for a in prompt.attributes):
        return True
    before = _ARTICLE.sub("", text[: phrase_start(prompt, target)])
    return (
        target is not targets[0]
        and re.search(r"\b(?:in|of|on|at|to|from|behind|near|within|with)\s*$", before) is not None
    )


def _is_in_a_heading(text: str, target: Attribute) -> bool:
    """Tell whether a heading holds the target ("CT of the neck: node"), or a stretch of an organ is meant."""
    heading = re.match(r"[^:.]*\b(?:CT|MRI|scan|image|view|radiograph|film|ultrasound|photograph)\b[^:.]*: ", text)
    if heading and target.stop < heading.end():
        return True
    return _is_organ(target.value) and re.match(r" from the\b.*\bto\b", text[target.stop :]) is not None


def _describes_behind(prompt: Prompt, end: int) -> bool:
    """Tell whether a semicolon leads to more of the target ("Ascites; loculated"), which a denial would leave over."""
    following = next((a for a in prompt.attributes if a.start >= end), None)
    return following is not None and following.kind != "target" and following.role == "target"


def _deny(prompt: Prompt, target: Attribute) -> list[Edit] | None:
    """Return the edit that puts "no" before a target, and those that take out how many and how large it is."""
    text = prompt.text
    start = phrase_start(prompt, target)
    article = _ARTICLE.search(text, 0, start)
    first = article.start() if article else start
    if re.search(r"\b(?:of|has not|where|[a-z]+['\u2019]s)\s*$", text[:first]):
        # "scan of the uterus" would deny the scan.
        return None
    request = _REQUEST.search(text[:first])
    asks = request is not None and request.group().strip() != ""
    if not asks and _is_organ_with_a_property(prompt, target, start):
        return None
    stop, taken = _overstated(prompt, target, start)
    if asks and request is not None:
        lead = request.start() + (len(request.group()) - len(request.group().lstrip()))
        verb = "are" if is_plural(target.value) else "is"
        there = "There" if text[lead].isupper() else "there"
        return [Edit(lead, stop, text[lead:stop], f"{there} {verb} no "), *taken, *_this_picture(prompt)]
    if request is None and not article and first and not _joins(text[:first]):
        return None
    before = [a for a in prompt.attributes if a.stop <= first]
    if re.search(r",\s*$", text[:first]) and not any(
        a.kind == "target" or a.role in ("scan", "patient") for a in before
    ):
        # "Obstructing stone, left ureter": what stands before the comma was not read.
        return None
    old = text[first:stop]
    opens = first == 0 or text[:first].endswith((". ", "? ", "! "))
    is_capital = (old or (text[first:] if opens else "")[:1])[:1].isupper()
    new = "NO " if text.isupper() else "No " if is_capital else "no "
    if opens and not old and _is_plain_capital(text[first:]):
        return [Edit(first, first + 1, text[first], f"No {text[first].lower()}"), *taken]
    return [Edit(first, stop, old, new), *taken]


def _overstated(prompt: Prompt, target: Attribute, start: int) -> tuple[int, list[Edit]]:
    """Return where the denied phrase goes on behind its number, size and grade, and the edits of those further on."""
    keeps_size = is_plural(target.value) and _is_organ(target.value)
    stop = start
    taken: list[Edit] = []
    for a in prompt.attributes:
        if not start <= a.start < target.start or a.role != "target":
            continue
        counts = a.kind in ("number", "side") and _COUNT.search(a.value)
        sizes = a.kind == "size" and (not keeps_size or _COUNT.search(a.value))
        if not (counts or sizes or a.kind == "measure"):
            continue
        if not prompt.text[stop : a.start].strip(" ,"):
            behind = prompt.text[a.stop : target.start]
            stop = target.start - len(behind.lstrip(" ,"))
        else:
            taken.append(removal(prompt, a))
    return stop, taken


def _is_organ_with_a_property(prompt: Prompt, target: Attribute, start: int) -> bool:
    """Tell whether a denial would be read as one of the property: "no distended gallbladder" leaves a gallbladder."""
    if is_plural(target.value) or not _is_organ(target.value):
        return False
    inside = [a for a in prompt.attributes if start <= a.start < target.start]
    return any(a.kind in _OF_AN_ORGAN for a in inside)


_IS_WELL = frozenset("clear unremarkable intact patent unobstructed".split())


def _says_how_it_is(prompt: Prompt, target: Attribute) -> bool:
    """Tell whether a note says right behind an organ how it is: "kidneys normal" has no denial in "no kidneys"."""
    word = re.match(r" ([a-z-]+)", prompt.text[target.stop :], re.IGNORECASE)
    said = word is not None and (kind_of(word[1].lower()) in ("size", "pathology") or word[1].lower() in _IS_WELL)
    return said and _is_organ(target.value)


def _is_organ(name: str) -> bool:
    """Tell whether a name is of a part of the body, which is there whatever is wrong with it."""
    words = name.lower().split(" ")
    terms = (find_term(" ".join(words[i:])) for i in range(len(words)))
    term = next((t for t in terms if t is not None), None)
    if term is not None and len(words) > 1 and term.name.lower() == name.lower():
        return term.category == "anatomy"
    return words[-1] in _ORGANS or (term is not None and term.category == "anatomy")


_ORGANS = frozenset(
    "vein artery valve duct nerve ligament tendon space layer leaflet wall septum vessel muscle gland lobe bone joint"
    " membrane canal sinus ventricle atrium chamber lumen mucosa cortex".split()
)


def _this_picture(prompt: Prompt) -> list[Edit]:
    """Return the edits that make "in an apical view" "in the apical view": what is denied is denied of one picture."""
    edits = []
    for a in prompt.attributes:
        article = _PICTURE.search(prompt.text[: a.start]) if a.role == "scan" else None
        if article:
            edits.append(Edit(*article.span("a"), article["a"], "the"))
    return edits


def _joins(head: str) -> bool:
    return _JOINT.search(head) is not None


def _is_plain_capital(text: str) -> bool:
    """Tell whether the first word is capital only because it is the first: "Fluid tracking", not "T2 bright"."""
    first = re.split(r"[\s,;:!?(]", text, maxsplit=1)[0]
    return first[:1].isupper() and not is_proper(text)


def phrase_start(prompt: Prompt, target: Attribute) -> int:
    """Return where the noun phrase of a target begins: the modifiers right before it."""
    start = target.start
    for a in reversed(prompt.attributes):
        if (
            # "T1 hypointense mass"
            (a.kind in _BEFORE_A_NAME or (a.kind == "modality" and a.stop + 1 == start < target.start))
            and a.stop <= start
            and not ("," in prompt.text[a.stop : start] and (a.kind == "measure" or a.value.lower().endswith("eye")))
            and a.role != "landmark"
            and _BETWEEN.fullmatch(prompt.text, a.stop, start)
        ):
            start = a.start
    return start
