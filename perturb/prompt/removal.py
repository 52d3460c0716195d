"""What goes with a value that is left out of a sentence, and when the sentence cannot stand without it."""

from __future__ import annotations

import re

from robustness.perturb.language.edit import Edit, article_repair
from robustness.perturb.language.grammar.tagger import finite_verbs
from robustness.types import Attribute, Prompt

_IMAGE = r" of (?:the|this|an?) (?:image|picture|photo(?:graph)?|frame|screen|tile|scan|slice|view|radiograph)\b"
_SCAN = r"(?:views?|projection|planes?|scans?|scanning|images?|slices?|sections?|reformats?|reconstructions?)"
_AT = r"(?:in|within|inside|of|at|on|over|throughout|into)"
# kind -> (what stands before the value, what stands after it, what remains), first match wins.
_NOUN = (
    r"(?: (?:textures?|surfaces?|echotexture|consistency|appearance|margins?|borders?|edges?|contours?|outlines?|signal"
    r"|intensity|density|attenuation|echogenicity|enhancement|colou?r|shape|form|configuration)\b)?"
)
_LOOK = (
    (r",? with (?:an? |the )?", _NOUN, ""),
    (r",\s*", rf"{_NOUN}(?=\s*(?:[.,;:?]|$))", ""),
    (r",\s*", r" in (?:texture|outline|colou?r|shape|signal|appearance)(?=\s*(?:[.,;:?]|$))", ""),
    (r"", r",? ", ""),
)
_CARRIERS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "location": (
        (r",? (?:at|near) (?:about |the )?", r"(?: position)?(?=\s*(?:[.,;]|$))", ""),
        (r",? (?:and )?(?:located|situated|found) (?:in|at|on) (?:the )?", _IMAGE, ""),
        (r",? (?:and )?(?:located|situated|found) (?:in|at|on) (?:the )?", r" of(?= the\b)", " in"),
        (r",? (?:and )?(?:located|situated|found) (?:in|at|on) (?:the )?", r"(?=\s*(?:[.,;]|$))", ""),
        (
            r",? (?:scattered |spread )?(?:in|at|on|over|within|towards?|near|across|along|from) the"
            r" (?:far |very |extreme )?",
            rf"(?: (?:part|corner|side|region|area|quadrant|half|third|edge|border|margin))?{_IMAGE}",
            "",
        ),
        (r" nearest to the ", r" corner\b", ""),
        (r" at the ", r"(?=\s|[.,;]|$)", ""),
    ),
    "shape": (
        (r",? (?:that|which) (?:is|are) ", r"(?: in (?:outline|shape|form|contour))?(?=\s*(?:[.,;:]|$))", ""),
        (r",? with (?:an? |the )?", r" (?:shape|form|outline|contour|configuration)\b", ""),
        (r",\s*", r" in (?:shape|outline|form|contour)(?=\s*(?:[.,;:?]|$))", ""),
        (r" of shape (?:an? )?", r"(?:-shaped| shaped?\b)?", ""),
        (r" of (?:an? )?", r" shape\b", ""),
        (r"(?:it is |it's )?(?:\ban? )?", r"(?:-shaped| shaped?\b)? ", ""),
    ),
    "view": (
        (r",? (?:in|on) (?:an? |the )?", r" (?:view|projection|plane|scan|images?)\b(?=\s*(?:[.,;:]|$))", ""),
        (r",\s*", rf"(?: {_SCAN})?(?=\s*(?:[.,;:]|$))", ""),
        (r",? on ", rf" {_SCAN}(?=\s*(?:[.,;:]|$))", ""),
        (r"^", rf" {_SCAN}\s*[,:]\s*", ""),
        (r"\bin the ", r" view of ", "in "),
        (r"\bof the ", r" view of ", "of "),
        (r" in (?:the )?", r" view\b", ""),
        (r"", r" (?:view )?", ""),
    ),
    "phase": (
        (r",? (?:in|during|at|on) (?:the )?", r"(?=\s*(?:[.,;:]|$))", ""),
        (r" at (?:the )?end of (?:the )?", r"(?: cycle)?\b", ""),
        (r"", r" ", ""),
    ),
    "age": ((r"", r" ", ""),),
    "sex": (
        (r" of an? ", r"(?: patient| subject)?(?=\s*(?:with\b|[.,;]|$))", ""),
        (r" ", r"(?= with\b|\s*[.,;]|\s*$)", ""),
    ),
    "quality": ((r",? with ", r"(?: image)? quality\b", ""),),
    "pathology": ((r" ", r" (?:is|are) present\.?", ""), (r"", r" ", "")),
    "number": (
        (r",? in ", r" (?:(?:separate|distinct|single|disjoint) )?(?:regions?|parts?|pieces?)\b", ""),
        (r"", r" ", ""),
    ),
    "description": ((r", ", r",(?= (?:is|are|was|were|has|have|lies?|sits?|can)\b)", ""), (r",? ", r"", "")),
    "place": (
        (rf",? (?:is |are )?(?:located |situated |lying )(?:just )?{_AT} (?:the |an? )?", r"", ""),
        (rf",? (?:just )?{_AT} (?:the |an? )?", r"", ""),
        (r"^", r"\s*[:,]\s*", ""),
        (r",\s*(?:the )?", r"", ""),
    ),
    "relation": (
        (
            r",? (?:(?:which|that) )?"
            r"(?:(?:is |are )(?:located |situated |lying )|(?:lies |lie |sits |sit )|(?:is |are )(?!\w+ ))?"
            r"(?:tracking )?(?:just )?",
            r"",
            "",
        ),
    ),
    "modality": (
        (
            r",? (?:on|in|at) (?:this |the |an? |these )?",
            r"(?: (?:scan|image|slice|section)s?\b)?(?=\s*(?:[.,;:?]|$))",
            "",
        ),
        (r",\s*", r"(?=\s*(?:[.,;:?]|$))", ""),
    ),
    "measure": (
        (r",? (?:measuring|of|with a diameter of|at|on) (?:about |up to )?", r"", ""),
        (r",\s*each (?:measuring )?(?:about |approximately |roughly |around |up to )?", r"(?=\s*(?:[.,;:?]|$))", ""),
        (r",\s*", r"(?: in (?:diameter|size|length))?(?=\s*(?:[.,;:?]|$))", ""),
        (r"", r"(?: in (?:diameter|size|length))? ", ""),
    ),
    "margin": _LOOK,
    "signal": _LOOK,
    "texture": _LOOK,
    "side": (
        (r",? (?:on|in|at) (?:the )?", r"(?:[- ]side)?(?=\s*(?:[.,;:?]|$| of\b))", ""),
        (r"^", r":?\s+", ""),
        (r"", r" ", ""),
    ),
    "certainty": ((r"", r" ", ""),),
}
BROKEN = re.compile(
    r"\b(?:in|of|at|on|the|an?|with|to|by|and|or|near|between|within|from|for|this|inside|is|are|was|which|that|has)"
    r"\s*(?:[.,;:?!)]|$)|^\s*[,;:.)]|\b(\w+) \1\b|,\s*[.,;:]|\(\s*\)|\b(?:an?|the) (?:an?|the|is|are|in|of|with|and)\b"
    r"|^(?:of|and|with|is|are|has|shows?|demonstrates?|reveals?|by|to|in|on|at|within|can|was) "
    r"|\b(?:on|in|at) (?:of|in|with|on)\b"
    r"|\bis (?:of|in the\s*$)"
    r"|\b(?:the|an?|this|these) (?:shows?|demonstrates?|reveals?|depicts?|confirmed|of|very of)\b"
    r"|\b(?:the|an?|this|these) (?:has|have|was|can|sits|lies)\b"
    r"|\b(?:from|by|very|just|about|at) (?:to|of|in)\b"
    r"|\b(?:lying|projecting|situated|located|sitting|extending|tracking|arising|wedged|sits?|lies?)\s*(?:[.,;:?!]|$)"
    r"|,\s*\w+ly\s*(?:[.;]|$)|['\u2019]s\s*(?:[.,;:?!]|$)|['\u2019]s (?:that|which|is|are)\b"
    r"|\bon (?:axial|coronal|sagittal|en face)\s*(?:[.,;:]|$)|\bjust\s*$",
    re.IGNORECASE,
)
_WORD_ONLY = ((r"", r",? ", ""), (r" ", r"", ""))


