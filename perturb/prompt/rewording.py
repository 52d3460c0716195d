"""Other wordings of prompts that are no templates: another verb for a request, a frame for everything else."""

from __future__ import annotations

import re
from collections.abc import Iterator

from robustness.perturb.language.edit import match_case
from robustness.perturb.language.grammar.asking import REQUEST, asks, denies, is_sentence
from robustness.perturb.language.inflection import is_plural
from robustness.perturb.prompt.base import denied_noun
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
_WHERE = re.compile(r"where (?P<be>is|are) (?P<what>(?:the |an? )?.+?)\s*\?$", re.IGNORECASE)
_POLITE = re.compile(r"(?:please|pls|plz|kindly)[, ]+(?P<asked>.+)$", re.IGNORECASE)
_CHATTY = re.compile(r",? (?:thx|thanks|thank you|ty)[.!]*$", re.IGNORECASE)
_IMPERATIVE = re.compile(r"(?:give me|count|draw)\b", re.IGNORECASE)
# "OD: optic disc", "Findings: nodule in the right lung": a heading, and what it is the heading of.
_HEADED = re.compile(r"(?P<heading>[^:.;?!]{1,80}:) (?P<what>[^:?!]+)$")
_REPORT = re.compile(
    r"(?:findings?|impression|conclusion|report|diagnosis|result|comment|description|prompt|text|query|label|class"
    r"|target|organ|structure|object|instrument|lesion)s?:$",
    re.IGNORECASE,
)
_HEADED_FRAMES = ("segment {}", "please outline {}", "delineate {}")
_DETERMINED = re.compile(
    r"(?:the|an?|both|each|every|all|this|these|his|her|its|at least|at most|up to|one|two|three|four|five|six|seven"
    r"|eight|nine|ten|\d+|several|many|multiple|numerous|few|some|a few)\b(?!\s*(?:mm|cm|x\b|%))",
    re.IGNORECASE,
)
# A text that names a picture: the picture would be what is to be outlined.
_OF_A_PICTURE = re.compile(
    r"(?:[\w&/-]+[ ,]+){0,6}?(?:scans?|images?|views?|radiographs?|films?|x-?rays?|photos?|photographs?|pictures?"
    r"|slices?|micrographs?|sections?|CT|MRI|ultrasound|echocardiogram|mammogram|angiogram|b-scan|frame)"
    r" (?:of|showing|with|through|depicting|demonstrating|displaying|containing|that shows)\b",
    re.IGNORECASE,
)

_PICTURE = re.compile(
    r"\b(?:CT|MRI|scan|image|view|radiograph|film|ultrasound|photograph|section|x-ray)\b", re.IGNORECASE
)


def rewordings(prompt: Prompt) -> list[str]:
    """Return texts that say the same in other words: one phrase changed, then the whole inside a frame.

    A frame goes around neither a request (it would ask twice) nor a denial (it would ask for what is absent) nor a
    picture ("scan of the uterus": the scan would be asked for), and only around a full sentence does it say "this
    sentence". Behind a heading the frame follows the heading. Capitals of names and abbreviations stay; a frame ends in
    a colon, so that any text fits behind it.
    """
    body = prompt.text.strip()
    wordings = list(_phrases(body))
    where = _WHERE.fullmatch(body)
    if where:
        asked = f"show me where {where['what']} {where['be']}"
        return [f"{asked[0].upper()}{asked[1:]}.", f"Please {asked}.", f"I would like you to {asked}."]
    if asks(body) or _IMPERATIVE.match(body):
        return [*_other_verbs(body), *wordings, *_asked_again(body)]
    if denies(prompt):
        if body[:3].lower() == "no " and not is_sentence(body):
            be = "are" if is_plural(denied_noun(body, 2)) else "is"
            wordings.append(match_case(f"there {be} no {body[3:]}", body))
        if body[:12].lower() == "there is no " and len(body) > 12:
            wordings.append(match_case("no ", body) + body[12:])
        return wordings
    if is_sentence(_without_names(prompt)):
        return wordings + [frame.format(body) for frame in _STATEMENT_FRAMES]
    return [*wordings, *(_behind_a_heading(prompt, body) or _of_a_picture(prompt, body) or _framed(body))]


def _without_names(prompt: Prompt) -> str:
    """Return the text with its names and figures as x, none of which is a verb: "pacemaker leads", "Paris Is"."""
    text = prompt.text.strip()
    for a in prompt.attributes:
        if a.kind in ("target", "measure"):
            text = text.replace(a.value, "x" * len(a.value))
    return text


def _framed(body: str) -> list[str]:
    return [frame.format(body) for frame in _FRAMES]


def _behind_a_heading(prompt: Prompt, body: str) -> list[str]:
    """Return "OD: segment the optic disc" of "OD: optic disc"; a heading of a report alone goes."""
    headed = _HEADED.fullmatch(body) or _HEADED.fullmatch(_with_a_heading(prompt, body))
    if headed is None or not prompt.attributes or ". " in headed["what"]:
        return []
    if _REPORT.match(headed["heading"]):
        return _framed(headed["what"])
    target = next((a for a in prompt.attributes if a.kind == "target"), None)
    is_picture = _PICTURE.search(headed["heading"]) is not None
    begins = target is not None and prompt.text.find(headed["what"]) <= target.start
    if not (is_picture or begins) or not headed["what"][0].isalnum():
        return []
    what = headed["what"] if _DETERMINED.match(headed["what"]) else f"the {headed['what']}"
    return [f"{headed['heading']} {frame.format(what)}" for frame in _HEADED_FRAMES]


def _with_a_heading(prompt: Prompt, body: str) -> str:
    """Return "CT urogram: renal pelvis" of "CT urogram, renal pelvis": what tells of the picture alone is a heading."""
    target = next((a for a in prompt.attributes if a.kind == "target"), None)
    before = [a for a in prompt.attributes if target is not None and a.stop <= target.start]
    comma = max((body.find(", ", a.stop) for a in before if a.role in ("scan", "patient")), default=-1)
    if target is None or comma < 0 or comma > target.start or before[0].start > 12:
        return body
    if any(a.role not in ("scan", "patient") for a in before if a.start < comma):
        return body
    return f"{body[:comma]}: {body[comma + 2 :]}"


def _of_a_picture(prompt: Prompt, body: str) -> list[str]:
    """Return "scan of the uterus: outline the uterus" of "scan of the uterus"."""
    if not _OF_A_PICTURE.match(body):
        return []
    stop = "." if body.endswith(".") else ""
    names = [a.value for a in prompt.attributes if a.kind == "target"]
    if len(names) > 2 or not names:
        return []
    asked = " and ".join(f"the {name}" for name in names)
    return [f"{body.removesuffix('.')}: {frame.format(asked)}{stop}" for frame in _HEADED_FRAMES]


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
    if request is None or re.match(r" (?:me )?(?:where|how|if|whether|that)\b", body[request.end() :], re.IGNORECASE):
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
    if (first and not first["lead"].strip()) or _IMPERATIVE.match(body):
        request = body[0].lower() + body[1:]
        return [f"Please {request}", f"I would like you to {request}"]
    return []
