"""Other wordings of prompts that are no templates: another verb for a request, a frame for everything else."""

from __future__ import annotations

import re

from robustness.perturb.language.edit import match_case
from robustness.perturb.prompt.removal import has_verb

_VERBS = ("segment", "outline", "delineate", "mark", "trace", "highlight")
_REQUEST = re.compile(
    r"(?P<lead>^|[.;!?] |\bplease |\byou )(?P<verb>segment|outline|delineate|mark|trace|highlight|contour|label)(?= )",
    re.I,
)
_PASSIVE = re.compile(r"\b(?P<be>is|are|can be) (?P<verb>seen|visible|noted|present|demonstrated)\b", re.IGNORECASE)
_OTHER = {"seen": "visible", "visible": "seen", "noted": "seen", "present": "seen", "demonstrated": "seen"}
_SHOWS = re.compile(r"\b(?P<verb>shows|demonstrates|reveals|depicts)\b", re.IGNORECASE)
_SAID = {"shows": "demonstrates", "demonstrates": "shows", "reveals": "shows", "depicts": "shows"}
_FRAMES = ("Segment the following: {}", "Please outline what is described here: {}", "Delineate the following: {}")
_STATEMENT_FRAMES = (
    "Please outline what is described here: {}",
    "Delineate what this sentence describes: {}",
    "Segment what is reported here: {}",
)
_QUESTION = re.compile(r"(?:can|could|would|will) you (?:please |kindly )?(?P<asked>.+?)\s*\?$", re.IGNORECASE)
_POLITE = re.compile(r"(?:please|pls|kindly)[, ]+(?P<asked>.+)$", re.IGNORECASE)


def rewordings(text: str) -> list[str]:
    """Return texts that ask for the same in other words: one phrase changed, then the whole inside a frame.

    Capitals of names and abbreviations stay; a frame ends in a colon, so that any text fits behind it.
    """
    body = text.strip()
    wordings = []
    request = _REQUEST.search(body)
    if request:
        old = request["verb"]
        new = next(v for v in _VERBS[1:] if v != old.lower())
        wordings.append(body[: request.start("verb")] + match_case(new, old) + body[request.end("verb") :])
    for pattern, table in ((_SHOWS, _SAID), (_PASSIVE, _OTHER)):
        match = pattern.search(body)
        if match and not (match["verb"].lower() == "seen" and match.groupdict().get("be", "").lower() == "can be"):
            wordings.append(
                body[: match.start("verb")]
                + match_case(table[match["verb"].lower()], match["verb"])
                + body[match.end("verb") :]
            )
    if body[:3].lower() == "no " and not has_verb(body):
        wordings.append(match_case(f"there is no {body[3:]}", body))
    if request:
        return [*wordings, *_asked_again(body)]
    frames = _STATEMENT_FRAMES if has_verb(body) else _FRAMES
    return wordings + [frame.format(body) for frame in frames]


def _asked_again(body: str) -> list[str]:
    """Return a request in another form: a question as a plea, a plea as an order, an order as a plea."""
    question = _QUESTION.fullmatch(body)
    if question:
        return [f"Please {question['asked']}.", f"I would like you to {question['asked']}."]
    polite = _POLITE.fullmatch(body)
    if polite:
        return [polite["asked"][0].upper() + polite["asked"][1:], f"I would like you to {polite['asked']}"]
    first = _REQUEST.match(body)
    if first and first["lead"] == "":
        request = body[0].lower() + body[1:]
        return [f"Please {request}", f"I would like you to {request}"]
    return [f"Please do the following: {body}"]
