"""Indexes of the lexicon for reading: which word is of which kind, and which words name a target."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, lru_cache

from robustness.perturb.language.grammar.numerals import spell, unspell
from robustness.perturb.language.lexicon import class_index, find_class, words_by_kind

Index = Mapping[str, Sequence[tuple[str, ...]]]
TOKEN = re.compile(r"[^\W_]+(?:[-'][^\W_]+)*")
_HEART = ("ventric", "atri", "coronary", "circumflex", "bundle")


def is_number(word: str) -> bool:
    """Tell whether a word is a number or a word such as "several"."""
    return unspell(word) is not None or word.lower() in words_by_kind()["number"]


@cache
def adjectives() -> dict[str, str]:
    """Return word -> kind for what may stand before a target."""
    kinds = ("size", "colour", "shape", "pathology")
    table = words_by_kind()
    return {v: kind for kind in reversed(kinds) for v, row in table[kind].items() if row.form == "adjective"}


@cache
def noun_shapes() -> frozenset[str]:
    """Return the shapes that are nouns."""
    return frozenset(v for v, row in words_by_kind()["shape"].items() if row.form == "noun")


@cache
def anywhere() -> dict[str, str]:
    """Return word -> kind for what means the same wherever it stands."""
    planes = dict.fromkeys(("axial", "coronal", "sagittal"), "view")
    sexes = dict.fromkeys(words_by_kind()["sex"], "sex")
    return {**planes, **sexes, "benign": "pathology", "malignant": "pathology"}


@cache
def names() -> Index:
    """Return first word -> word tuples of the lexicon's target names, longest first."""
    return _index_of(class_index())


def names_a_class(text: str) -> bool:
    """Tell whether a word of `text` begins one of those names."""
    index = names()
    return any(word in index for word in TOKEN.findall(text.lower()))


@lru_cache(maxsize=4096)
def own_names(*names: str) -> Index:
    """Return the index of the names that a case itself gives, with their plurals."""
    bare = [_bare(name) for name in names if name.strip()]
    rows = [row for name in bare if (row := find_class(name))]
    return _index_of([*bare, *(f"{name}s" for name in bare), *(n for row in rows for n in (row.name, row.plural))])


def _index_of(names: Iterable[str]) -> Index:
    index: dict[str, set[tuple[str, ...]]] = {}
    for name in names:
        words = tuple(m.group().lower() for m in TOKEN.finditer(name))
        if words:
            index.setdefault(words[0], set()).add(words)
    return {first: tuple(sorted(group, key=lambda w: (-len(w), w))) for first, group in index.items()}


def _bare(name: str) -> str:
    """Return `name` without a leading side word, which is laterality unless it belongs to a heart chamber's name."""
    words = name.split()
    sided = len(words) > 1 and words[0].lower() in ("left", "right", "both", "bilateral")
    return " ".join(words[1:]) if sided and not words[1].lower().startswith(_HEART) else name


@cache
def plain_words() -> dict[str, str]:
    """Return word -> kind for single words that mean the same before every target, being part of no name or frame."""
    first = {name.split(" ")[0] for name in class_index()}
    numbers = {spell(n): "number" for n in range(1, 100)} | {"no": "number", "several": "number", "many": "number"}
    plain = {**numbers, **{word: kind for word, kind in adjectives().items() if word.isalpha()}}
    return {word: kind for word, kind in plain.items() if word not in first}