def removal(prompt: Prompt, old: Attribute) -> Edit:
    """Return the edit that takes `old` and the words that only carry it out of a prompt."""
    text = prompt.text
    for before, after, rest in (*_CARRIERS.get(old.kind, ()), *_WORD_ONLY):
        left = re.search(rf"(?:{before})$", text[: old.start], re.IGNORECASE)
        right = re.match(after, text[old.stop :], re.IGNORECASE)
        if left is None or right is None:
            continue
        start, stop = left.start(), old.stop + right.end()
        if re.match(r"\s*(?:[.;:?!)]|$)", text[stop:]):
            # Nothing follows: the comma before goes too.
            start = len(text[:start].rstrip(" ,")) if text[:start].rstrip(" ").endswith(",") else start
        return _without_comma(prompt, Edit(start, stop, text[start:stop], rest))
    return Edit(old.start, old.stop, old.value, "")


def _without_comma(prompt: Prompt, edit: Edit) -> Edit:
    """Take the comma or "and" too that parted the value from the one before it: "calcified, mass"."""
    text = prompt.text
    following = text[edit.stop :]
    another = re.match(r" and (?=\w)", following)
    if another and any(a.kind == "relation" and a.start == edit.stop + another.end() for a in prompt.attributes):
        return Edit(edit.start, edit.stop + another.end(), text[edit.start : edit.stop + another.end()], " ")
    comma = re.search(r"(?:,| and)\s*$", text[: edit.start])
    if comma is None or edit.new:
        return edit
    is_last = any(a.kind == "target" and a.start == edit.stop for a in prompt.attributes)
    listed = any(
        a.stop == comma.start() and a.kind != "target" and not (a.kind == "measure" and a.value[0].isalpha())
        for a in prompt.attributes
    )
    if listed and (is_last or re.match(r"\s*and\b", following)):
        gap = "" if following[:1] == " " else " "
        return Edit(comma.start(), edit.stop, text[comma.start() : edit.stop], gap)
    return edit


