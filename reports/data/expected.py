"""Expected against observed: what each kind of change should do to the mask, and what it did."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from robustness.reports.data.datatable import LEVEL, Column, DataTable, table_of
from robustness.reports.data.frames import Frames
from robustness.reports.words import condition_words, friendly, image_kind, kind_words, metric_words
from robustness.results import parse_condition

EXPECTED = {
    "invariant": "mask stays",
    "change": "mask changes",
    "follow": "mask goes to the second target",
    "abstain": "mask is empty",
    "control": "control: no behaviour is required",
    "none": "no behaviour is required",
}
# Image changes carry no expectation of their own in the rows: what they are claimed on is that the mask stays.
_OF_CLAIM = {"robustness": "invariant", "abstention": "abstain"}
# Most demanding first: a condition whose expectation depends on the case is judged by the first that occurs.
_RANK = ("follow", "abstain", "change", "invariant", "control", "none")
_MET = {
    "follow": ("FOLLOWS",),
    "change": ("FOLLOWS", "REACTS"),
    "abstain": ("ABSTAINS",),
    "invariant": ("ROBUST",),
}
_MISSED = {
    "follow": ("IGNORES",),
    "change": ("IGNORES",),
    "abstain": ("HALLUCINATES",),
    "invariant": ("FRAGILE",),
}
_STAYS = ("ROBUST", "IGNORES", "ABSTAINS")
# From worse to better, for the one severity that speaks for a kind of change.
_ORDER = ("no", "no*", "undecided", "not testable", "yes*", "yes", "")
COLUMNS = (
    Column("series", "model"),
    Column("change", "change"),
    Column("expected", "should"),
    Column("met", "as expected"),
    Column("claim", "claim", hidden=True),
    Column("metric", "judged by"),
    Column("verdict", "verdict", "verdict"),
    Column("condition", "worst at", "condition", hidden=True),
    Column("severity", "severity", "count"),
    Column("estimate", "estimate", "number", link="rows"),
    Column("ci_low", "low", "number"),
    Column("ci_high", "high", "number"),
    Column("margin", "margin", "number", hidden=True),
    Column("share_beyond", "share beyond", "number"),
    Column("n_subjects", "units", "count"),
    Column("n_conditions", "severities", "count", hidden=True),
    Column("n_met", "as expected", "count", hidden=True),
    Column("sentence", "sentence", hidden=True),
)


def expected_table(frames: Frames) -> DataTable:
    """Return one row per model, kind of change, claim and metric; its worst severity speaks for the kind.

    `met` says whether the verdict is what the change should do: yes, no, undecided or not testable, with a star where
    the verdict is not certified; empty where no behaviour is required. `share_beyond` is the share of units beyond the
    margin, where the run records it. Rows that went wrong come first.
    """
    expectations = condition_expectations(frames.results)
    verdicts = frames.verdicts.to_dict("records")
    # Where the prompt asks for what is not there, that the mask moves says less than whether it stays empty.
    absent = {(r["series"], r["condition"]) for r in verdicts if r["claim"] == "abstention"}
    judged = [r for r in verdicts if r["claim"] != "prompt" or (r["series"], r["condition"]) not in absent]
    claims = [_row(row, expectations) for row in judged]
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for claim in claims:
        groups.setdefault((claim["series"], claim["change"], claim["claim"], claim["metric"]), []).append(claim)
    rows = [_worst(group) for group in groups.values()]
    rows.sort(key=lambda r: (frames.series.index(r["series"]), _ORDER.index(r["met"]), r["change"]))
    table = pd.DataFrame(rows, columns=[*(c.name for c in COLUMNS), LEVEL])
    return table_of(table, "expected", "Expected against observed", COLUMNS)


def condition_expectations(results: pd.DataFrame) -> dict[str, str]:
    """Return the expectation of every condition: the most demanding one among its applicable rows."""
    applicable = results["applicable"].fillna(True).astype(bool)
    pairs = results.loc[applicable, ["condition", "expectation"]].dropna().drop_duplicates().itertuples(index=False)
    rank = {name: i for i, name in enumerate(_RANK)}
    ordered = sorted(((str(c), str(e)) for c, e in pairs), key=lambda p: -rank.get(p[1], len(rank)))
    return dict(ordered)


def required(results: pd.DataFrame) -> dict[str, str]:
    """Return what every condition is judged by: `condition_expectations`, with single image changes as "invariant"."""
    stated = condition_expectations(results)
    single = {c for c in stated if parse_condition(c).family == "image"}
    return {c: "invariant" if c in single else e for c, e in stated.items()}


def failures(frames: Frames) -> tuple[tuple[str, str], ...]:
    """Return (series, condition) of every claim whose verdict is not what the change should do."""
    expectations = condition_expectations(frames.results)
    claims = [_row(row, expectations) for row in frames.verdicts.to_dict("records")]
    failed = [(str(c["series"]), str(c["condition"])) for c in claims if c["met"] in ("no", "no*")]
    return tuple(dict.fromkeys(failed))


def met(verdict: str, expectation: str) -> str:
    """Return whether `verdict` is what `expectation` asks for: yes, no, undecided, not testable, or "" (nothing asked).

    Example:
        >>> met("IGNORES*", "change"), met("ROBUST", "invariant"), met("REACTS", "follow"), met("IGNORES", "none")
        ('no*', 'yes', 'undecided', '')
    """
    name, star = verdict.rstrip("*"), "*" if verdict.endswith("*") else ""
    if expectation not in _MET:
        return ""
    if name == "UNTESTABLE":
        return "not testable"
    if name in _MET[expectation]:
        return f"yes{star}"
    return f"no{star}" if name in _MISSED[expectation] else "undecided"


def claim_expectation(claim: str, condition: str, expectations: Mapping[str, str]) -> str:
    """Return what a claim on `condition` is judged by, of `expectations` where the claim itself does not say it."""
    return _OF_CLAIM.get(claim) or expectations.get(condition, "none")


def _row(row: dict[Any, Any], expectations: dict[str, str]) -> dict[str, Any]:
    condition, claim = str(row["condition"]), str(row["claim"])
    expectation = claim_expectation(claim, condition, expectations)
    single = parse_condition(condition).family == "image"
    return {
        **row,
        "claim": claim,
        "severity": parse_condition(condition).severity or None,
        "change": kind_words(image_kind(condition)) if single else condition_words(condition),
        "expected": EXPECTED.get(expectation, expectation),
        "met": met(str(row["verdict"]), expectation),
        "metric": metric_words(str(row["metric"])),
        "share_beyond": _beyond(row),
        "sentence": friendly(str(row["sentence"]), condition),
    }


def _beyond(row: dict[Any, Any]) -> float | None:
    """Return the share of units beyond the margin: verdicts that say "stays" record the share within it."""
    share = row.get("share")
    if share is None or pd.isna(share):
        return None
    return 1.0 - float(share) if str(row["verdict"]).rstrip("*") in _STAYS else float(share)


def _worst(group: list[dict[str, Any]]) -> dict[str, Any]:
    worst = min(group, key=lambda r: _ORDER.index(r["met"]))
    n_met = sum(r["met"].startswith("yes") for r in group)
    return {**worst, "n_conditions": len(group), "n_met": n_met}


def verdicts_of(frames: Frames) -> dict[str, list[str]]:
    """Return every verdict on (series, condition), by whatever claim and metric; their names on two lines are keys."""
    verdicts: dict[str, list[str]] = {}
    for row in frames.verdicts[["series", "condition", "verdict"]].itertuples(index=False):
        on_condition = verdicts.setdefault(f"{row.series}\n{row.condition}", [])
        if row.verdict not in on_condition:
            on_condition.append(str(row.verdict))
    return verdicts
