"""Words that count: those that no rule read (a sign of a wrong reading), and those that pick one thing of several."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

from robustness.perturb.language.grammar.scan import is_core
from robustness.perturb.language.grammar.tokens import Token, tokenize
from robustness.perturb.language.grammar.vocabulary import category_of, kind_of, words
from robustness.perturb.language.inflection import is_plural, singular_of
from robustness.perturb.language.lexicon import find_class, singular
from robustness.perturb.language.ontology.terms import find_term
from robustness.perturb.language.template_shape import is_template
from robustness.types import Attribute, Prompt

# "distally", "then" and the like say little; these tell the target, its look or its side and place.
_TELLING = frozenset("size colour shape texture margin signal side place location pathology".split())
# Nouns of frames and requests, which the ontology knows as parts of the body as well.
_FRAMES = frozenset(
    "angle angles area areas border borders bottom contour corner corners cut dead edge edges filling half little "
    "margin margins mark middle outline part parts quadrant region regions rest segment side sides third thirds "
    "trace".split()
)
_OF_IMAGES = frozenset(
    "image images scan scans photo photograph photographs film films background slice slices".split()
)
_BRACKETED = re.compile(r"\([^()]*\)|\[[^\[\]]*\]")
_CLAUSE = re.compile(r"[.,;:!?](?=\s|$)|\b(?:but|however|yet)\b", re.IGNORECASE)
_WITH = re.compile(r"\bwith\b", re.IGNORECASE)
_EXCLUDES = re.compile(r"\bexclude|\brule", re.IGNORECASE)
# What follows these is no denial's: it is what a prompt is about.
_SETS_APART = re.compile(r"\b(?:apart|aside|except\w*|other|save)\b", re.IGNORECASE)


def unread_words(prompt: Prompt) -> tuple[str, ...]:
    """Return the names and describing words of a prompt that lie in none of its attributes, in the order of the text.

    Not counted is what needs no reading: what the same clause denies or excludes ("without the cyst"), what "with"
    adds to a target, a part of the body behind a preposition ("3 cm from the nipple"), what stands in brackets, and a
    word that was read elsewhere in the prompt. A prompt in the shape of the benchmark's templates has none.

    Args:
        prompt: as `parse_prompt` returns it.

    Returns:
        The words as they are written; () where every word that could matter was read.

    Example:
        >>> from robustness.perturb.language.parse import parse_prompt
        >>> unread_words(parse_prompt("small polyp, located in top left of the image"))
        ()
    """
    if is_template(prompt.text, prompt.attributes, is_stated=True):
        return ()
    tokens = tokenize(prompt.text)
    read = [(a.start, a.stop) for a in prompt.attributes]
    settled = _marked(prompt.text, read + _passed_over(prompt, _marked(prompt.text, read)))
    scans = {a.start for a in prompt.attributes if a.kind in ("modality", "view")}
    of_scans = {a for a, b in pairwise(tokens) if b.start in scans or _names_a_scan(b.lower)}
    words_read = {t.lower for t in tokens if any(settled[t.start : t.stop])}
    return tuple(
        token.text
        for i, token in enumerate(tokens)
        if token.is_word and token.lower not in words_read and token not in of_scans and _tells(tokens, i)
    )


def unread_findings(prompt: Prompt) -> tuple[str, ...]:
    """Return those of the `unread_words` that name a finding: what the prompt asks for may be one of them.

    Of 41 notes of one to three statements for which no rule was made, 8 were read with a wrong target; 5 of these had
    an unread finding, and 3 of the 33 others (29 November 2026, docs/prompts.md).
    """
    return tuple(word for word in unread_words(prompt) if category_of(word.lower()) == "finding")


def _names_a_scan(lower: str) -> bool:
    """Tell whether what stands before a word is a part of a picture's name: "brain MRI", "dark background"."""
    return is_core(lower) or lower in _OF_IMAGES


def _marked(text: str, spans: Sequence[tuple[int, int]]) -> bytearray:
    """Return one byte for each character: 1 inside of the spans."""
    marked = bytearray(len(text))
    for start, stop in spans:
        marked[start:stop] = b"\1" * (stop - start)
    return marked


