"""Other wordings of prompts that are no templates: another verb for a request, a frame for everything else."""

from __future__ import annotations

import re

from robustness.perturb.language.edit import match_case

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
    if body[:3].lower() == "no ":
        wordings.append(match_case(f"there is no {body[3:]}", body))
    framed = [frame.format(body) for frame in _FRAMES]
    return wordings + (["Please do the following: " + body] if request else framed)
