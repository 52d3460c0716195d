"""Context of the regulatory edition: what its sections are written from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from robustness.reports.data.frames import Frames
from robustness.reports.data.run_tables import RunTables
from robustness.reports.sections.provenance import RunFacts


@dataclass(frozen=True)
class RegulatoryContext:
    """What the sections are written from."""

    runs: Sequence[RunTables]
    frames: Frames
    facts: Sequence[RunFacts]
    limitations: Sequence[str]
    unusable: int
    answers: Mapping[str, str] = field(default_factory=dict)


def clean_by_series(d: RegulatoryContext) -> list[tuple[str, pd.DataFrame]]:
    """Return each series' clean rows, a case that several words point away from counted once."""
    clean = d.frames.results[d.frames.results["condition"] == "clean"]
    clean = clean.drop_duplicates(["series", "split", "case_id", "prompt_index"])
    return [(str(series), rows) for series, rows in clean.groupby("series", sort=False)]