def _passed_over(prompt: Prompt, read: bytearray) -> list[tuple[int, int]]:
    """Return the characters [start, stop) where nothing need be read."""
    text = prompt.text
    bounds = [0, *(m.start() for m in _CLAUSE.finditer(text) if not read[m.start()]), len(text)]
    denials = [a.start for a in prompt.attributes if _denies(a.kind, a.value)]
    named = min((a.stop for a in prompt.attributes if a.kind == "target"), default=len(text))
    spans = [match.span() for match in _BRACKETED.finditer(text)]
    for start, stop in pairwise(bounds):
        if any(start <= at < stop for at in denials):
            spans.append((start, stop))
        added = _WITH.search(text, start, stop)
        if added and named <= added.start():
            spans.append((added.start(), stop))
    return spans


def _denies(kind: str, value: str) -> bool:
    if kind == "negation":
        return _SETS_APART.search(value) is None
    return kind == "certainty" and _EXCLUDES.search(value) is not None


def _tells(tokens: Sequence[Token], i: int) -> bool:
    lower = tokens[i].lower
    if lower in _FRAMES or any(lower in words(f"classes.{name}") for name in ("residue", "device", "cover")):
        return False
    if kind_of(lower) in _TELLING or category_of(lower) == "finding":
        return True
    return category_of(lower) == "anatomy" and not _is_landmark(tokens, i)


def _is_landmark(tokens: Sequence[Token], i: int) -> bool:
    """Tell whether a preposition stands before the name at `i`: "3 cm from the nipple"."""
    before = [token.lower for token in tokens[max(0, i - 2) : i]]
    if before and before[-1] in words("classes.determiner"):
        before.pop()
    return bool(before) and before[-1] in words("classes.preposition")


_COMPARES = re.compile(
    r"\b(?:\w+-)?(?:larg|small|bigg|long|short|thick|thinn|wid|narrow|bright|dark|deep|low|high|clos|near|furth|farth)(?:er|est)\b|\bdominant\b"
)


def is_selecting(prompt: Prompt, old: Attribute) -> bool:
    """Tell whether a value by itself picks one of several, so that the image may hold another: nobody knows which.

    The side of a paired organ that is itself the target ("left kidney"), a comparison ("the largest tumour") and the
    direction of a part ("anterior horn"). The side of a landmark ("cyst in the left kidney") does not pick the cyst.
    """
    target = _owner(prompt, old)
    if target is None or old.role != "target":
        return False
    if _COMPARES.search(old.value.lower()):
        return True
    if old.kind == "place" and old.stop <= target.start:
        # "L1 vertebral body", "RUL bronchus": of many.
        return category_of(target.value.lower().rsplit(" ", 1)[-1]) == "anatomy"
    if old.kind == "direction":
        return target.start <= old.start < target.stop or old.stop <= target.start
    return old.kind == "side" and not is_plural(target.value) and _is_paired(target.value)


def _owner(prompt: Prompt, old: Attribute) -> Attribute | None:
    """Return the target that a value speaks of: the one behind an adjective, of two the nearest before."""
    targets = [a for a in prompt.attributes if a.kind == "target"]
    behind = next((t for t in targets if old.start < t.stop), None)
    before = next((t for t in reversed(targets) if t.stop <= old.start), None)
    if behind is not None and re.fullmatch(r"[\w\s,-]*", prompt.text[old.stop : behind.start]):
        words = prompt.text[old.stop : behind.start].split()
        if before is None or not {"and", "of", "in", "with", "on"} & {w.lower() for w in words}:
            return behind
    return before or prompt.get("target")


def _is_paired(target: str) -> bool:
    row, term = find_class(target), find_term(singular_of(target))
    head = find_term(target.lower().rsplit(" ", 1)[-1])
    return bool((row and row.lateral) or (term and term.lateral) or (head and head.lateral))


# Every drop compares the target of its case with all the others of the data, which have few names.
@lru_cache(maxsize=4096)
def same_target(a: str, b: str) -> bool:
    """Tell whether two target names are of one thing, singular or plural, a part named with or without its whole."""
    one, two = (singular(singular_of(name.lower().partition(" of ")[0])) for name in (a, b))
    return singular(a) == singular(b) or (one == two and bool(one))
