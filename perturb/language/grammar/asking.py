"""Tell what a prompt or a statement of it does: it asks, denies, states, or only tells of the examination."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache, lru_cache

from robustness.perturb.language.grammar.modifier_words import is_number_at
from robustness.perturb.language.grammar.noun_phrase import read_phrase
from robustness.perturb.language.grammar.picture import hinders, things_beside
from robustness.perturb.language.grammar.tagger import Tagged
from robustness.perturb.language.grammar.tokens import tokenize
from robustness.perturb.language.grammar.verbs import finite_verbs
from robustness.perturb.language.grammar.vocabulary import category_of, is_adverb, is_participle, kind_of, words
from robustness.perturb.language.ontology.terms import forget_on_extend
from robustness.types import Attribute, Prompt

_ASKING = (
    "segment|outline|delineate|mark|trace|highlight|contour|label|annotate|show(?: me)?|identify|find|locate|detect"
    "|circle|extract|isolate"
)
# "segment 4", "outline of the liver", "contour irregular": nouns, which ask for nothing.
_NOUN = (
    r"(?!\s*(?:[,.;:!?)]|$))"
    r"(?! (?:\d|[IVX]+[ab]?\b|of\b|is\b|are\b|was\b|and\b|or\b|in\b|on\b|at\b|with\b))"
    r"(?! (?:(?:ir)?regular|(?:un)?sharp|smooth))"
)
REQUEST = re.compile(
    r"(?P<lead>^\s*|[.;:,!?] +|\b(?:please|pls|plz|kindly)[, ]+|\b(?:you|you please|you kindly|like you to|to) "
    r"|\b(?:count|identify|find|locate|detect|show) and )"
    rf"(?P<verb>{_ASKING})\b(?= ){_NOUN}",
    re.IGNORECASE,
)
_NEED = re.compile(
    r"\bneeds? (?:(?:out|segment|mark|delineat|trac|contour|label|annotat|highlight)\w*ing\b"
    r"|to be \w+ed\b|segmentation\b)"
    r"|\b(?:should|must|shall) be (?:outlined|segmented|marked|delineated|traced|contoured|labell?ed|annotated)\b"
    r"|\b(?:i|we) (?:need|want|would like)\b|\b(?:please|pls|plz|kindly)\b|^\s*(?:where|give me|seg)\b|\?\s*$",
    re.IGNORECASE,
)
_DENIAL = re.compile(
    r"^\W*(?:(?:there|it) (?:is|are) |(?:shows?|with) )?(?:no|not|without|absence of|absent|negative for|free of)\b"
    r"|\bno (?:evidence|signs?) of\b|\b(?:shows?|demonstrates?|reveals?|is|are|has|have) (?:no|not|absent)\b",
    re.IGNORECASE,
)
# Relative clauses, and nouns that look like verbs: "with irregular borders".
_RELATIVE = re.compile(
    r",? (?:that|which|who|whose)\b[^.;]*|\bwith (?:[\w-]+,? ){0,4}?(?:borders|contacts|covers|contours)\b",
    re.IGNORECASE,
)
_NEVER_FINITE = frozenset("segment outline delineate mark trace label find show contour highlight need".split())
_COPULAS = frozenset(
    "is are was were lie lies sit sits has have can shows reveals demonstrates depicts contains needs".split()
)
_PREDICATES = _COPULAS | frozenset(
    "measures appears extends arises involves causes suggests indicates looks seems remains does do had may might could"
    " enhances projects protrudes occupies communicates showed revealed demonstrated confirmed confirms".split()
)


def asks(text: str) -> bool:
    """Tell whether a text asks for something anywhere: an imperative at a clause start, a need, a question."""
    return REQUEST.search(text) is not None or _NEED.search(text) is not None


def denies(prompt: Prompt) -> bool:
    """Tell whether a prompt says that its target is not there, so that asking for it would contradict the prompt."""
    denial = _DENIAL.search(prompt.text)
    target = prompt.get("target")
    # "no hair, one mole" denies another thing.
    apart = denial and target and "," in prompt.text[denial.end() : target.start] and prompt.text[:2].lower() == "no"
    if denial and not apart:
        return True
    none = [a for a in prompt.attributes if a.role == "target" and a.value.lower() in ("no", "zero", "0")]
    return any(not denies_another(prompt, a) for a in none)


def denies_another(prompt: Prompt, denial: Attribute) -> bool:
    """Tell whether a denial is of what stands behind it and not of the target: "two polyps, no bleeding"."""
    if denial.kind != "negation" or denial.role != "target" or denial.value.lower() not in ("no", "without", "zero"):
        return False
    targets = [a for a in prompt.attributes if a.kind == "target"]
    follows = re.match(r"\s+[a-z]", prompt.text[denial.stop :], re.IGNORECASE) is not None
    named = next((a for a in targets if a.start >= denial.stop), None)
    own = named is not None and not re.search(r"[,.;:]", prompt.text[denial.stop : named.start])
    return follows and not own and any(a.stop <= denial.start for a in targets)


def is_sentence(text: str) -> bool:
    """Tell whether a finite verb of the main clause or a request stands in a text; "mass that is round" has none."""
    if REQUEST.search(text) or re.match(r"there['\u2019]s\b", text, re.IGNORECASE):
        return True
    spoken = re.findall(r"[a-z]+", _RELATIVE.sub("", text.lower()))
    return any(word in _COPULAS or (word in finite_verbs() and word not in _NEVER_FINITE) for word in spoken)


def ends_with_verb(text: str) -> bool:
    """Tell whether a name took the verb behind it for its last noun: "membrane causes"."""
    return text.rpartition(" ")[2].lower() in _PREDICATES


def starts_with_verb(text: str) -> bool:
    """Tell whether a text begins with a finite verb, so that it goes on with a sentence: "occupies the fundus"."""
    first = re.match(r"(?:also |mainly |mostly )?([a-z]+)\b", text.lstrip(), re.IGNORECASE)
    word = first[1].lower() if first else ""
    return word in _PREDICATES or (word in finite_verbs() and word not in _NEVER_FINITE)


_STOPS = frozenset(".?!,")
_KINDS_OF_RESIDUE = frozenset("some bowel liquid solid residual".split())
_IN = frozenset("in within on at".split())
ABNORMAL = frozenset("size pathology texture signal shape colour margin measure".split())
# "Everything but the kidney is normal."
ALL = frozenset("everything all anything".split())


def counts_along(tagged: Tagged) -> tuple[list[int], list[int], int]:
    """Return, by token, the ends of clauses and the last request before it; and the last token that may name."""
    ends, requests, last = [0], [-1], -1
    for i, (token, tag_name) in enumerate(zip(tagged.tokens, tagged.tags, strict=True)):
        is_stop = token.lower in _STOPS and tag_name != "certainty"
        ends.append(ends[-1] + (is_stop or tag_name == "relative"))
        requests.append(i if tag_name == "request" else requests[-1])
        if tag_name == "word" and not kind_of(token.lower):
            last = i
    return ends, requests, last


def statements(tagged: Tagged) -> list[tuple[int, int]]:
    """Return the sentences, halves parted by ";" and what a word such as "but" parts, without their marks."""
    tokens, runs, first = tagged.tokens, [], 0
    for i, token in enumerate(tokens):
        turns = token.lower in words("classes.turn") and tagged.tags[i] != "negation" and i > first
        turns = turns and not (i == first + 1 and tokens[first].lower in ALL)
        apart = turns and (tagged.tags[i] == "filler" or token.lower == "instead" or tokens[i - 1].lower == ",")
        line = i > first and "\n" in tagged.text[tokens[i - 1].stop : token.start]
        if (token.lower in (".", "?", "!", ";") and tagged.tags[i] != "certainty") or apart or line:
            runs.append((first, i))
            first = i + (not token.is_word)
    return [*runs, (first, len(tokens))]


@cache
def tells_of_background() -> frozenset[str]:
    """Return the words without which a text tells nothing of normal things or of the examination."""
    classes = ("normal", "calm", "over", "taken", "residue", "device", "tool", "picture", "sight_noun")
    return frozenset({"well"}).union(*(words(f"classes.{name}") for name in classes))


def is_of_the_examination(tagged: Tagged, first: int, last: int) -> bool:
    """Tell whether tokens [first, last) tell only how the picture was made or what is usual.

    "Both knees imaged", "Image slightly degraded", "PA chest", "Residual stool", "ETT in situ", "heel clean".
    """
    plain = words("classes.residue") | words("quality.before_picture") | _KINDS_OF_RESIDUE
    tokens, tags = tagged.tokens, tagged.tags
    lower = [t.lower for t in tokens[first:last]]
    if not _names_a_finding(tagged.text):
        return False
    if hinders(lower):
        return True
    if any(category_of(w) == "finding" and w not in things_beside() for w in lower):
        return False
    if _only_lies_there(tagged, first, last) or _is_only_measured(tagged, first, last):
        return True
    passed = ("determiner", "scan", "sign", "negation")
    rest = [w for w, tag in zip(lower, tags[first:last], strict=True) if tag not in passed]
    parts = words("classes.body_part")
    if rest[1:] and any(_ends_in(lower, w, "classes.taken") for w in lower):
        return True
    is_residue = all(w in plain or is_adverb(w) for w in rest) and not words("classes.residue").isdisjoint(rest)
    if is_residue or "scan" in tags[first:last] or not rest:
        heads = last < len(tokens) and tokens[last].lower == ":"
        return is_residue or (bool(rest) and not heads and all(w in parts for w in rest))
    if (
        rest[0] in words("classes.picture")
        and "measure" not in tags[first:last]
        and not any(category_of(w) == "anatomy" for w in rest)
    ):
        return True
    if not words("classes.device").isdisjoint(lower):
        return not words("classes.in_place").isdisjoint(lower)
    return _is_calm(lower)


def is_asked(tagged: Tagged, first: int, last: int) -> bool:
    """Tell whether a statement is a request, which "the contour is normal" is not."""
    tags, stands = tagged.tags, ("word", "determiner")
    return any(tags[k] == "request" and (k == first or tags[k - 1] not in stands) for k in range(first, last))


def begins_anew(tagged: Tagged, i: int, last: int, *, any_name: bool = False) -> bool:
    """Tell whether "a small cyst" behind a comma is a thing of its own, no part of a list; or any name is one."""
    lists = {t.lower for t in tagged.tokens[i:last]} & {"or", "nor", "and"}
    if lists or tagged.tokens[i - 1].lower not in (",", ":"):
        return False
    opens = tagged.tags[i] == "determiner" or kind_of(tagged.tokens[i].lower) == "size" or is_number_at(tagged, i)
    phrase = read_phrase(tagged, i + (tagged.tags[i] == "position"), last)  # "blood washed away, visible vessel"
    if opens or phrase.name is None:
        return opens
    # "no stones, aorta calcified"; "no cysts in either ovary, follicle in the left": each thing has its own place.
    start = _since_comma(tagged, i - 1)
    again = [t.lower for t in tagged.tokens[max(0, start - 1) : start + 1]] in ([",", "no"], [",", "nil"])
    # "no network, no globules, vessels": who says "no" of each thing does not deny the last.
    ends = phrase.stop == last and any(m.kind in ABNORMAL and m.start > tagged.tokens[i].start for m in phrase.mods)
    places = [{t.lower for t in tagged.tokens[a:b]} & _IN for a, b in ((start, i), (i, last))]
    return (
        any_name or (again and tagged.tags[i] != "negation") or (ends and phrase.category == "anatomy") or all(places)
    )


def _since_comma(tagged: Tagged, stop: int) -> int:
    """Return the first token behind the last sign before token `stop`."""
    return next((k + 1 for k in range(stop - 1, -1, -1) if not tagged.tokens[k].is_word), 0)


def is_described(tagged: Tagged, first: int, last: int) -> bool:
    """Tell whether "Mucosa pink", "The retina is flat" ends in what is said of a part of the body."""
    phrase = read_phrase(tagged, first, last)
    behind = any(m.kind in ABNORMAL for m in phrase.mods) and phrase.stop == last
    is_predicate = tagged.tags[phrase.stop : phrase.stop + 1] == ["auxiliary"] and phrase.stop + 1 < last
    return phrase.category == "anatomy" and (behind or is_predicate) and not is_asked(tagged, first, last)


def _only_lies_there(tagged: Tagged, first: int, last: int) -> bool:
    """Tell whether a device, a tool or residue is only said to be seen or where: "Clip visible", "gel at the edge"."""
    tags, lower = tagged.tags[first:last], [t.lower for t in tagged.tokens[first:last]]
    phrase = read_phrase(tagged, first, last)
    head = lower[phrase.name[1] - 1 - first] if phrase.name else ""
    if head not in things_beside() or "request" in tags or "negation" in tags:
        return False
    beside = {t.lower for t in (*tagged.tokens[max(0, first - 1) : first], *tagged.tokens[last : last + 1])}
    worse = any(m.kind == "pathology" and tagged.text[m.start : m.stop] != "closed" for m in phrase.mods)
    if worse or "and" in beside:
        return False  # "fractured lead", "catheter and the abscess around it"
    n = phrase.stop - first
    # "clips x2 placed", "sutures still in"
    rest = [p for p in zip(tags[n:], lower[n:], strict=True) if p[0] != "measure" and not is_adverb(p[1])]
    tag, word = rest[0] if rest else ("position", "")
    seen = words("classes.in_place") | words("classes.hides") | {"well", "closed"}
    lies = tag in ("preposition", "position", "auxiliary", "relation") or is_participle(word) or word in seen
    changed = word != "closed" and (kind_of(word) in ("pathology", "size") or word in words("classes.damaged"))
    return lies and not changed and {"sign", "with", "relative", "report", "conjunction"}.isdisjoint(t for t, _ in rest)


def _is_only_measured(tagged: Tagged, first: int, last: int) -> bool:
    """Tell whether a statement gives only the size of an organ, or of what an abbreviation names: "RK 10.8 cm"."""
    phrase = read_phrase(tagged, first, last)
    if phrase.name is None or set(tagged.tags[phrase.stop : last]) != {"measure"}:
        return False
    plain = all(m.kind in ("side", "direction", "measure") for m in phrase.mods)
    name = tagged.tokens[phrase.name[1] - 1].text
    short = phrase.category == "" and name.isupper() and name.isalpha() and not tagged.text.isupper()
    beside = {t.lower for t in (*tagged.tokens[max(0, first - 1) : first], *tagged.tokens[last : last + 1])}
    return plain and (short or (phrase.category == "anatomy" and beside <= {".", ";"}))


@lru_cache(maxsize=256)
def _names_a_finding(text: str) -> bool:
    """Tell whether a text names a finding beside devices and residue, or calls something diseased."""
    passed = things_beside() | words("classes.normal") | _KINDS_OF_RESIDUE
    told = {t.lower for t in tokenize(text)} - passed
    return any(category_of(word) == "finding" or kind_of(word) == "pathology" for word in told)


forget_on_extend(_names_a_finding)


def _ends_in(lower: Sequence[str], word: str, key: str) -> bool:
    """Tell whether `word` is of a class and ends a statement, or a preposition follows: "imaged in two planes"."""
    behind = lower[lower.index(word) + 1 :][:1]
    return word in words(key) and (not behind or behind[0] in words("classes.preposition"))


def _is_body(lower: str) -> bool:
    return category_of(lower) == "anatomy" or lower in ("eye", "eyes")


def _is_calm(lower: Sequence[str]) -> bool:
    """Tell whether a part of the body comes first, and behind it only words such as "smooth" and "clean"."""
    calm = next((k for k, w in enumerate(lower) if w in words("classes.calm")), 0)
    linking = words("classes.auxiliary") | words("classes.conjunction") | words("classes.seems") | {","}
    subject = [w for w in lower[:calm] if w not in linking and not is_adverb(w)]
    says = words("classes.calm") | linking
    if lower[0] in words("classes.calm") and _is_body(lower[-1]):
        return all(w in says or is_adverb(w) for w in lower[:-1])  # "Quiet eye", "Smooth, clean mucosa"
    named = bool(subject) and (_is_body(subject[-1]) or subject[-1] in words("classes.margin_noun"))
    return named and "," not in lower[:calm] and all(w in says or is_adverb(w) for w in lower[calm:])


def inner_places(spans: Sequence[tuple[str, int, int, str]]) -> list[tuple[str, int, int, str]]:
    """Return the places that lie inside of another: the pancreas of "mass head of pancreas"."""
    inner, outer = [], (0, 0)
    for found in sorted((f for f in spans if f[0] == "place"), key=lambda f: (f[1], -f[2])):
        if found[2] <= outer[1] and found[1:3] != outer:
            inner.append(found)
        else:
            outer = found[1:3]
    return inner
