"""``follows``, ``ignores`` and ``abstains``: gates that read the run's verdicts."""

from __future__ import annotations

import fnmatch
from typing import TYPE_CHECKING, Any

from robustness.errors import InputError
from robustness.gates.decisions import NAN, Outcome
from robustness.gates.evidence import Evidence, nothing
from robustness.gates.findings import Finding, worst_of
from robustness.gates.spec import GateSpec

if TYPE_CHECKING:
    import pandas as pd


def by_verdict(evidence: Evidence, gate: GateSpec) -> list[Finding]:
    """Return one finding per claim; for ``follows`` one per model, dataset and attribute.

    Raises:
        InputError: no verdict matches.
    """
    verdicts = evidence.run.verdicts()
    claim = "abstention" if gate.test == "abstains" else "prompt"
    prompt = verdicts[verdicts["claim"] == claim]
    rows = prompt[[_matches(row, gate) for row in prompt.to_dict("records")]]
    if not len(rows):
        raise InputError(nothing(gate, sorted(prompt["condition"].unique())))
    cases = _cases(evidence, gate, set(rows["condition"]))
    if gate.test != "follows":
        return [_finding(row, gate, cases, evidence.unit) for row in rows.to_dict("records")]
    groups = rows.groupby(["model", "dataset", "attribute"], sort=True)
    return [
        _best_evidence([_finding(row, gate, cases, evidence.unit) for row in group.to_dict("records")])
        for _, group in groups
    ]


def _matches(row: dict[Any, Any], gate: GateSpec) -> bool:
    globs = (
        ("condition", gate.condition),
        ("attribute", gate.attribute),
        ("model", gate.model),
        ("dataset", gate.dataset),
    )
    return all(glob is None or fnmatch.fnmatchcase(str(row[name]), glob) for name, glob in globs)


def _best_evidence(findings: list[Finding]) -> Finding:
    """Return what the strongest kind of condition says of one attribute.

    Another object on the same image, or a contradiction, shows following or its absence. A word that is dropped or
    replaced by a rare one may leave the mask where it belongs, so it counts only where nothing else was asked.
    """
    shown = [finding for finding in findings if finding.outcome == "pass"]
    if shown:
        return shown[0]
    telling = [finding for finding in findings if finding.condition.startswith(("other:", "antonym:"))]
    return min(
        telling or findings, key=lambda finding: (finding.outcome != "fail", not finding.condition.startswith("other:"))
    )


def _finding(row: dict[Any, Any], gate: GateSpec, cases: dict[tuple[str, str, str], pd.Series], unit: str) -> Finding:
    estimate, low, high, margin = (
        float(row[k]) if row[k] is not None else NAN for k in ("estimate", "ci_low", "ci_high", "margin")
    )
    needed = None if _missing(row["n_needed"]) else int(row["n_needed"])
    outcome = _outcome(row, gate)
    sentence = str(row["sentence"]).rstrip(".")
    # Most sentences say already how many subjects would decide.
    more = f"; about {needed} {unit}s would decide" if outcome == "inconclusive" and needed else ""
    if outcome == "inconclusive" and str(row["verdict"]).startswith("REACTS"):
        more = "; without another object on the same image a reaction is all that any number of subjects can show"
    message = f"{row['condition']}: {row['verdict']}: {sentence}{more if f'about {needed} ' not in sentence else ''}"
    changes = cases.get((row["model"], row["dataset"], row["condition"]))
    worst: tuple[str, ...] = ()
    if changes is not None:
        names, weight = [str(name) for name in changes.index], 1.0 if gate.test == "ignores" else -1.0
        worst = worst_of(names, changes.tolist(), weight=weight, signed=False)
    return Finding(
        outcome,
        str(row["condition"]),
        str(row["model"]),
        str(row["dataset"]),
        "",
        str(row["metric"]),
        estimate,
        low,
        high,
        margin,
        int(row["n_images"]),
        int(row["n_subjects"]),
        needed,
        0.0 if estimate != estimate else abs(estimate),
        message,
        worst,
        _certified(row) and outcome != "inconclusive",
    )


_PASSES = {"follows": ("FOLLOWS", "FOLLOWS*"), "ignores": ("IGNORES",), "abstains": ("ABSTAINS",)}


def _outcome(row: dict[Any, Any], gate: GateSpec) -> Outcome:
    verdict = str(row["verdict"])
    if verdict in _PASSES[gate.test]:
        return "inconclusive" if gate.certified and not _certified(row) else "pass"
    undecided = {"INCONCLUSIVE", "UNTESTABLE"}
    if gate.test == "ignores":
        undecided.add("IGNORES*")
    elif not str(row["condition"]).startswith("other:"):
        # Without a second target a reaction is all that can be shown.
        undecided |= {"REACTS", "REACTS*"}
    return "inconclusive" if verdict in undecided else "fail"


def _certified(row: dict[Any, Any]) -> bool:
    """Return whether the verdict is certified; those of older runs carry no such column."""
    stated = row.get("certified")
    return not str(row["verdict"]).endswith("*") if stated is None else bool(stated)


def _missing(value: Any) -> bool:
    return value is None or value != value or str(value) == "<NA>"


def _cases(evidence: Evidence, gate: GateSpec, conditions: set[str]) -> dict[tuple[str, str, str], pd.Series]:
    """Return the mean mask change of every case, by (model, dataset, condition)."""
    table = evidence.results
    if "mask_change" not in table:
        return {}
    rows = table[table["condition"].isin(conditions)].dropna(subset=["mask_change"])
    means = rows.groupby(["model", "dataset", "condition", "case_id"])["mask_change"].mean()
    return {key: part.droplevel([0, 1, 2]) for key, part in means.groupby(level=[0, 1, 2])}
