"""Verdicts arranged for reading: by attribute for the prompt, by kind of change for robustness."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from robustness.reports.data.datatable import plain
from robustness.reports.data.frames import Frames
from robustness.reports.words import condition_words, count, friendly, image_kind, interval, kind_words, number, text
from robustness.results import parse_condition

ORDER = (
    *(verdict + star for verdict in ("FOLLOWS", "REACTS", "UNSTABLE", "IGNORES") for star in ("", "*")),
    "HALLUCINATES",
    "ABSTAINS",
    "INCONCLUSIVE",
    "UNTESTABLE",
)
ROBUST_ORDER = ("FRAGILE", "FRAGILE*", "INCONCLUSIVE", "ROBUST*", "ROBUST", "UNTESTABLE")


_BY_DICE = "By Dice it is decided that the class is not heeded: see “Read this first”."


@dataclass(frozen=True)
class Claim:
    """One verdict; `row` is its place in the verdict table, `says` its sentence with names in plain words.

    `why` says of an undecided claim what would have decided it.
    """

    row: int
    series: str
    condition: str
    metric: str
    verdict: str
    sentence: str
    estimate: float | None
    ci_low: float | None
    ci_high: float | None
    margin: float | None
    n_subjects: int | None
    severity: int = 0
    says: str = ""
    why: str = ""
    level: float | None = None


@dataclass(frozen=True)
class Line:
    """One condition of an attribute: a claim (or None) per series."""

    condition: str
    words: str
    claims: tuple[Claim | None, ...]


@dataclass(frozen=True)
class AttributeBlock:
    """All prompt claims about one attribute."""

    attribute: str
    title: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class KindRow:
    """All robustness claims about one change by one metric: per series the claims by rising severity."""

    kind: str
    words: str
    metric: str
    claims: tuple[tuple[Claim, ...], ...]


def claims_of(verdicts: pd.DataFrame, claim: str) -> list[Claim]:
    """Return the claims of one sort in table order; `row` counts over the whole table."""
    positions = [i for i, c in enumerate(verdicts["claim"]) if c == claim]
    # All rows at once: one after the other takes pandas five times as long.
    rows = verdicts.iloc[positions].to_dict("records")
    return [_claim(position, row) for position, row in zip(positions, rows, strict=True)]


def attribute_blocks(frames: Frames, *, unheeded: Container[str] = ()) -> tuple[AttributeBlock, ...]:
    """Group prompt claims by attribute, those that the words move most first.

    Claims on another class refer to the page's warning for the series in `unheeded`.
    """
    attributes = [
        _attribute(a, c) for a, c in zip(frames.verdicts["attribute"], frames.verdicts["condition"], strict=True)
    ]
    groups: dict[str, list[Claim]] = {}
    # Where the prompt asks for what is not there, that the mask moves says less than whether it stays empty.
    abstention = claims_of(frames.verdicts, "abstention")
    judged = {(c.series, c.condition) for c in abstention}
    prompt = [c for c in claims_of(frames.verdicts, "prompt") if (c.series, c.condition) not in judged]
    for claim in (*prompt, *abstention):
        if claim.condition == "wrong_class" and claim.series in unheeded:
            claim = replace(claim, says=f"{claim.says.rstrip('.')}. {_BY_DICE}")
        groups.setdefault(attributes[claim.row], []).append(claim)
    ranked = sorted(groups.items(), key=lambda item: (min(strength(c.verdict) for c in item[1]), -_reach(item[1])))
    return tuple(AttributeBlock(a, _title(a), _lines(claims, frames.series)) for a, claims in ranked)


def kind_rows(frames: Frames) -> tuple[KindRow, ...]:
    """Group robustness claims by kind of change and metric, Dice first: no metric speaks for another."""
    groups: dict[tuple[str, bool, str], dict[tuple[str, str], Claim]] = {}
    for claim in claims_of(frames.verdicts, "robustness"):
        name = image_kind(claim.condition) if _is_image(claim.condition) else claim.condition
        group = groups.setdefault((name, claim.metric != "dice", claim.metric), {})
        group.setdefault((claim.series, claim.condition), claim)
    rows = []
    for (name, _, metric), group in sorted(groups.items()):
        per_series = [
            sorted((c for c in group.values() if c.series == s), key=lambda c: c.severity) for s in frames.series
        ]
        some = next(iter(group.values())).condition
        words = kind_words(name) if _is_image(some) else condition_words(some)
        rows.append(KindRow(name, words, metric, tuple(map(tuple, per_series))))
    return tuple(rows)


def _is_image(condition: str) -> bool:
    return parse_condition(condition).family == "image"


def strength(verdict: str) -> int:
    """Rank a prompt verdict: 0 for FOLLOWS, larger for weaker; unknown verdicts last."""
    return ORDER.index(verdict) if verdict in ORDER else len(ORDER)


def condition_order(verdicts: pd.DataFrame) -> tuple[str, ...]:
    """Return the conditions of all prompt claims, the one with the largest estimate in any series first."""
    rows = verdicts[verdicts["claim"] == "prompt"]
    values = pd.to_numeric(rows["estimate"]).groupby(rows["condition"], sort=False).max().fillna(-2.0)
    return tuple(str(c) for c in values.sort_values(ascending=False, kind="stable").index)


def _lines(claims: Sequence[Claim], series: Sequence[str]) -> tuple[Line, ...]:
    conditions = sorted(dict.fromkeys(c.condition for c in claims), key=_condition_rank)
    claim_of = {(c.condition, c.series): c for c in reversed(claims)}
    return tuple(Line(c, condition_words(c), tuple(claim_of.get((c, s)) for s in series)) for c in conditions)


def _condition_rank(condition: str) -> tuple[int, str]:
    telling = ("other", "antonym", "wrong_class")
    name = condition.partition(":")[0]
    return (telling.index(name) if name in telling else len(telling), condition)


def _reach(claims: Sequence[Claim]) -> float:
    return max((c.estimate for c in claims if c.estimate is not None), default=-2.0)


def _attribute(attribute: Any, condition: Any) -> str:
    return text(attribute) or parse_condition(text(condition)).attribute


def _title(attribute: str) -> str:
    return f"{attribute.capitalize()} words" if attribute else "The whole prompt"


def _claim(row: int, cells: dict[Any, Any]) -> Claim:
    cells = {k: plain(v) for k, v in cells.items()}
    condition = text(cells["condition"])
    sentence = text(cells["sentence"]) or _sentence(cells)
    return Claim(
        row=row,
        series=text(cells["series"]),
        condition=condition,
        metric=text(cells["metric"]),
        verdict=text(cells["verdict"]),
        sentence=sentence,
        estimate=cells["estimate"],
        ci_low=cells["ci_low"],
        ci_high=cells["ci_high"],
        margin=cells["margin"],
        n_subjects=None if cells["n_subjects"] is None else int(cells["n_subjects"]),
        severity=parse_condition(condition).severity,
        says=friendly(sentence, condition),
        why=_why(cells),
        level=cells.get("level"),
    )


def _why(cells: dict[Any, Any]) -> str:
    """Return why a claim is undecided; empty for others."""
    rule = text(cells.get("rule"))
    if text(cells["verdict"]) != "INCONCLUSIVE" or not rule:
        return ""
    measured = rule.removeprefix("5 INCONCLUSIVE: ")
    if measured.startswith("excess "):
        return (
            f"{measured}. IGNORES needs both intervals within the margin: the excess over a paraphrase and the raw"
            " change; REACTS needs the excess beyond it."
        )
    return f"{measured}."


def _sentence(cells: dict[Any, Any]) -> str:
    n = "" if cells["n_subjects"] is None else f", n = {count(int(cells['n_subjects']), 'unit')}"
    values = f"{number(cells['estimate'])} {interval(cells['ci_low'], cells['ci_high'], level=cells.get('level'))}"
    return f"{condition_words(text(cells['condition']))}: {text(cells['verdict'])}, estimate {values}{n}"
