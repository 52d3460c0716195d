"""Preambles: headings, history, symptoms and clinical questions before what is asked for."""

from __future__ import annotations

import re
from collections.abc import Iterator

from robustness.perturb.language.grammar.vocabulary import category_of, kind_of, words

_SENTENCE = r"(?:^|(?<=[.;]\s))\s*"
# "62F with", "pt": whose history it is.
_PERSON = (
    r"(?:(?:a |an |the |this )?(?:\d{1,3}[ -]?(?:[mf]|y(?:ea)?rs?[ -]old(?: \w+)?|y/?o(?: (?:[mf]|\w*man|\w*male))?)"
    r"|pts?|patient|(?:wo)?man|(?:fe)?male)\b[ ,]*(?:(?:with|is|was|has|had|who|now|known) |w/ ?)*(?:an? )?)"
)
_HEADING = re.compile(
    rf"{_SENTENCE}(?:(?:clinical|relevant) (?:details?|history|info(?:rmation)?|indications?|data|context|notes?"
    r"|questions?)"
    r"|indications?|reason for (?:the )?\w+|(?:past |previous )?(?:medical |surgical |family )?history|[ph]mhx?|hx|hpi"
    r"|(?:presenting )?complaints?|referral|background|technique|comparison|follow[ -]?up|f/u|trauma call|procedure"
    r"|(?:re)?staging|surveillance|\w+ (?:check|review)|review of [^,;:.]+"
    r"|(?:biops(?:y|ies)|specimens?) (?:from|of) [^,;:.]+)"
    r"(?: (?:with|to) (?:the )?[\w/]+(?: \w+)?)?\s?(?::|\s[-\u2013]\s)"
)
# "Comparison 2 days ago: effusion larger": when, before what is found now.
_WHEN = re.compile(rf"{_SENTENCE}(?:comparison|compared)[^,;:.]*\d[^,;:.]*:")
# What was done or found before: never asked for where more is named behind it.
_PAST = re.compile(
    rf"{_SENTENCE}(?:{_PERSON}|(?:day|week|month) \d+ |\d+ (?:days?|weeks?|months?|years?) )?(?:"
    r"(?P<lead>status[ -]post|s/p|(?:past |previous |family )?(?:history|hx) of|background of"
    r"|h/o|f?hx|fh|pmhx?|pshx?|k/c/o|known case of|follow(?:ing)?[ -]?up(?: of| for| after| on)?|f/u(?: of| for)?"
    r"|complain(?:s|ed|ing) of|c/o|(?:present|referr|admitt)(?:s|ed|ing) (?:for|with)"
    r"|(?:is |was )?(?:worried|concerned|anxious) about"
    r"|(?:(?:partner|wife|husband|mother|father|parents?|gp|family) |(?<=pt )|(?<=patient ))"
    r"(?:has |have )?(?:noticed|reports?|reported))"
    r"|(?P<asked>r/o|suspected|suspicion of|concern for|(?:to )?rules? out|query"
    r"|exclude(?! (?:the|any|all|this|its|a)\b)|\?(?=\s?[a-z]))"
    r"|(?P<found>known|prior|previous(?:ly)?)"
    r"|(?P<done>post[ -]?(?:op(?:erative(?:ly)?)?|[a-z]+(?:ion|omy|plasty|scopy|therapy|treatment|biopsy))"
    r"|post[ -][a-z]+ (?:surgery|repair|injection|treatment)"
    r"|post[ -](?:mi|cabg|tavi|pci|evar|tips|partum|chemo|bx|graft|flap|transplant)))\b"
)
# How the examination went: "Withdrawing from the caecum, a polyp".
_COURSE = re.compile(
    r"\s*(?:(?P<going>[a-z]+ing) (?:from|to|into|through|past|towards?|at|along|down|up|back|out|the)\b[^,;:.]*,"
    r"|(?:insertion|intubation|withdrawal|advancement) (?:to|from|into)\b[^,;:.]*[,;.]"
    r"|(?:the |an? )?(?:(?:\w*scope|probe|transducer|biops(?:y|ies)) (?:(?:was|were|is|has been) )?"
    r"(?:[a-z]+ed|taken|withdrawn|put|held|driven)"
    r"|\w+ (?:was )?(?:reached|intubated|entered|inspected|biopsied|examined))\b"
    r"(?:[^,;:.]* (?:to|in)(?= [^,;:.]*:)|[^,;:.]*[,;.])|\w+ (?:bx|biopsy)[,;.:])"
)
_CLAUSE, _STATEMENT = (
    re.compile(rf"[^{signs}\n]*(?:\.(?!\s|$)[^{signs}\n]*)*(?:[{signs}\n]+\s*|$)") for signs in (",;:.", ".;")
)
# Symptoms of several words, one of which names a finding elsewhere.
_SYMPTOMS = re.compile(
    r"\b(?:weight|hearing|vision|visual|memory|hair) loss\b|\bloss of (?:weight|vision|hearing|consciousness)\b"
    r"|\b(?:rectal|pr|pv|vaginal|gum) bleed(?:ing)?\b|\bshort(?:ness)? of breath\b|\bchange in bowel habits?\b"
    r"|\b(?:blurred|double) vision\b|\bfocal deficits?\b"
)
_WHO = re.compile(_PERSON)
_PROCEDURE = re.compile(r"\b(?:repair|surgery|resection|excision|\w+(?:tomy|plasty|stomy|struction))\b")
# What follows is named within so many characters, or it is far from its heading.
_FAR = 400
_NAME_WORD = re.compile(r"[a-z]\w+(?:-\w+)*")


