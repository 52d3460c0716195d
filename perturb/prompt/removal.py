"""What goes with a value that is left out of a sentence, and when the sentence cannot stand without it."""

from __future__ import annotations

import re

from robustness.perturb.language.edit import Edit, article_repair
from robustness.perturb.language.grammar.asking import asks, starts_with_verb
from robustness.perturb.language.grammar.verbs import finite_verbs
from robustness.perturb.language.ontology.terms import find_term
from robustness.perturb.prompt.base import stands_behind_target
from robustness.types import Attribute, Prompt

_FRAME_NOUN = r"(?:image|picture|frame|photo\w*|screen|film|slice|scan|sector|tile|view|field)\b"
_FRAME_PART = r"(?:part|corner|side|region|area|quadrant|half|third|edge|border|margin)"
_AT_A_PLACE = r"(?:(?:at|on|in|near|along|towards?|close to) )"
_IMAGE = r" of (?:the|this|an?) (?:image|picture|photo(?:graph)?|frame|screen|tile|scan|slice|view|field|radiograph)\b"
_SCAN = r"(?:views?|projection|planes?|scans?|scanning|images?|slices?|sections?|windows?|reformats?|reconstructions?)"
_AT = r"(?:in|within|inside|of|at|on|over|throughout|into)(?: all(?: of)?| both| either| each)?"
_SOME = r"(?:about|approximately|approx\.|roughly|around|circa|almost|nearly|up to|at least|over) "
_ABOUT = rf"(?:{_SOME})?"
_ACROSS = (
    r"(?:,? in (?:its |the )?(?:maximum |greatest |largest |longest )?"
    r"(?:diameter|size|length|width|thickness|dimension)| across| long| wide| thick)?"
)
# kind -> (what stands before the value, what stands after it, what remains), first match wins.
_NOUN = (
    r"(?: (?:textures?|surfaces?|echotexture|consistency|appearance|margins?|borders?|edges?|contours?|outlines?|signal"
    r"|intensity|density|attenuation|echogenicity|enhancement|colou?r|shape|form|configuration)\b)?"
)
_LOOK = (
    (r"(?<=\bwith )(?:an? |the )?", rf"{_NOUN} and (?!(?:in|on|at|of|no|not|located|\w+ing|\w+ed)\b)", ""),
    (r" and (?:an? )?", rf"{_NOUN}(?=\s*(?:[.,;:?]|$))", ""),
    (r",? (?:with|w/?) (?:an? |the )?", _NOUN, ""),
    (r",\s*", rf"{_NOUN}(?=\s*(?:[.,;:?]|$))", ""),
    (r",\s*", r" in (?:texture|outline|colou?r|shape|signal|appearance)(?=\s*(?:[.,;:?]|$))", ""),
    (r"", r",? ", ""),
)
_CARRIERS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "location": (
        (r",? (?:at|near) (?:about |around |approximately |roughly |the )?", r"(?: position)?(?=\s*(?:[.,;]|$))", ""),
        (r",? (?:and )?(?:located|situated|found) (?:in|at|on) (?:the )?", _IMAGE, ""),
        (r",? (?:and )?(?:located|situated|found) (?:in|at|on) (?:the )?", r" of(?= the\b)", " in"),
        (r",? (?:and )?(?:located|situated|found) (?:in|at|on) (?:the )?", r"(?=\s*(?:[.,;]|$))", ""),
        (
            r",? (?:(?:scattered|spread|arranged|distributed|lined up) )?"
            r"(?:in|at|on|over|within|towards?|near|across|along|from) the (?:far |very |extreme )?",
            rf"(?: {_FRAME_PART})?{_IMAGE}",
            "",
        ),
        (r",?(?: far| very| extreme| slightly| just) ", r"(?=\s*(?:[.,;]|$))", ""),
        (rf",? {_AT_A_PLACE}the ", rf"(?: {_FRAME_PART})? of(?= (?:the|this|an?) [\w-]+ {_FRAME_NOUN})", " in"),
        (rf",\s*(?:{_AT_A_PLACE})?(?:the )?", rf"(?: {_FRAME_PART})?(?:{_IMAGE})?(?=\s*(?:[.,;]|$))", ""),
        (rf" {_AT_A_PLACE}the (?:far |very |extreme )?", rf"(?: {_FRAME_PART})?(?=\s*(?:[.,;]|$))", ""),
        (r" nearest to the ", r" corner\b", ""),
        (r" at the ", r"(?=\s|[.,;]|$)", ""),
    ),
    "shape": (
        (r",\s*", r" (?:shape|form|outline|contour|configuration|surface|borders?|margins?)(?=\s*(?:[.,;:?]|$))", ""),
        (r",? (?:that|which) (?:is|are) ", r"(?: in (?:outline|shape|form|contour))?(?=\s*(?:[.,;:]|$))", ""),
        (r",? (?:with|w/?) (?:an? |the )?", r" (?:shape|form|outline|contour|configuration|surface)\b", ""),
        (r",\s*", r" in (?:shape|outline|form|contour)(?=\s*(?:[.,;:?]|$))", ""),
        (r" of shape (?:an? )?", r"(?:-shaped| shaped?\b)?", ""),
        (r" of (?:an? )?", r" shape\b", ""),
        (r"(?:it is |it's )?(?:\ban? )?", r"(?:-shaped| shaped?\b)? ", ""),
    ),
    "view": (
        (r"^(?:on|in) (?:the )?", rf" {_SCAN}, ", ""),
        (
            r",? (?:in|on) (?:an? |the )?",
            r" (?:view|window|projection|plane|scan|images?)\b(?=\s*(?:[.,;:]|$)| at\b)",
            "",
        ),
        (r",\s*", rf"(?: {_SCAN})?(?=\s*(?:[.,;:]|$))", ""),
        (r",? on ", rf" {_SCAN}(?=\s*(?:[.,;:]|$))", ""),
        (r"^", rf" {_SCAN}\s*(?:[,:]\s*|\.\s+(?=\w))", ""),
        (r"\bin the ", r" view of ", "in "),
        (r"\bof the ", r" view of ", "of "),
        (r" in (?:the )?", r" view\b", ""),
        (r"", r" (?:view )?", ""),
    ),
    "phase": (
        (r",\s*", r" (?:frame|phase|image)(?=\s*(?:[.,;:]|$))", ""),
        (r",? (?:in|during|at|on) (?:the )?", r"(?=\s*(?:[.,;:]|$))", ""),
        (r" at (?:the )?end of (?:the )?", r"(?: cycle)?\b", ""),
        (r"", r" ", ""),
    ),
    "age": ((r"", r" ", ""),),
    "sex": (
        (r" of an? ", r"(?: patient| subject)?(?=\s*(?:with\b|[.,;]|$))", ""),
        (r" ", r"(?= with\b|\s*[.,;]|\s*$)", ""),
    ),
    "quality": (
        (r",? with ", r"(?: image)? quality\b", ""),
        (r",\s*", r"(?: image)? quality(?=\s*(?:[.,;:]|$))", ""),
    ),
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
            r"(?: (?:it|them)\b)?",
            "",
        ),
    ),
    "modality": (
        (r"^(?:on|in) (?:this |the |an? )?", r"(?: (?:scan|image|slice|section)s?)?,? (?=there\b)", ""),
        (
            r",? (?:on|in|at) (?:this |the |an? |these )?",
            r"(?: (?:scan|image|slice|section)s?\b)?(?=\s*(?:[.,;:?]|$))",
            "",
        ),
        (r",\s*", r"(?=\s*(?:[.,;:?]|$))", ""),
    ),
    "measure": (
        (rf",? (?:(?:which|that) measures?|measuring|of|with a diameter of|at|on) {_ABOUT}", _ACROSS, ""),
        (rf",\s*each (?:measuring )?{_ABOUT}", rf"{_ACROSS}(?=\s*(?:[.,;:?]|$))", ""),
        (rf",\s*{_ABOUT}", rf"{_ACROSS}(?=\s*(?:[.,;:?]|$))", ""),
        (rf" {_SOME}", _ACROSS, ""),
        (rf"{_ABOUT}", rf"{_ACROSS} ", ""),
    ),
    "margin": _LOOK,
    "signal": _LOOK,
    "texture": _LOOK,
    "side": (
        (r",? (?:on|in|at) (?:the )?", r"(?:[- ]side)?(?=\s*(?:[.,;:?(]|$| of\b))", ""),
        (r"^", r":?\s+", ""),
        (r" ", r"(?=,)", ""),
        (r"", r" ", ""),
    ),
    "certainty": ((r"", r" ", ""),),
}
BROKEN = re.compile(
    r"\b(?:in|of|at|on|the|an?|with|to|by|and|or|near|between|within|from|for|this|its|their|inside|is|are|was|which|that"
    r"|has)\s*(?:[.,;:?!)]|$)|^\s*[,;:.)]|\b(\w+) \1\b|[,;]\s*[.,;:]|\(\s*\)"
    r"|\b(?:the|an?|on) \(|\bthe (?:upper|lower|inner|outer|mid|middle) of\b"
    r"|\b(?:an?|the|this) (?:an?|the|is|are|in|of|with|and)\b"
    r"|^(?:of|and|with|is|are|has|shows?|demonstrates?|reveals?|by|to|in|on|at|within|can|was) "
    r"|\b(?:on|in|at) (?:of|in|with|on)\b"
    r"|\bis (?:of|in the\s*$)|\bthe (?:(?:more|less|greater|worse) )?than\b"
    r"|\b(?:the|an?|this|these) (?:shows?|demonstrates?|reveals?|depicts?|confirmed|of|very of)\b"
    r"|\b(?:the|an?|this|these) (?:has|have|was|can|sits|lies)\b"
    r"|\b(?:from|by|very|just|about|at) (?:to|of|in)\b"
    r"|\b(?:lying|projecting|situated|located|sitting|extending|tracking|arising|wedged|sits?|lies?)\s*(?:[.,;:?!]|$)"
    r"|,\s*\w+ly\s*(?:[.;]|$)|['\u2019]s\s*(?:[.,;:?!]|$)|['\u2019]s (?:that|which|is|are)\b"
    r"|\bon (?:axial|coronal|sagittal|en face)\s*(?:[.,;:]|$)|\bjust\s*$"
    r"|^(?:showing|demonstrating|depicting|revealing|displaying|containing|located|situated) "
    r"|\b(?:positioned|scattered|distributed|placed|attached|lodged|embedded|covered|filled|lined|surrounded|associated"
    r"|infected|accompanied|complicated|compatible|consistent|secondary|due|adjacent|close|next|prior|related|occupying"
    r"|involving|measuring|containing|showing|affecting|compared)\s*(?:[.,;:?!]|$)"
    r"|\b(?:about|approximately|roughly|around|than)\s+(?:is|are|lies|lie|in|of|at|on|seen)\b|\bthan\s*(?:[.,;:?!]|$)"
    r"|\b(?:is|are) in (?:size|shape|colou?r|outline)\b|\bin all\s*(?:[.,;:?!]|$)|(?:^|, )to \w"
    r"|\b(?:the|an?) (?:at|on|from|to|for|near|within|between|above|below)\b"
    r"|\b(?:lies?|lying|is|are|sits?) in the (?:image|picture|frame|photo)\s*[.]?$"
    rf"|(?:\bthe|,) (?:half|part|side|third|corner|quadrant)(?: of the {_FRAME_NOUN}|\s*[.]?$)|\bon images\b"
    r"|[\u201c\"\u2018']\s*[\u201d\"\u2019']|[,\s]-\w|=\s*(?:[,;]|$)|\w+=\w+=|[;_]\s*$|\w_\s|--\s*(?:--|[.]?$)"
    r"|^\w ?=|^\d[\w. ]*:"
    r"|(?<!is )(?<!are )(?<!be )\b(?:seen|noted|found|identified|detected|shown)\s*[.]?$|\b(?:is|are) and\b"
    r"|\b(?:causes|involves|contains|displaces|abuts|surrounds|covers|compresses|occupies|invades|overlies|infiltrates)"
    r"\s*[.]?$|\bthis-|, the one\s*[.]?$|(?:^|, )(?:image )?quality\b|\(\s*(?:$|[,;])|\b(?:on|in|at) there\b"
    r"|^(?:is|are) (?:the |this |there )?\w+\?|,\s*\(|,\s*tip\s*[.]?$|[:;,]\s*[+&]|[:;,]\s*of\b"
    r"|\b(?:esp\.?|especially|particularly|mainly)\s*(?:[,;:]|$)|\bsome\s*(?:[.,;:]|$)"
    r"|\b(?:runs?|inserts|extends|projects|enters|hangs|floats|opens|arises|resides|occupies)\s*[.]?$",
    re.IGNORECASE,
)


