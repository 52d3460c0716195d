"""Tokens of a prompt: words (hyphens and apostrophes inside), figures and single signs, each with its characters."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from robustness.perturb.language.grammar.vocabulary import words
from robustness.perturb.language.ontology.modifiers import pairs

# Abbreviations whose dot ends no sentence, with what they stand for.
_SHORT = pairs(
    "irreg>irregular; approx>approximately; ant>anterior; post>posterior; sup>superior; inf>inferior; lat>lateral; "
    "med>medial; prox>proximal; dist>distal; bilat>bilateral; susp>suspicious; poss>possible; prob>probable; "
    "sag>sagittal; transv>transverse; ca>circa; incl>including; excl>excluding; mod>moderate; lt>lt; rt>rt; "
    "diff>differentiated; ill-def>ill-defined; well-def>well-defined; asc>ascending; desc>descending; "
    "temp>temporal; nas>nasal; adj>adjacent; nr>near; w>with; w/o>without; w/>with; b/w>between"
)
# Without a dot, these stand for nothing else; others do before a part ("post wall") or "to" ("inf to the disc").
_ALWAYS = frozenset("irreg prox dist approx transv susp prob poss mod asc desc ill-def well-def adj nr b/w".split())
_GRADES = {"poorly": "poorly", "well": "well", "moderate": "moderately", "moderately": "moderately"}
_BARE = frozenset("ant post sup inf lat med temp nas".split())
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
    rf"|(?:{'|'.join(w for w in _SHORT if '/' not in w)})\.(?=[\s,])|w/o(?!\w)|w/(?=\s)"
    r"|(?:is|are|was|were|does|do|did|has|have|had|could|would|should)(?=n['\u2019]t(?!\w))|n['\u2019]t(?!\w)"
    r"|[-=]>|#s(?!\w)|T2\*(?:-?w(?:eighted)?)?|[^\W_]+(?:(?:[-'\u2019&+]|(?<=\d)/|/(?!\d)|(?<=\d)[.,](?=\d))[^\W_]+)*(?:\(e?s\))?|\S"
)
_TOKEN = re.compile(_WORD, re.IGNORECASE)
_TOKEN_OR_SIDES = re.compile(rf"{_BOTH_SIDES.pattern}|{_WORD}", re.IGNORECASE)

# "# NOF", "# 5th metatarsal", no "#2" and no heading.
_FRACTURE = re.compile(r"#(?!#)\s?(?=[a-z]|[A-Z]{2}|[A-Z]\d|\d+(?:st|nd|rd|th)\b)|(?<=\w )#(?=\s*(?:[,.;]|$))")
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
        if (word[-1] == "." and len(word) > 1) or lower in ("w/o", "w/") or (lower in _ALWAYS and not word.isupper()):
            lower = _SHORT[lower.removesuffix(".")]
        elif lower in ("n't", "can't", "cant"):
            # "isn't" is read as "is not".
            lower = "not" if lower == "n't" else "cannot"
        elif sided and _BOTH_SIDES.fullmatch(word):
            lower = "left/right"
        elif lower == "#s":
            lower = "fractures"
        elif word == "#" and _FRACTURE.match(text, match.start()):
            lower = "fracture"
        elif lower in _ARROWS:
            # "liver -> tumour" heads as a colon does.
            lower = ":"
        # A letter that grows when made small would shift nothing: spans are the text's own.
        tokens.append(_new(Token, (lower, *match.span(), word)))
        before = tokens[-2].lower if len(tokens) > 1 else ""
        if before in _BARE and (lower == "to" or lower in _BARE or lower in words("classes.part")):
            tokens[-2] = tokens[-2]._replace(lower=_SHORT[before])
            if lower in _BARE:
                tokens[-1] = tokens[-1]._replace(lower=_SHORT[lower])  # "sup temp arcade"
        elif lower == "diff" and before in _GRADES:
            tokens[-1] = tokens[-1]._replace(lower="differentiated")
            tokens[-2] = tokens[-2]._replace(lower=_GRADES[before])
        elif before == "w" and len(tokens) > 2 and tokens[-1].is_word and tokens[-3].lower[-1].isalpha():
            tokens[-2] = tokens[-2]._replace(lower="with")
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
    r"|\b(side|end|back|face) (?:by|to) \1\b|\bsince (?:\d{4}|[a-z]+ \d{4}|(?:the )?(?:last|prior|previous)(?: \w+)?)\b"
    r"|\b(?:felt|noticed|seen|found|reported) by (?:the |her |his )?(?:patient|pt|gp|parents?|mother|father|partner)\b"
    r"|\bon (?:retroflexion|withdrawal|insertion|intubation)\b|\bignore (?:it|them|this|that|these|those)\b"
    r"|\bfor (?:age|dates|gestation)\b"
    r"|(?:^|(?<=[.;]\s))count (?!aside\b)(?:all |the )?(?=\w)"
    r"|(?<=\bclot )on top(?=\s*(?:[.,;]|$))",
    re.IGNORECASE,
)

# What every aside holds: most texts hold none, and this is found ten times faster.
_ASIDE_STEMS = (
    "wondering|interval |not only|change|differ|alter|compar|unlike |contrast |relative |versus |vs|left |round|ignore "
    "|angles|+ve|-ve|<|>|=|for age|for dates|for gest|count | on top| by |since|on retr|on with|on ins"
    "|on int| to side| to end| to back| to face|contact|palpation|compression|suction|probing"
).split("|")


def asides(text: str) -> Iterator[tuple[int, int]]:
    """Yield the characters of what says nothing of a target: "wondering whether", "left in situ"."""
    lower = text.lower()
    if any(stem in lower for stem in _ASIDE_STEMS):
        yield from (match.span() for match in _ASIDE.finditer(text))


def is_beside(tokens: Sequence[Token], tags: Sequence[str], i: int, hi: int) -> bool:
    """Tell whether "adjacent" stands before a noun at the start of a statement: it relates to what is told before."""
    opens = tags[i] == "word" and list(tags[i + 1 : min(i + 2, hi)]) == ["word"]
    return opens and tokens[i].lower in words("classes.beside")


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


def spans_of(tokens: Sequence[Token], names: tuple[str, ...]) -> tuple[tuple[int, int], ...]:
    """Return the tokens [first, last) where one of `names` stands."""
    if not names:
        return ()
    lower = [t.lower for t in tokens]
    spans = []
    for parts in (tuple(t.lower for t in tokenize(name)) for name in names):
        size = len(parts)
        spans += [(i, i + size) for i in range(len(lower) - size + 1) if size and tuple(lower[i : i + size]) == parts]
    return tuple(spans)