def preambles(text: str) -> Iterator[tuple[int, int]]:
    """Yield the characters of headings and history before what is asked for: "Status post polypectomy, a scar"."""
    lower, at = text.lower(), 0
    if len(lower) != len(text):
        # A letter that grows when made small: the characters are no longer the text's.
        return
    while (stop := _after_symptoms(lower, at)) > at:
        yield at, stop
        at = stop
    if not any(stem in lower for stem in words("classes.preamble_stem")):
        return
    if "?" in lower and (question := _question(lower, at)):
        yield question
    for match in _HEADING.finditer(lower, at):
        stop = _end(_STATEMENT, lower, match.end())
        if "?" in lower[match.end() : stop] and (question := _question(lower, match.end(), is_headed=True)):
            yield match.start(), question[1]
            continue
        content = lower[match.end() : stop]
        goes_on = _names(lower[stop : stop + _FAR], parts=not _names(content))
        yield match.start(), stop if goes_on and words("classes.request").isdisjoint(content.split()) else match.end()
    yield from (match.span() for match in _WHEN.finditer(lower, at))
    yield from _history(lower, at)
    course = _COURSE.match(lower, at)
    if course and not _says_of_a_thing(course["going"] or "") and _names(lower[course.end() : course.end() + _FAR]):
        yield course.span()


_DASH = re.compile(r"\s[-\u2013]\s+")
_DENIED = re.compile(r"\b(?:no|nil|without|neither)\b[^.;]*")
# "Bowel obstruction? Dilated loops": what is asked of the examination, and what it shows.
_QUESTION = re.compile(
    r"\s*(?!is |are |can |could |does |do |did |has |have |where|which|what|how|any |was )([^.;:?!\n]{2,60})\?\s+"
)


def _question(lower: str, at: int, *, is_headed: bool = False) -> tuple[int, int] | None:
    """Return the characters of a clinical question that what is found follows, or None.

    Behind a heading ("Clinical question: MS?") any name is one, elsewhere a finding.
    """
    match = _QUESTION.match(lower, at)
    if not match or not words("classes.request").isdisjoint(match[1].split()):
        return None
    rest = _DENIED.sub("", lower[match.end() : match.end() + _FAR])
    abnormal = kind_of(rest.split(" ")[0]) in ("size", "pathology", "texture", "signal")
    asks = is_headed or _names(match[1], no_anatomy=True)
    return match.span() if asks and _names(rest, no_anatomy=not abnormal) else None