def is_sound(before: str, after: str) -> bool:
    """Tell whether a changed text holds no break, no open parenthesis and no doubled word that its source had not."""
    if after.count("(") != after.count(")") and before.count("(") == before.count(")"):
        return False
    breaks = {m.group().lower() for m in BROKEN.finditer(after)}
    return not breaks or not breaks - {m.group().lower() for m in BROKEN.finditer(before)}


_WORD_ONLY = ((r"", r",? ", ""), (r" ", r"", ""))
_GOES_ON = re.compile(r", (?:with|in|at|on|of|from)\b", re.IGNORECASE)


def removal(prompt: Prompt, old: Attribute) -> Edit:
    """Return the edit that takes `old` and the words that only carry it out of a prompt."""
    text = prompt.text
    for before, after, rest in (*_CARRIERS.get(old.kind, ()), *_WORD_ONLY):
        left = re.search(rf"(?:{before})$", text[: old.start], re.IGNORECASE)
        right = re.match(after, text[old.stop :], re.IGNORECASE)
        if left is None or right is None:
            continue
        start, stop = left.start(), old.stop + right.end()
        if right.group() == ", " and _is_said_of_a_name(prompt, start, old.kind):
            # "Both adrenals thickened, left worse", "kidneys normal, no stones": the comma is the clause's.
            return Edit(start - 1, old.stop, text[start - 1 : old.stop], "")
        if re.match(r"\s*(?:[.;:?!)]|$)", text[stop:]):
            # Nothing follows: the comma before goes too.
            start = len(text[:start].rstrip(" ,")) if text[:start].rstrip(" ").endswith(",") else start
        elif text[start:stop].startswith(",") and _GOES_ON.match(text, stop):
            # "A wound, 4 cm by 3 cm, with erythema": both commas were the measure's.
            stop += 1
        elif text[start] == "," and old.kind == "place" and re.match(r" (?:at|with|in|on)\b", text[stop:]):
            start += 1  # "wider than tall, in the breast at 7 o'clock"
        elif text[start] == "," == text[stop : stop + 1] and starts_with_verb(text[stop + 1 :]):
            stop += 1
        start = _with_its_distance(prompt, old, start)
        if re.match(r"\s*(?:[.;:?!)]|$)", text[stop:]) and text[:start].endswith(","):
            start = len(text[:start].rstrip(" ,"))
        return _without_edge_blanks(text, _without_comma(prompt, Edit(start, stop, text[start:stop], rest)))
    return Edit(old.start, old.stop, old.value, "")


