"""Names: whether a text begins with one, which keeps its capital, and whether an exchanged word was part of one."""

from __future__ import annotations

import re
from functools import cache

from robustness.perturb.language.grammar.numerals import unspell
from robustness.perturb.language.grammar.vocabulary import category_of, kind_of, words
from robustness.perturb.language.ontology.terms import find_term, forget_on_extend, term_index

# In a name these mean no level: there is no "medial ventricle", no "femoral tail" and no "apical ganglia".
_NAMING = frozenset("lateral medial basal apical cranial caudal head tail dorsal ventral".split())
_POSSESSIVES = frozenset({"patient's", "viewer's", "image's", "observer's", "subject's", "left's", "right's", "body's"})


def is_proper(text: str) -> bool:
    """Tell whether the first word of `text` is capital for a reason: an eponym, an abbreviation, a name.

    Example:
        >>> is_proper("Kerley B lines"), is_proper("T2 bright focus"), is_proper("Fluid tracking")
        (True, True, False)
    """
    first, _, rest = text.strip().replace("\u2019", "'").partition(" ")
    first = re.split(r"[,;:!?]|\(", first, maxsplit=1)[0]
    if not first[:1].isupper():
        return False
    if not re.fullmatch(r"[A-Z][a-z']*(?:-[a-z']+)*\.?", first):
        return True
    lower = first.lower().rstrip(".")
    if lower in words("classes.determiner") or lower == "no" or unspell(lower) is not None:
        return False
    if lower.endswith("'s"):
        return lower not in _POSSESSIVES
    following = rest.split(" ", 1)[0]
    if "-" not in first and _NOUN_BEHIND.match(rest) and not _ADJECTIVE.search(lower) and not _is_word(lower):
        # "Morton neuroma": a word that nothing knows, before the name of a finding.
        return True
    return any(part in _eponyms() for part in (lower, *lower.split("-"))) or (
        len(following) == 1 and following.isupper() and lower not in words("classes.determiner")
    )


_NOUN_BEHIND = re.compile(
    r"(?:\w*(?:oma|itis|osis|cele|lith)s?|cysts?|lesions?|nodes?|nodules?|bod(?:y|ies)|cells?|disease|signs?|deformity|sprain"
    r"|fractures?|hernias?|ulcers?|diverticul\w+|spots?|lines?|rings?|ligaments?|tendons?|glands?|ducts?|canal|triangle|fossa"
    r"|tubes?|catheters?|drains?|clips?|syndrome|malformation|phenomenon|abscess|contracture|tumou?rs?|plaques?|layer|membrane"
    r"|stripe|angle|space|pouch|cave|foramen|sinus|sphincter|valve|muscle|artery|vein|nerve|cartilage)\b",
    re.IGNORECASE,
)
_ADJECTIVE = re.compile(
    r"(?:ar|al|ic|ous|ive|ary|ory|oid|ed|ing|ent|ant|ble|less|ful|ate|ile|ine|y|ern|ior|s|like|ous|tion|sion|ment|ness|ion"
    r"|ure|ity|ism)$"
)


def breaks_a_name(old: str, new: str) -> bool:
    """Tell whether the word that differs was part of a name that has no such counterpart.

    Example:
        >>> breaks_a_name("left lateral ventricle", "left medial ventricle")
        True
        >>> breaks_a_name("pancreatic head", "pancreatic tail"), breaks_a_name("lateral wall", "medial wall")
        (False, False)
    """
    before, after = old.lower().split(" "), new.lower().split(" ")
    at = next((i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), 0)
    if before[at] not in _NAMING and "descending" not in before[at + 1 :]:
        return False
    spans = [(i, j) for i in range(at + 1) for j in range(at + 1, len(before) + 1) if j - i > 1]
    named = [(i, j) for i, j in spans if find_term(" ".join(before[i:j])) is not None]
    return any(find_term(" ".join(after[i:j])) is None for i, j in named)


@cache
def _words() -> frozenset[str]:
    """Return the small words of all names of the ontology."""
    written = {
        w for group in term_index().values() for t in group for name in (t.name, t.plural) for w in name.split(" ")
    }
    return frozenset(w for w in written if w.islower())


def _is_word(lower: str) -> bool:
    """Tell whether anything knows a word as one of the language, and not as a name of a person."""
    return lower in _words() or bool(kind_of(lower)) or bool(category_of(lower))


@cache
def _eponyms() -> frozenset[str]:
    """Return the names that are listed, and the first words of the ontology's names that it writes with a capital."""
    written = {t.name for group in term_index().values() for t in group}
    firsts = {w.split(" ", 1)[0].removesuffix("'s") for w in written if w[:1].isupper() and w[1:2].islower()}
    return words("classes.eponym") | {w.lower() for w in firsts}


for _cached in (_eponyms, _words):
    forget_on_extend(_cached)
