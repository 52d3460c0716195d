"""Denials of whole statements: what "The tear extends to the surface." and "A tube and a line are seen." become."""

from __future__ import annotations

import re
from collections.abc import Sequence

from robustness.perturb.language.edit import Edit
from robustness.perturb.language.grammar.asking import starts_with_verb
from robustness.perturb.language.grammar.verbs import finite_verbs
from robustness.perturb.language.inflection import is_plural
from robustness.perturb.language.proper import is_proper
from robustness.perturb.prompt.removal import removal
from robustness.perturb.prompt.trailing import clause_end
from robustness.types import Attribute, Prompt

_SEEN = (
    r"(?:seen|visible|noted|present|identified|demonstrated|visuali[sz]ed|shown|found|located|situated|apparent|evident"
    r"|detected|observed|depicted|recogni[sz]ed)"
)
_EXISTS = re.compile(
    rf"\s*(?:(?:is|are|was|were)(?: also)?(?: \w+ly)?"
    rf" (?:{_SEEN}|(?:in|at|on|within|near|beside|adjacent|close|between)\b)"
    rf"|can be (?:\w+ly )?{_SEEN}|lies?\b|sits?\b|lay\b)",
    re.IGNORECASE,
)
_THE = re.compile(r"(?:the|this|that|these|those)\s", re.IGNORECASE)
_AND = re.compile(r"\s+and\s+(?:an? |the )?", re.IGNORECASE)
_VERB_BEHIND = re.compile(r"\s*(?P<be>is|are|was|were)\b(?= (?:also )?(?:\w+ly )?" + _SEEN + r"\b)", re.IGNORECASE)
_AGREES = {"is": ("is", "are"), "are": ("is", "are"), "was": ("was", "were"), "were": ("was", "were")}
_SECOND_VERB = re.compile(r"\band (?P<verb>[a-z]+)\b", re.IGNORECASE)


def denied_statement(prompt: Prompt, target: Attribute, own: Sequence[Edit]) -> list[Edit] | None:
    """Return the edits of a statement that says what the target does, as "There is no TARGET", or None for the rest.

    "No tear extends to the surface" would leave a tear that does not; "No cyst is seen in the liver" leaves none.

    Args:
        prompt: the prompt.
        target: its target.
        own: the edits that put "no" before the target, the first at the start of the text for a subject.
    """
    text = prompt.text
    if not own or own[0].start != 0 or text.isupper() or len([a for a in prompt.attributes if a.kind == "target"]) > 1:
        return None
    end = clause_end(prompt, target.stop)
    verb = _verb_at(text, target.stop, end)
    if verb is None or text[end : end + 1] == "?":
        return None
    exists = _EXISTS.match(text, verb)
    second = any(m["verb"].lower() in finite_verbs() for m in _SECOND_VERB.finditer(text, verb, end))
    if (exists or not _THE.match(text)) and not second:
        return None
    be = "are" if is_plural(target.value) else "is"
    head = re.sub(r"^no\s*", "", own[0].new, flags=re.IGNORECASE)
    there = "There" if text[0].isupper() else "there"
    opening = Edit(own[0].start, own[0].stop, own[0].old, f"{there} {be} no {head}")
    return [opening, *own[1:], Edit(verb, end, text[verb:end], "")]


def _verb_at(text: str, start: int, end: int) -> int | None:
    """Return where the predicate begins, with the blank before it, or None."""
    for m in re.finditer(r"\s+(?=[a-z])", text[start:end], re.IGNORECASE):
        if re.search(r"\b(?:that|which|who)$", text[: start + m.start()], re.IGNORECASE):
            # "on the left, that is the patient's right"
            return None
        if starts_with_verb(text[start + m.end() : end]):
            at = start + m.start()
            return at - (text[at - 1] == ",")
    return None


def neither_nor(prompt: Prompt, starts: Sequence[int]) -> list[Edit] | None:
    """Return the edits of a statement on two things: "A tube and a line are seen": "Neither a tube nor a line is seen".

    Args:
        prompt: a prompt with two targets.
        starts: where the noun phrases of the two begin.
    """
    text = prompt.text
    one, two = (a for a in prompt.attributes if a.kind == "target")
    opening = re.match(r"(?:(?:an?|the) )?", text, re.IGNORECASE)
    joint = _AND.fullmatch(text, one.stop, starts[1])
    verb = _VERB_BEHIND.match(text, two.stop)
    if opening is None or opening.end() != starts[0] or joint is None or verb is None:
        return None
    if any(a.kind in ("number", "measure") for a in prompt.attributes):
        return None
    both = [removal(prompt, a) for a in prompt.attributes if a.value.lower() == "bilateral" and a.stop <= two.start]
    if any(e.start == 0 for e in both):
        return None
    first = text[0] if is_proper(text) else text[0].lower()
    be = _AGREES[verb["be"].lower()][is_plural(two.value)]
    nor = re.sub(r"\band\b", "nor", joint.group(), flags=re.IGNORECASE)
    return [
        Edit(0, 1, text[0], f"Neither {first}" if text[0].isupper() else f"neither {first}"),
        Edit(*joint.span(), joint.group(), nor),
        Edit(*verb.span("be"), verb["be"], be),
        *both,
    ]