def what_holds(prompt: Prompt, old: Attribute) -> str:
    """Return why a value cannot be left out, by what stands around it, or ""."""
    before, after = prompt.text[: old.start], prompt.text[old.stop :]
    neighbours = [a for a in prompt.attributes if a is not old]
    follows = {a.kind for a in neighbours if 0 <= a.start - old.stop <= 1}
    precedes = {a.kind for a in neighbours if 0 <= old.start - a.stop <= 1}
    why = ""
    if old.kind == "certainty" and (_PREDICATE.match(old.value) or follows & {"pathology", "negation"}):
        why = "the sentence hangs on it"
    elif old.kind == "pathology" and "certainty" in precedes:
        why = "the words of certainty before it speak of it"
    elif old.kind == "sex" and "age" in precedes and not before.rstrip().lower().endswith("old"):
        why = "the age before it needs a noun"
    elif old.kind == "modality" and precedes & {"view", "phase", "quality"} and not _PICTURE_NEXT.match(after):
        why = "the words before it need a noun"
    elif old.kind in ("direction", "side", "place") and _PARTITIVE.match(after):
        why = "the part of the body that follows is named by it"
    elif old.kind == "age" and "sex" in follows and not re.search(r"\b(?:an?|the|this|of)\s*$", before, re.IGNORECASE):
        why = "the noun behind it would stand alone"
    elif old.kind == "measure" and (_QUANTITY.search(before) or _COMPARATIVE.search(before)):
        why = "the words before it tell what is measured"
    elif old.kind == "size" and re.search(r"\bthe\s*$", before, re.IGNORECASE) and "measure" in follows:
        why = "it names the one of two that is measured"
    elif old.kind == "relation" and follows & {"place", "location"} and not after.lstrip().startswith(","):
        why = "what follows tells where it leads"
    elif old.kind == "location" and _LEADING.search(before):
        why = "the verb before it leads there"
    elif old.kind in ("location", "place", "side") and ENUMERATED.search(prompt.text):
        why = "the prompt tells where each of several lies"
    elif old.kind == "number" and _COUNTED_AGAIN.search(after):
        why = "what follows still counts"
    elif old.kind == "direction" and _DEPTH.fullmatch(old.value) and _INJURY.search(prompt.text):
        why = "it tells how deep the injury goes, not where it lies"
    elif old.kind == "location" and sum(a.kind == "location" and a.role == old.role for a in prompt.attributes) > 1:
        why = "the prompt tells the location more than once"
    return f"{old.value!r} cannot be left out: {why}" if why else ""


