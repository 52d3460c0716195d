"""Other wordings of prompts that are no templates: another verb for a request, a frame for everything else."""

from __future__ import annotations

import re
from collections.abc import Iterator

from robustness.perturb.language.asking import REQUEST, asks, denies, is_sentence
from robustness.perturb.language.edit import match_case
from robustness.types import Prompt

_VERBS = ("outline", "delineate", "mark")
_PASSIVE = re.compile(
    r"\b(?P<be>is|are|can be) (?P<verb>seen|visible|noted|present|demonstrated|identified|visuali[sz]ed)\b", re.I
)
_OTHER = {"seen": "visible", "visible": "seen"}
_SHOWS = re.compile(r"\b(?P<verb>shows|demonstrates|reveals|depicts)\b", re.IGNORECASE)
_SYNONYM = {"shows": "demonstrates", "demonstrates": "shows", "reveals": "shows", "depicts": "shows"}
_EVIDENCE = re.compile(r"\bno (?P<verb>evidence|signs?) of\b", re.IGNORECASE)
_NEED = re.compile(r"\b(?P<need>needs?) (?P<verb>[a-z]+ing)\b(?=\W*$)", re.IGNORECASE)
_PARTICIPLES = {
    "outlining": "outlined",
    "segmenting": "segmented",
    "marking": "marked",
    "delineating": "delineated",
    "tracing": "traced",
    "contouring": "contoured",
    "highlighting": "highlighted",
    "annotating": "annotated",
    "labelling": "labelled",
    "labeling": "labeled",
}
_FRAMES = ("Segment the following: {}", "Please outline what is described here: {}", "Delineate the following: {}")
_STATEMENT_FRAMES = (
    "Please outline what is described here: {}",
    "Delineate what this sentence describes: {}",
    "Segment what is reported here: {}",
)
_QUESTION = re.compile(r"(?:can|could|would|will) you (?:please |kindly )?(?P<asked>.+?)\s*\?$", re.IGNORECASE)
_POLITE = re.compile(r"(?:please|pls|plz|kindly)[, ]+(?P<asked>.+)$", re.IGNORECASE)
_CHATTY = re.compile(r",? (?:thx|thanks|thank you|ty)[.!]*$", re.IGNORECASE)


def rewordings(prompt: Prompt) -> list[str]:
    """Return texts that say the same in other words: one phrase changed, then the whole inside a frame.

    A frame goes around neither a request (it would ask twice) nor a denial (it would ask for what is absent), and
    only around a full sentence does it say "this sentence". Capitals of names and abbreviations stay; a frame ends in
    a colon, so that any text fits behind it.
    """
    body = prompt.text.strip()
    wordings = list(_phrases(body))
    if asks(body):
        return [*_other_verbs(body), *wordings, *_asked_again(body)]
    if denies(prompt):
        if body[:3].lower() == "no " and not is_sentence(body):
            wordings.append(match_case(f"there is no {body[3:]}", body))
        if body[:12].lower() == "there is no " and len(body) > 12:
            wordings.append(match_case("no ", body) + body[12:])
        return wordings
    frames = _STATEMENT_FRAMES if is_sentence(body) else _FRAMES
    return wordings + [frame.format(body) for frame in frames]


def _phrases(body: str) -> Iterator[str]:
    """Yield `body` with another verb of showing or seeing, or another word for evidence."""
    for pattern, table in ((_SHOWS, _SYNONYM), (_PASSIVE, _OTHER), (_EVIDENCE, {"evidence": "sign"})):
        match = pattern.search(body)
        if match is None:
            continue
        old, be = match["verb"], match.groupdict().get("be", "")
        new = table.get(old.lower(), "evidence" if pattern is _EVIDENCE else "seen")
        if be.lower() == "can be" and new == "visible":
            plural = re.search(r"s (?:\w+ )?$", body[: match.start()]) is not None
            be_start, be_new = match.start("be"), "are" if plural else "is"
            yield f"{body[:be_start]}{be_new} {new}{body[match.end('verb') :]}"
            continue
        yield body[: match.start("verb")] + match_case(new, old) + body[match.end("verb") :]


def _other_verbs(body: str) -> Iterator[str]:
    """Yield a request with other verbs of asking; "need outlining" as a passive."""
    need = _NEED.search(body)
    if need and need["verb"].lower() in _PARTICIPLES:
        participle = _PARTICIPLES[need["verb"].lower()]
        for passive in (f"{need['need']} to be {participle}", f"should be {participle}"):
            yield body[: need.start()] + match_case(passive, need.group()) + body[need.end() :]
        return
    request = REQUEST.search(body)
    if request is None:
        return
    old = request["verb"]
    others = [v for v in _VERBS if v != old.lower()]
    # What does not begin with its request has no other form than another verb.
    for new in others[: 1 if _begins(body) else 2]:
        yield body[: request.start("verb")] + match_case(new, old) + body[request.end("verb") :]


def _begins(body: str) -> bool:
    first = REQUEST.match(body)
    return bool(first or _QUESTION.fullmatch(body) or _POLITE.fullmatch(body))


def _asked_again(body: str) -> list[str]:
    """Return a request in another form: a question as a plea, a plea as an order, an order as a plea."""
    question = _QUESTION.fullmatch(body)
    if question and REQUEST.match(question["asked"]):
        return [f"Please {question['asked']}.", f"I would like you to {question['asked']}."]
    polite = _POLITE.fullmatch(body)
    if polite and REQUEST.match(polite["asked"]):
        order = _CHATTY.sub("", polite["asked"])
        plain = order[0].upper() + order[1:]
        return [plain] if order != polite["asked"] else [plain, f"I would like you to {order}"]
    first = REQUEST.match(body)
    if first and not first["lead"].strip():
        request = body[0].lower() + body[1:]
        return [f"Please {request}", f"I would like you to {request}"]
    return []