def _is_said_of_a_name(prompt: Prompt, start: int, kind: str) -> bool:
    """Tell whether a name stands right before a value, which says something of it: "both kidneys normal"."""
    if kind == "measure" and any(a.kind == "place" and a.stop == start - 1 for a in prompt.attributes):
        return True  # "collection at the PJ 4 cm, gas locules"
    word = re.search(r"([\w-]+) $", prompt.text[:start])
    return (word is not None and find_term(word[1]) is not None) or stands_behind_target(prompt, start)


def _without_edge_blanks(text: str, edit: Edit) -> Edit:
    """Return the removal with the blanks that the source doubles, where it would leave one at an edge of the prompt."""
    start, stop = edit.start, edit.stop
    if edit.new:
        return edit
    if not text[:start].strip():
        stop = len(text) - len(text[stop:].lstrip(" "))
    elif re.match(r"[.;:?!)]|\s*$", text[stop:]):
        start = len(text[:start].rstrip(" "))
        stop += text[start - 1 : start] == text[stop : stop + 1] == "."  # "Nodule. Right upper lobe."
    return Edit(start, stop, text[start:stop], "")


def _with_its_distance(prompt: Prompt, old: Attribute, start: int) -> int:
    """Return where a relation begins with the distance that it gives: " 4 cm above the carina"."""
    if old.kind != "relation":
        return start
    distance = next((a for a in prompt.attributes if a.kind == "measure" and a.stop == start), None)
    about = re.search(rf" {_ABOUT}$", prompt.text[: distance.start]) if distance else None
    return about.start() if about else start


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
    listed |= is_last and re.search(r"\w-\w+,\s*$", text[: edit.start]) is not None
    if listed and (is_last or re.match(r"\s*and\b", following)):
        gap = "" if following[:1] == " " else " "
        return Edit(comma.start(), edit.stop, text[comma.start() : edit.stop], gap)
    return edit


def mended(text: str, edit: Edit) -> tuple[list[Edit], list[Edit]]:
    """Return the removal and its repairs: a capital at the start, the article before the next word, the full stop."""
    after = text[edit.stop :]
    repairs: list[Edit] = []
    opens = edit.start == 0 or text[: edit.start].endswith((". ", "? ", "! "))
    if opens and text[edit.start : edit.start + 1].isupper() and after[:1].islower() and not edit.new:
        repairs.append(Edit(edit.stop, edit.stop + 1, after[0], after[0].upper()))
    else:
        following = (edit.new + after).strip(" ").split(" ", 1)[0]
        article = article_repair(text, edit.start, edit.old, following)
        repairs += [article] if article else []
    left = text[: edit.start] + edit.new + after
    if left.endswith(".") and text[edit.stop :] == "." and has_verb(edit.old) and not (has_verb(left) or asks(left)):
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
