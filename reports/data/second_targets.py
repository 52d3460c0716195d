"""Second targets: how far the mask goes to them, where the two targets lie apart and where they overlap."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from robustness.metrics.verdicts.selectivity import TARGET_OVERLAP, target_shifts
from robustness.reports.data.datatable import Column, DataTable, table_of
from robustness.reports.data.frames import Frames
from robustness.reports.data.run_tables import RunTables
from robustness.reports.words import count
from robustness.results import OTHER_OVERLAP

_COLUMNS = (
    Column("series", "model"),
    Column("condition", "condition", "condition"),
    Column("targets", "targets"),
    Column("counts", "counts for FOLLOWS"),
    Column("n_images", "cases", "count"),
    Column("n_subjects", "units", "count"),
    Column("s_a", "leaves the first (S_A)", "number"),
    Column("s_a_low", "low", "number"),
    Column("s_a_high", "high", "number"),
    Column("s_b", "reaches the second (S_B)", "number"),
    Column("s_b_low", "low", "number"),
    Column("s_b_high", "high", "number"),
)


def limit_of(runs: Sequence[RunTables]) -> float:
    """Return the largest share of the smaller of two targets that may lie in the other, as the first run states it."""
    return float((runs[0].manifest.get("statistics") or {}).get("target_overlap") or TARGET_OVERLAP)


def second_target_table(frames: Frames, runs: Sequence[RunTables]) -> DataTable:
    """Return S_A and S_B per model and condition, of targets that lie apart and of those that overlap."""
    results, tables = frames.results, []
    if "other_case_id" in results and (results["other_case_id"].fillna("") != "").any():
        for series, rows in results.groupby("series", sort=False):
            shifts = target_shifts(rows, alpha=frames.alpha_of(str(series)), target_overlap=limit_of(runs))
            tables.append(shifts.assign(series=series, counts=_counts(rows, shifts)))
    table = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=[c.name for c in _COLUMNS])
    return table_of(table, "targets", "Second targets: apart and overlapping", _COLUMNS)


def second_target_text(frames: Frames, runs: Sequence[RunTables]) -> str:
    """Say how many cases have a second target that overlaps the first; "" where no prompt asks for a second one."""
    results = frames.results
    if "other_case_id" not in results:
        return ""
    asked = results[(results["other_case_id"].fillna("") != "") & (results["family"] == "prompt")]
    if asked.empty:
        return ""
    if OTHER_OVERLAP not in asked or asked[OTHER_OVERLAP].isna().all():
        return " Whether the two targets overlap was not recorded, so that a part and its whole may stand among them."
    cases = asked.groupby(["series", "case_id"], sort=False)[OTHER_OVERLAP].max()
    n = int((cases > limit_of(runs)).sum())
    share = f"{100 * limit_of(runs):g}%"
    if not n:
        return f" In no case does more than {share} of the smaller of the two targets lie in the other."
    return (
        f" In {n:,} of {count(len(cases), 'case')} with a second target more than {share} of the smaller one lies in"
        " the other (a part and its whole): these do not count for FOLLOWS, and their shifts stand apart in the table"
        " of second targets."
    )


def _counts(rows: pd.DataFrame, shifts: pd.DataFrame) -> list[str]:
    recorded = OTHER_OVERLAP in rows and rows[OTHER_OVERLAP].notna().any()
    apart = "yes" if recorded else "yes; overlap not recorded"
    return [apart if name == "apart" else "no" for name in shifts["targets"]]
