"""Whether the first word of a text is a name or an abbreviation, which keeps its capital inside a sentence."""

from __future__ import annotations

import re
from functools import cache

from robustness.perturb.language.grammar.vocabulary import words
from robustness.perturb.language.ontology.terms import forget_on_extend, term_index

_POSSESSIVES = frozenset({"patient's", "viewer's", "image's", "observer's", "subject's", "left's", "right's", "body's"})


def is_proper(text: str) -> bool:
    """Tell whether the first word of `text` is capital for a reason: an eponym, an abbreviation, a name.

    Example:
        >>> is_proper("Kerley B lines"), is_proper("T2 bright focus"), is_proper("Fluid tracking")
        (True, True, False)
    """
    first, _, rest = text.strip().replace("\u2019", "'").partition(" ")
    first = re.split(r"[,;:]", first, maxsplit=1)[0]
    if not first[:1].isupper():
        return False
    if not re.fullmatch(r"[A-Z][a-z']*(?:-[a-z']+)*\.?", first):
        return True
    lower = first.lower().rstrip(".")
    if lower.endswith("'s"):
        return lower not in _POSSESSIVES
    following = rest.split(" ", 1)[0]
    return any(part in _eponyms() for part in (lower, *lower.split("-"))) or (
        len(following) == 1 and following.isupper() and lower not in words("classes.determiner")
    )


@cache
def _eponyms() -> frozenset[str]:
    """Return the names that are listed, and the first words of the ontology's names that it writes with a capital."""
    written = {t.name for group in term_index().values() for t in group}
    firsts = {w.split(" ", 1)[0].removesuffix("'s") for w in written if w[:1].isupper() and w[1:2].islower()}
    return words("classes.eponym") | {w.lower() for w in firsts}


forget_on_extend(_eponyms)
