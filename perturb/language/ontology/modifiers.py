"""Words that modify a target, by kind, each with its opposites: the rows of ``modifiers.csv`` beside this file."""

from __future__ import annotations

import csv
from functools import cache
from importlib import resources
from typing import NamedTuple


class Modifier(NamedTuple):
    """A value of one kind and what contradicts it, best first."""

    kind: str
    value: str
    opposites: tuple[str, ...]
    source: str


@cache
def modifiers() -> dict[str, dict[str, Modifier]]:
    """Return kind -> small-letter value -> row."""
    text = resources.files("robustness.perturb.language.ontology").joinpath("modifiers.csv").read_text(encoding="utf-8")
    rows: dict[str, dict[str, Modifier]] = {}
    for r in csv.DictReader(text.splitlines()):
        row = Modifier(r["kind"], r["value"], tuple(filter(None, r["opposites"].split("|"))), r["source"])
        rows.setdefault(row.kind, {})[row.value.lower()] = row
    return rows


def phrases(kind: str) -> tuple[tuple[str, ...], ...]:
    """Return the values of `kind` that have several words, as word tuples, longest first."""
    several = [tuple(value.split(" ")) for value in modifiers().get(kind, {}) if " " in value]
    return tuple(sorted(several, key=lambda words: (-len(words), words)))


def pairs(text: str) -> dict[str, str]:
    """Return "a>b; c>d" as a dict.

    Example:
        >>> pairs("upper>lower; left>right")
        {'upper': 'lower', 'left': 'right'}
    """
    return {old: new for old, _, new in (pair.partition(">") for pair in text.split("; "))}