_PREDICATE = re.compile(r"(?:is|are|was|may|might|could|can|cannot|suspected to|appears|seems)\b", re.IGNORECASE)
_PICTURE_NEXT = re.compile(r"\s*(?:images?|scans?|slices?|sections?|views?|pictures?)\b", re.IGNORECASE)
_QUANTITY = re.compile(
    r"\b(?:fraction|thickness|angle|diameter|volume|length|width|height|depth|rate|pressure|score|index|dose|value|ratio)"
    r"(?: of| =|:)?\s*$",
    re.IGNORECASE,
)
_PARTITIVE = re.compile(
    r" (?:quadrants?|aspects?|thirds?|portions?|parts?|hal(?:f|ves)|zones?|segments?|poles?|ends?|sides?"
    r"|divisions?|surfaces?|regions?|lobes?|compartments?|columns?)\b",
    re.IGNORECASE,
)
_COMPARATIVE = re.compile(r"\bthe \w+(?:er|est)\s*$", re.IGNORECASE)
_LEADING = re.compile(r"\w{3,}ing (?:from|to|into|towards?|at|in|on|over) (?:the )?$", re.IGNORECASE)
# "one at the top and one in the middle": each of several is told by itself.
ENUMERATED = re.compile(r"\bone\b.+\b(?:one|two|three|the other|another)\b", re.IGNORECASE)
_COUNTED_AGAIN = re.compile(
    ENUMERATED.pattern + r"|\bthe (?:larger|smaller|largest|smallest|bigger|biggest|other|first|second|former|latter)\b"
    r"|\bboth\b|\brespectively\b",
    re.IGNORECASE,
)
_DEPTH = re.compile(r"superficial|deep", re.IGNORECASE)
_INJURY = re.compile(
    r"\b(?:burn|wound|ulcer|laceration|abrasion|cut|erosion|bite|incision|scald|tear)s?\b|\bulceration\b", re.IGNORECASE
)


def mended(text: str, edit: Edit) -> tuple[list[Edit], list[Edit]]:
    """Return the removal and its repairs: a capital at the start, the article before the next word, the full stop."""
    after = text[edit.stop :]
    repairs: list[Edit] = []
    if edit.start == 0 and text[:1].isupper() and after[:1].islower() and not edit.new:
        repairs.append(Edit(edit.stop, edit.stop + 1, after[0], after[0].upper()))
    else:
        following = (edit.new + after).strip(" ").split(" ", 1)[0]
        article = article_repair(text, edit.start, edit.old, following)
        repairs += [article] if article else []
    left = text[: edit.start] + edit.new + after
    if left.endswith(".") and text[edit.stop :] == "." and has_verb(edit.old) and not has_verb(left):
        # What was a sentence is a noun phrase now.
        edit = edit._replace(stop=edit.stop + 1, old=edit.old + ".")
    return [edit], repairs


_VERBS = frozenset(
    "is are was were lie lies sit sits has have can shows show segment outline delineate mark trace label find reveals"
    " demonstrates depicts contains need needs".split()
)


def has_verb(text: str) -> bool:
    """Tell whether a finite verb or a request stands in a text, so that it is more than a noun phrase."""
    words = re.findall(r"[a-z]+", text.lower())
    return any(word in _VERBS or word in finite_verbs() for word in words)
