"""Need for words: whether a prompt still means one and the same thing without them."""

from __future__ import annotations

import re
from functools import lru_cache

from robustness.perturb.language.grammar.vocabulary import category_of
from robustness.perturb.language.inflection import is_plural, singular_of
from robustness.perturb.language.lexicon import find_class, singular
from robustness.perturb.language.ontology.terms import find_term
from robustness.types import Attribute, Prompt

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
