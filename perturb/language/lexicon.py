"""The lexicon: words by kind with their opposites, classes with their modality, rare words; each row has a source.

The rows lie in ``lexicon_words.csv``, ``lexicon_classes.csv``, ``lexicon_synonyms.csv``, ``lexicon_descriptions.csv``
and ``lexicon_rare.csv`` beside this file and are read once. Everything works without any further corpus.
"""

from __future__ import annotations

import csv
from functools import cache
from importlib import resources
from typing import NamedTuple


class Word(NamedTuple):
    """A value of one kind; `form` is "adjective" or "noun" (a noun shape counts only in a shape slot)."""

    kind: str
    value: str
    opposites: tuple[str, ...]
    form: str
    source: str


class Class(NamedTuple):
    """A target class; `lateral` tells whether a side word before it is laterality and no part of the name."""

    name: str
    plural: str
    dataset: str
    modality: str
    lateral: bool
    source: str


class Synonym(NamedTuple):
    """Other words for a value of one kind, best first."""

    kind: str
    value: str
    synonyms: tuple[str, ...]
    source: str


class Description(NamedTuple):
    """A general description of a class: "which is a growth on the inner wall of the bowel"."""

    name: str
    text: str
    source: str


def _rows(name: str) -> list[dict[str, str]]:
    text = resources.files("robustness.perturb.language").joinpath(name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


@cache
def words() -> tuple[Word, ...]:
    """Return every known value."""
    return tuple(
        Word(r["kind"], r["value"], tuple(filter(None, r["opposites"].split("|"))), r["form"], r["source"])
        for r in _rows("lexicon_words.csv")
    )


@cache
def words_by_kind() -> dict[str, dict[str, Word]]:
    """Return kind -> lower-cased value -> row."""
    by_kind: dict[str, dict[str, Word]] = {}
    for row in words():
        by_kind.setdefault(row.kind, {})[row.value] = row
    return by_kind


@cache
def classes() -> tuple[Class, ...]:
    """Return every known target class, in the order of the file."""
    return tuple(
        Class(r["name"], r["plural"], r["dataset"], r["modality"], r["lateral"] == "1", r["source"])
        for r in _rows("lexicon_classes.csv")
    )


@cache
def class_index() -> dict[str, Class]:
    """Return lower-cased singular and plural names -> row."""
    index: dict[str, Class] = {}
    for row in classes():
        index.setdefault(row.name.lower(), row)
        index.setdefault(row.plural.lower(), row)
    return index


def find_class(name: str) -> Class | None:
    """Return the class called `name`, singular or plural, in any case."""
    return class_index().get(name.lower().strip())


def singular(name: str) -> str:
    """Return the lower-cased singular of a known class name; an unknown name comes back lower-cased."""
    row = find_class(name)
    return row.name.lower() if row else name.lower().strip()


def plural(name: str) -> str | None:
    """Return the plural of a known singular class name, or None for a plural or unknown name."""
    row = find_class(name)
    if row is None or row.name.lower() != name.lower().strip() or row.plural == row.name:
        return None
    return row.plural


@cache
def synonyms() -> dict[tuple[str, str], Synonym]:
    """Return (kind, lower-cased value) -> row."""
    rows = _rows("lexicon_synonyms.csv")
    listed = (Synonym(r["kind"], r["value"], tuple(r["synonyms"].split("|")), r["source"]) for r in rows)
    return {(row.kind, row.value): row for row in listed}


@cache
def descriptions() -> dict[str, tuple[Description, ...]]:
    """Return lower-cased class name -> its descriptions, in the order of the file."""
    by_name: dict[str, tuple[Description, ...]] = {}
    for r in _rows("lexicon_descriptions.csv"):
        row = Description(r["name"], r["description"], r["source"])
        by_name[row.name.lower()] = (*by_name.get(row.name.lower(), ()), row)
    return by_name


@cache
def rare_words(pos: str) -> tuple[str, ...]:
    """Return the shipped rare words of a part of speech ("noun" or "adjective"), sorted."""
    return tuple(sorted(r["word"] for r in _rows("lexicon_rare.csv") if r["pos"] == pos))


RARE_SOURCE = "curated list of rare English words (wordfreq Zipf frequency below 1.5)"
