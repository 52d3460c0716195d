"""Tokens of a prompt: words (hyphens and apostrophes inside), figures and single signs, each with its characters."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from robustness.perturb.language.grammar.vocabulary import category_of, kind_of, words
from robustness.perturb.language.ontology.modifiers import pairs

# Abbreviations whose dot ends no sentence, with what they stand for.
_SHORT = pairs(
    "irreg>irregular; approx>approximately; ant>anterior; post>posterior; sup>superior; inf>inferior; lat>lateral; "
    "med>medial; prox>proximal; dist>distal; bilat>bilateral; susp>suspicious; poss>possible; prob>probable; "
    "sag>sagittal; transv>transverse; ca>circa; incl>including; excl>excluding; mod>moderate; lt>lt; rt>rt; "
    "w/o>without; w/>with"
)
_BARE = frozenset("ant post sup inf lat med prox dist".split())
# Both sides joined are one word, "left/right": neither alone says where a thing is.
_LEFT, _RIGHT = (
    rf"(?:{word}(?:-sided)?|{short}|(?-i:{letter}))"
    for word, short, letter in (("left", "lt", "L"), ("right", "rt", "R"))
)
_JOINED = r"(?:\s*(?:[/&+]|,?\s(?:and/or|and|or|plus|as well as)\s)\s*(?:also\s+)?(?:the\s+)?)"
_BOTH_SIDES = re.compile(
    rf"(?<![\w-])(?:both (?:the )?)?(?:{_LEFT}{_JOINED}{_RIGHT}|{_RIGHT}{_JOINED}{_LEFT})(?![\w-])", re.IGNORECASE
)
# "62F with" tells of the patient, "12F catheter" of a gauge.
NO_GAUGE = (
    r"\b(?!\s*-?\s*(?i:(?:\w+ )?"
    r"(?:catheter|drain|sheath|tube|stent|foley|pigtail|port|line|needle|introducer|dilator)s?\b))"
)
_WORD = (
    rf"\d{{1,3}}(?=/?(?-i:[MF]){NO_GAUGE})"
    rf"|(?:{'|'.join(w for w in _SHORT if w.isalpha())})\.(?=[\s,])|w/o(?!\w)|w/(?=\s)"
    r"|[-=]>|T2\*(?:-?w(?:eighted)?)?|[^\W_]+(?:(?:[-'\u2019&+]|(?<=\d)/|/(?!\d)|(?<=\d)[.,](?=\d))[^\W_]+)*(?:\(e?s\))?|\S"
)
_TOKEN = re.compile(_WORD, re.IGNORECASE)
_TOKEN_OR_SIDES = re.compile(rf"{_BOTH_SIDES.pattern}|{_WORD}", re.IGNORECASE)

_ARROWS = frozenset({"->", "=>", "\u2192", "\u21d2"})
QUOTES = frozenset("\"'\u201c\u201d\u2018\u2019\u00ab\u00bb")


class Token(NamedTuple):
    """A word or a sign; `lower` is its text in small letters with straight apostrophes."""

    lower: str
    start: int
    stop: int
    text: str

    @property
    def is_word(self) -> bool:
        """Tell whether the token begins with a letter or a figure."""
        return self.lower[0].isalnum()


# The constructor of a named tuple costs as much as finding the word.
_new = tuple.__new__


def tokenize(text: str) -> list[Token]:
    """Return the tokens of `text` in order.

    Example:
        >>> [t.text for t in tokenize("A 1.3 x 2 cm node, left-sided.")]
        ['A', '1.3', 'x', '2', 'cm', 'node', ',', 'left-sided', '.']
    """
    tokens = []
    sided = _BOTH_SIDES.search(text) is not None
    for match in (_TOKEN_OR_SIDES if sided else _TOKEN).finditer(text):
        word = match.group()
        lower = word.lower().replace("\u2019", "'")
        if (word[-1] == "." and len(word) > 1) or lower in ("w/o", "w/"):
            lower = _SHORT[lower.removesuffix(".")]
        elif sided and _BOTH_SIDES.fullmatch(word):
            lower = "left/right"
        elif lower in _ARROWS:
            # "liver -> tumour" heads as a colon does.
            lower = ":"
        # A letter that grows when made small would shift nothing: spans are the text's own.
        tokens.append(_new(Token, (lower, *match.span(), word)))
        if len(tokens) > 1 and tokens[-2].lower in _BARE and lower in words("classes.part"):
            tokens[-2] = tokens[-2]._replace(lower=_SHORT[tokens[-2].lower])
    return tokens


_ASIDE = re.compile(
    r"\bwondering (?:whether|if)\b|(?<=[a-z] )(?-i:[LR])\s?[<>=]\s?(?-i:[LR])(?!\w)"
    r"|\bnot only\b|\bno (?:\w+ ){0,2}?(?:change|difference|alteration) (?:in|of|to)\b"
    r"|\b(?:no )?(?:significant |marked |slight |further )?interval "
    r"(?:change|growth|increase|decrease|progression|enlargement|reduction|improvement|regression|worsening) (?:of|in)"
    r"\b|(?<!\w)[+-]ve\b|\bat right angles\b|\bon (?:contact|palpation|compression|suction|probing)\b"
    r"|\b(?:unlike|relative to|versus|vs\.?|in (?:comparison|contrast) (?:with|to)|compared (?:with|to)) (?:the |its )?"
    r"(?:left|right|other|opposite|contralateral|fellow)\b(?: \w+(?=\s*(?:[.,;]|$)))?"
    r"|\b(?:when |as )?compared (?:with|to) (?:the |its |his |her )?(?:surrounding |adjacent |rest of the )?\w+"
    r"|\b(?:compared?|in comparison) (?:with|to) (?:the )?(?:priors?|previous|last|old|\d{4})(?: \w+)?(?=\s*[:,;])"
    r"|\bleft (?:in situ|in place|behind|alone|open|untreated|unresected)\b|\ball (?:a)?round(?=\s*(?:[.,;]|$))"
    r"|\b(side|end|back|face) (?:by|to) \1\b|\bsince (?:\d{4}|[a-z]+ \d{4}|(?:the )?(?:last|prior|previous) \w+)\b"
    r"|\b(?:felt|noticed|seen|found|reported) by (?:the |her |his )?(?:patient|pt|gp|parents?|mother|father|partner)\b"
    r"|\bon (?:retroflexion|withdrawal|insertion|intubation)\b|\bignore (?:it|them|this|that|these|those)\b"
    r"|(?<=\bclot )on top(?=\s*(?:[.,;]|$))",
    re.IGNORECASE,
)

# What every aside holds: most texts hold none, and this is found ten times faster.
_ASIDE_STEMS = (
    "wondering|interval |not only|change|differ|alter|compar|unlike |contrast |relative |versus |vs|left |round|ignore "
    "|angles|+ve|-ve|<|>|=| on top| by |since|on retr|on with|on ins|on int| to side| to end| to back| to face"
    "|contact|palpation|compression|suction|probing"
).split("|")


def asides(text: str) -> Iterator[tuple[int, int]]:
    """Yield the characters of what says nothing of a target: "wondering whether", "left in situ"."""
    lower = text.lower()
    if any(stem in lower for stem in _ASIDE_STEMS):
        yield from (match.span() for match in _ASIDE.finditer(text))


_SENTENCE = r"(?:^|(?<=[.;]\s))\s*"
# "62F with", "pt": whose history it is.
_PERSON = (
    r"(?:(?:a |an |the |this )?(?:\d{1,3}[ -]?(?:[mf]|y(?:ea)?rs?[ -]old(?: \w+)?|y/?o(?: (?:[mf]|\w*man|\w*male))?)"
    r"|pts?|patient|(?:wo)?man|(?:fe)?male)\b[ ,]*(?:(?:with|is|was|has|had|who|now|known) |w/ ?)*(?:an? )?)"
)
_HEADING = re.compile(
    rf"{_SENTENCE}(?:(?:clinical|relevant) (?:details?|history|info(?:rmation)?|indications?|data|context|notes?)"
    r"|indications?|reason for (?:the )?\w+|(?:past |previous )?(?:medical |surgical |family )?history|[ph]mhx?|hx|hpi"
    r"|(?:presenting )?complaints?|referral|background|technique|comparison|follow[ -]?up|f/u|trauma call|procedure"
    r"|(?:re)?staging|surveillance|\w+ (?:check|review)|review of [^,;:.]+"
    r"|(?:biops(?:y|ies)|specimens?) (?:from|of) [^,;:.]+)"
    r"(?: (?:with|to) (?:the )?[\w/]+(?: \w+)?)?\s?(?::|\s[-\u2013]\s)"
)
# What was done or found before: never asked for where more is named behind it.
_PAST = re.compile(
    rf"{_SENTENCE}{_PERSON}?(?:(?P<lead>status[ -]post|s/p|(?:past |previous )?(?:history|hx) of|background of"
    r"|h/o|hx|pmhx?|pshx?|k/c/o|known case of|follow(?:ing)?[ -]?up(?: of| for| after| on)?|f/u(?: of| for)?"
    r"|complain(?:s|ed|ing) of|c/o|(?:present|referr|admitt)(?:s|ed|ing) (?:for|with)"
    r"|(?:is |was )?(?:worried|concerned|anxious) about"
    r"|(?:(?:partner|wife|husband|mother|father|parents?|gp|family) |(?<=pt )|(?<=patient ))"
    r"(?:has |have )?(?:noticed|reports?|reported))"
    r"|(?P<asked>r/o|(?:to )?rules? out|query|exclude(?! (?:the|any|all|this|its|a)\b)|\?(?=\s?[a-z]))"
    r"|(?P<found>known|prior|previous(?:ly)?)"
    r"|(?P<done>post[ -]?(?:op(?:erative(?:ly)?)?|[a-z]+(?:ion|omy|plasty|scopy|therapy|treatment|biopsy))"
    r"|post[ -][a-z]+ (?:surgery|repair|injection|treatment)|post[ -](?:mi|cabg|tavi|pci|evar|tips|partum|chemo|bx)))\b"
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
    for match in _HEADING.finditer(lower, at):
        stop = _end(_STATEMENT, lower, match.end())
        content = lower[match.end() : stop]
        goes_on = _names(lower[stop : stop + _FAR], parts=not _names(content))
        yield match.start(), stop if goes_on and words("classes.request").isdisjoint(content.split()) else match.end()
    yield from _history(lower, at)
    course = _COURSE.match(lower, at)
    if course and not _says_of_a_thing(course["going"] or "") and _names(lower[course.end() : course.end() + _FAR]):
        yield course.span()


def _history(lower: str, at: int) -> Iterator[tuple[int, int]]:
    """Yield what was done, found or asked before, with its clause where more is named behind that."""
    for match in _PAST.finditer(lower, at):
        stop, kind = _end(_CLAUSE, lower, match.end()), match.lastgroup or "lead"
        clause = lower[match.end() : stop]
        # "Known lesion, liver" may go on, "Known glaucoma; cup large" and "Previous ACL repair, graft" do not.
        apart = kind == "lead" or clause.rstrip().endswith((";", ".")) or _PROCEDURE.search(clause) is not None
        if kind == "asked":
            goes_on = clause.rstrip().endswith((";", ".", ":")) and _names(lower[stop : stop + _FAR], no_anatomy=True)
        else:
            goes_on = _names(lower[stop : stop + _FAR], no_anatomy=not apart, parts=not _names(clause))
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


def after_quotes(tokens: Sequence[Token], i: int) -> int:
    """Return the index after up to three words in quotation marks at `i`, or 0: a figure of speech for a form."""
    if i < 0 or i >= len(tokens) or tokens[i].lower not in QUOTES:
        return 0
    k = i + 1
    while k < min(len(tokens) - 1, i + 4) and tokens[k].is_word:
        k += 1
    # Quoted and alone, a word is a name.
    closed = i + 1 < k < len(tokens) - 1 and tokens[k].lower in QUOTES and tokens[k + 1].is_word
    return k + 1 if closed else 0


def after_short_form(tokens: Sequence[Token], i: int) -> int:
    """Return the index after "(LVOT)" at `i` in "left ventricular outflow tract (LVOT) membrane", or 0."""
    if tokens[i].lower != "(" or i + 3 >= len(tokens) or tokens[i + 2].lower != ")":
        return 0
    short, after = tokens[i + 1].text, tokens[i + 3].lower
    initials = "".join(t.text[0] for t in tokens[max(0, i - len(short)) : i]).upper()
    goes_on = after.isalpha() and not after.endswith(("ed", "ing", "ly"))
    return i + 3 if short == initials and len(short) > 1 and goes_on else 0


def match_phrase(tokens: Sequence[Token], i: int, table: dict[str, tuple[tuple[str, ...], ...]]) -> int:
    """Return the index after the longest phrase of `table` that begins at token `i`, or `i`."""
    for phrase in table.get(tokens[i].lower, ()):
        if stands_at(tokens, i, phrase):
            return i + len(phrase)
    return i


def stands_at(tokens: Sequence[Token], i: int, phrase: tuple[str, ...]) -> bool:
    """Tell whether the words `phrase`, of which the first is known to stand at token `i`, all stand there."""
    if i + len(phrase) > len(tokens):
        return False
    return all(tokens[k].lower == word for k, word in enumerate(phrase, i))


def list_figures(tokens: Sequence[Token]) -> list[int]:
    """Return the tokens that count a list, not the targets: "1) right lung 2) left lung", "a) liver b) spleen"."""
    numerals = [i for i, t in enumerate(tokens[:-1]) if t.lower.isdigit() and tokens[i + 1].lower == ")"]
    dotted = [i for i, t in enumerate(tokens[:-1]) if t.lower.isdigit() and tokens[i + 1].lower == "."]
    numerals += [i for i, t in enumerate(tokens) if i and t.lower.isdigit() and tokens[i - 1].lower == "#"]
    lettered = [i for i, t in enumerate(tokens[:-1]) if len(t.text) == 1 and tokens[i + 1].lower in (")", ".")]
    if len(lettered) > 1 and [tokens[i].lower for i in lettered] == list("abcdefgh")[: len(lettered)]:
        # "a) liver b) spleen"
        numerals += lettered
    if len(dotted) > 1 and [int(tokens[i].lower) for i in dotted] == list(range(1, len(dotted) + 1)):
        numerals += dotted
    return numerals
