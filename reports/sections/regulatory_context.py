"""Context of the regulatory edition: what its sections are written from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from robustness.reports.data.frames import Frames
from robustness.reports.data.run_tables import RunTables
from robustness.reports.data.subgroups import grouping_columns
from robustness.reports.sections.provenance import RunFacts
from robustness.results import is_attack


@dataclass(frozen=True)
class RegulatoryContext:
    """What the sections are written from."""

    runs: Sequence[RunTables]
    frames: Frames
    facts: Sequence[RunFacts]
    limitations: Sequence[str]
    unusable: int
    answers: Mapping[str, str] = field(default_factory=dict)


def without_evidence(section: int, d: RegulatoryContext) -> bool:
    """Tell whether the run holds nothing that a section's documents ask for, whatever the section says of the plan."""
    conditions, claims = d.frames.results["condition"].astype(str), set(d.frames.verdicts["claim"].astype(str))
    if section == 2:
        return bool(conditions.isin(["clean", "rerun"]).all())
    if section == 5:
        return not conditions.eq("clean").any()
    if section in (6, 7):
        return not claims & ({"prompt", "abstention"} if section == 6 else {"robustness"})
    if section == 8:
        return not conditions.eq("rerun").any() and not any(run.manifest.get("certificate") for run in d.runs)
    if section == 9:
        return not grouping_columns(d.frames.results)
    if section == 12:
        return not conditions.map(is_attack).any()
    # A run says how to test the next version; it monitors nothing.
    return section == 14


def clean_by_series(d: RegulatoryContext) -> list[tuple[str, pd.DataFrame]]:
    """Return each series' clean rows, a case that several words point away from counted once."""
    clean = d.frames.results[d.frames.results["condition"] == "clean"]
    clean = clean.drop_duplicates(["series", "split", "case_id", "prompt_index"])
    return [(str(series), rows) for series, rows in clean.groupby("series", sort=False)]
