"""The ontology: anatomy, findings and instruments with plurals, synonyms, kinds, wholes, sides and modalities.

The rows lie in ``terms.csv`` beside this file, curated for this project from general medical knowledge. A user's own
file of the same columns adds to them (`extend`), for the process that opened it.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from robustness.errors import InputError, suggest
from robustness.perturb.language.ontology.modifiers import pairs

COLUMNS = (
    "name",
    "plural",
    "synonyms",
    "is_a",
    "part_of",
    "lateral",
    "modalities",
    "region",
    "category",
    "salient",
    "source",
)
CATEGORIES = ("anatomy", "finding", "instrument")
_EXTRA: dict[str, tuple[Term, ...]] = {}


class Term(NamedTuple):
    """One thing that can be outlined.

    Attributes:
        name, plural: as written in running text; equal where there is no plural.
        synonyms: other names of the same thing, singular.
        is_a: its broader kinds; `part_of`: the wholes that hold it.
        lateral: there is one on the left and one on the right.
        modalities: the images that show it, by the product's names; empty where not known.
        region: the part of the body ("head", "eye", "abdomen", ...; "any").
        category: "anatomy", "finding" or "instrument".
        salient: large or common enough that an image of its kind and region may well show it.
        source: where the row comes from.
    """

    name: str
    plural: str
    synonyms: tuple[str, ...]
    is_a: tuple[str, ...]
    part_of: tuple[str, ...]
    lateral: bool
    modalities: tuple[str, ...]
    region: str
    category: str
    salient: bool
    source: str


@cache
def terms() -> tuple[Term, ...]:
    """Return every term: the shipped ones in the order of the file, then those of the user's files."""
    text = resources.files("robustness.perturb.language.ontology").joinpath("terms.csv").read_text(encoding="utf-8")
    shipped = tuple(_rows(csv.DictReader(text.splitlines())))
    return (*shipped, *(term for path in sorted(_EXTRA) for term in _EXTRA[path]))


@cache
def term_index() -> dict[str, tuple[Term, ...]]:
    """Return small-letter names, plurals and synonyms (singular and plural) -> the terms called so."""
    index: dict[str, list[Term]] = {}
    for term in reversed(terms()):
        for name in spellings(term):
            group = index.setdefault(name.lower(), [])
            if term not in group:
                # What is added later speaks first, names before synonyms.
                group.insert(0, term) if name in (term.name, term.plural) else group.append(term)
    return {name: tuple(group) for name, group in index.items()}


def spellings(term: Term) -> Iterator[str]:
    """Yield the names of a term: its own, its plural, its synonyms and their plurals."""
    yield term.name
    yield term.plural
    for synonym in term.synonyms:
        yield synonym
        if term.plural != term.name and not synonym.isupper():
            yield plural_of(synonym)


def find_term(name: str) -> Term | None:
    """Return the term called `name` (any case, singular, plural or synonym), or None."""
    matches = term_index().get(name.lower().strip())
    return matches[0] if matches else None


def extend(path: str | Path) -> None:
    """Add the terms of a user's CSV file: the columns of ``terms.csv``, of which only `name` is needed.

    Lists inside a cell are parted by "|". What a user's row names overrides a shipped row of the same name.

    Raises:
        InputError: the file cannot be read, has no `name` column, an unknown column or an unknown category.
    """
    source = Path(path)
    key = str(source.expanduser().resolve())
    try:
        text = source.expanduser().read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"data.lexicon: expected a readable CSV file in UTF-8, got {path} ({error})") from error
    reader = csv.DictReader(text.splitlines())
    columns = list(reader.fieldnames or ())
    if "name" not in columns:
        raise InputError(
            f"data.lexicon: expected the column 'name' in {path}, got {', '.join(columns) or 'no columns'}"
        )
    wrong = next((c for c in columns if c not in COLUMNS), None)
    if wrong is not None:
        raise InputError(
            f"data.lexicon: expected columns among {', '.join(COLUMNS)}, got {wrong!r}{suggest(wrong, list(COLUMNS))}"
        )
    rows = tuple(_rows(reader, path=str(path)))
    if _EXTRA.get(key) != rows:
        _EXTRA[key] = rows
        for listener in (terms, term_index, *_LISTENERS):
            listener.cache_clear()  # type: ignore[attr-defined]


_LISTENERS: list[object] = []


def forget_on_extend(cached: object) -> None:
    """Name a cached function whose result depends on the terms, so that `extend` clears it."""
    _LISTENERS.append(cached)


def _rows(reader: Iterable[dict[str, str]], *, path: str = "") -> Iterator[Term]:
    for number, row in enumerate(reader, start=2):
        name = (row.get("name") or "").strip()
        if not name:
            raise InputError(f"data.lexicon: expected a name in line {number} of {path or 'terms.csv'}, got none")
        category = (row.get("category") or "finding").strip()
        if category not in CATEGORIES:
            raise InputError(
                f"data.lexicon: expected a category among {', '.join(CATEGORIES)} in line {number}, got {category!r}"
            )
        yield Term(
            name,
            (row.get("plural") or "").strip() or plural_of(name),
            _listed(row, "synonyms"),
            _listed(row, "is_a"),
            _listed(row, "part_of"),
            (row.get("lateral") or "").strip() in ("1", "true", "yes"),
            _listed(row, "modalities"),
            (row.get("region") or "any").strip() or "any",
            category,
            (row.get("salient") or "").strip() in ("1", "true", "yes"),
            (row.get("source") or "").strip() or path,
        )


def _listed(row: dict[str, str], column: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in (row.get(column) or "").split("|") if part.strip())


_IRREGULAR = pairs(
    "foot>feet; tooth>teeth; matter>matter; tissue>tissues; mitosis>mitoses; axis>axes; nucleus>nuclei; "
    "thrombus>thrombi; focus>foci; locus>loci; calculus>calculi; gyrus>gyri; sulcus>sulci; atrium>atria; "
    "septum>septa; hilum>hila; ovum>ova; vertebra>vertebrae; fistula>fistulae; bulla>bullae; "
    "metastasis>metastases; naevus>naevi; diagnosis>diagnoses; stenosis>stenoses; phalanx>phalanges; "
    "larynx>larynges; apex>apices; cortex>cortices; ganglion>ganglia; diverticulum>diverticula; testis>testes; "
    "child>children; embolus>emboli; meniscus>menisci; bronchus>bronchi; villus>villi; glomerulus>glomeruli; "
    "bacterium>bacteria; nevus>nevi; keratosis>keratoses; prosthesis>prostheses"
)


def plural_of(name: str) -> str:
    """Return a name's plural by rule, its head noun before "of" changed: "islet of X" gives "islets of X"."""
    head, of, rest = name.partition(" of ")
    words = head.split(" ")
    last = words[-1]
    lower = last.lower()
    if lower in _IRREGULAR:
        new = _IRREGULAR[lower]
        new = new[0].upper() + new[1:] if last[:1].isupper() and not last.isupper() else new
    elif lower.endswith("y") and lower[-2:-1] not in "aeiou":
        new = last[:-1] + "ies"
    elif lower.endswith(("s", "x", "ch", "sh", "z")):
        new = last + "es"
    else:
        new = last + "s"
    return " ".join([*words[:-1], new]) + of + rest
