"""A figure in words: what it says, and the table behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from robustness.reports.data.datatable import CellKind, Column, DataTable

_KINDS: dict[str, CellKind] = {"condition": "condition", "verdict": "verdict", "baseline_mean": "number"}
_KINDS |= dict.fromkeys(
    (
        "series",
        "metric",
        "model",
        "dataset",
        "outcome",
        "grouping",
        "group",
        "note",
        "reading",
        "text",
        "finetuned_on",
        "tested_on",
    ),
    "text",
)
_KINDS |= dict.fromkeys(("n_images", "n_subjects", "n", "severity", "rank"), "count")
_KINDS |= {"p_adjusted": "p", "interaction_p": "p"}
_ROWS = frozenset({"estimate", "effect", "n_images", "n"})


@dataclass(frozen=True)
class FigureText:
    """A figure without its drawing; `family` names its entry in `FIGURES`, `key` the series or kind of change drawn.

    `says` are sentences that stand below the drawing.
    """

    id: str
    family: str
    key: str
    title: str
    alt: str
    table: DataTable
    says: tuple[str, ...] = ()


def columns(*pairs: tuple[str, str]) -> Sequence[Column]:
    """Return columns from (name, label) pairs; the kind of a cell follows from the column's name."""
    return tuple(
        Column(name, label, _KINDS.get(name, "number"), link="rows" if name in _ROWS else "") for name, label in pairs
    )


def capital(words: str) -> str:
    """Return `words` with a capital first letter."""
    return words[:1].upper() + words[1:]


CLAIM_COLUMNS = columns(
    ("series", "model"),
    ("condition", "condition"),
    ("metric", "metric"),
    ("verdict", "verdict"),
    ("estimate", "estimate"),
    ("ci_low", "low"),
    ("ci_high", "high"),
    ("margin", "margin"),
    ("n_images", "cases"),
    ("n_subjects", "units"),
)
EFFECT_COLUMNS = columns(
    ("series", "model"),
    ("condition", "condition"),
    ("clean_mean", "clean"),
    ("perturbed_mean", "changed"),
    ("effect", "loss"),
    ("ci_low", "low"),
    ("ci_high", "high"),
    ("n_images", "cases"),
    ("n_subjects", "units"),
)