def _history(lower: str, at: int) -> Iterator[tuple[int, int]]:
    """Yield what was done, found or asked before, with its clause where more is named behind that."""
    for match in _PAST.finditer(lower, at):
        stop, kind = _end(_CLAUSE, lower, match.end()), match.lastgroup or "lead"
        if kind == "asked" and (dash := _DASH.search(lower, match.end(), stop)):
            stop = dash.end()  # "Query PE - filling defect"
        clause = lower[match.end() : stop]
        # "Known lesion, liver" may go on, "Known glaucoma; cup large" and "Previous ACL repair, graft" do not.
        apart = kind == "lead" or clause.rstrip().endswith((";", ".")) or _PROCEDURE.search(clause) is not None
        rest = lower[stop : stop + _FAR]
        if kind in ("asked", "found"):
            # "Known meningioma. No new lesion": what is denied is not asked for in its place.
            rest = _DENIED.sub("", rest)
        if kind == "asked":
            asks = not words("classes.request").isdisjoint(rest.split()[:1])
            goes_on = (
                clause.rstrip().endswith((";", ".", ":", "-", "\u2013")) and not asks and _names(rest, no_anatomy=True)
            )
        else:
            goes_on = _names(rest, no_anatomy=not apart, parts=not _names(clause))
        if goes_on and not (kind == "done" and _names(clause)):
            yield match.start(kind), stop
        elif kind == "lead" or match[0].endswith("query"):
            yield match.span(kind)


def _end(what: re.Pattern[str], lower: str, at: int) -> int:
    """Return where a clause or statement that goes on at `at` ends, with its sign."""
    match = what.match(lower, at)
    return match.end() if match else at


def _says_of_a_thing(going: str) -> bool:
    """Tell whether a word in -ing tells of a thing ("bulging into the lumen, ...") and not of an examination."""
    verbs = words("classes.ing_noun") | words("classes.request") | words("classes.report") | words("classes.position")
    return bool(going) and (bool(kind_of(going) or category_of(going)) or going in verbs)


def _names(rest: str, *, no_anatomy: bool = False, parts: bool = False) -> bool:
    """Tell whether `rest` (small letters) names what may be asked for; with `no_anatomy`, anatomy does not count.

    What only tells where ("left forearm", "upper lobe") is no such name, as it goes on with what stands before, unless
    `parts` says that nothing is named there.
    """
    lead = frozenset() if parts else words("classes.body_part") | words("classes.part")
    names = [w for w in _NAME_WORD.findall(rest) if w not in words("classes.symptom")]
    kinds = ("finding", "instrument") if no_anatomy and not parts else ("finding", "instrument", "anatomy")
    nouns = (w for a, b in zip(["", *names], names, strict=False) if b not in lead for w in (b, f"{a} {b}"))
    return any(category_of(w) in kinds for w in nouns)


def _after_symptoms(lower: str, at: int) -> int:
    """Return where a clause at `at` ends that only tells what the patient complains of, with more named behind it."""
    stop = _end(_CLAUSE, lower, _end(_WHO, lower, at))
    rest, symptoms = _SYMPTOMS.subn("", lower[at:stop].partition("?")[0])
    # "Patient fell; ..."
    who = lower[at : _end(_WHO, lower, at)]
    symptoms += (who.startswith(("patient", "pt")) or who.strip().endswith(("with", "w/"))) and not _names(rest)
    symptoms += not words("classes.symptom").isdisjoint(_NAME_WORD.findall(rest))
    return stop if symptoms and not _names(rest, no_anatomy=True) and _names(lower[stop : stop + _FAR]) else at
