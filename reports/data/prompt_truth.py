"""Clean prompts that the reference masks disprove: there the prompt fails, not the model."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence

import pandas as pd

from robustness.reports.data.datatable import Column, DataTable, table_of
from robustness.reports.data.frames import Frames
from robustness.reports.data.run_tables import RunTables
from robustness.reports.words import MISSING, count, listing

ANSWERS = ("true", "false", "unknown")
_COLUMNS = (
    Column("dataset", "data set"),
    Column("attribute", "words"),
    Column("true", "true of the image", "count"),
    Column("false", "false", "count"),
    Column("unknown", "not decidable", "count"),
)


def truth_table(results: pd.DataFrame) -> pd.DataFrame:
    """Count, per data set and attribute, the clean prompts that are true, false or not decidable of their image.

    Every (case, text) counts once, however many models were asked. Columns: dataset, attribute, true, false, unknown;
    empty where the rows hold no column `truth` (JSON, attribute -> answer).
    """
    if "truth" not in results:
        return pd.DataFrame(columns=["dataset", "attribute", *ANSWERS])
    clean = results[results["condition"] == "clean"]
    keys = ["dataset", *(k for k in ("split",) if k in clean), "case_id", "prompt_index"]
    counted: Counter[tuple[str, str, str]] = Counter()
    counts = clean.drop_duplicates(keys).groupby(["dataset", "truth"], sort=False).size()
    for (dataset, truth), n in counts.items():
        for attribute, answer in json.loads(truth or "{}").items():
            counted[str(dataset), attribute, answer] += n
    pairs = sorted({(dataset, attribute) for dataset, attribute, _ in counted})
    rows = [{"dataset": d, "attribute": a, **{x: counted[d, a, x] for x in ANSWERS}} for d, a in pairs]
    return pd.DataFrame(rows, columns=["dataset", "attribute", *ANSWERS])


def truth_listing(frames: Frames) -> DataTable:
    """Return `truth_table` as a table of the page."""
    return table_of(truth_table(frames.results), "truth", "Truth of the clean prompts", _COLUMNS)


def truth_text(frames: Frames, runs: Sequence[RunTables]) -> str:
    """Say how many clean prompts are false of their image, and how many texts were cut before a model read them."""
    rows = truth_table(frames.results)
    disproved = (
        [
            f"{row['attribute']} {row['false']:,} of {row['true'] + row['false'] + row['unknown']:,}"
            for row in rows[rows["false"] > 0].to_dict("records")
        ]
        if len(rows)
        else []
    )
    if rows.empty:
        truth = f"Whether the clean prompts are true of their images: {MISSING}."
    elif disproved:
        truth = (
            f"The reference mask disproves words of some clean prompts ({listing(disproved)}). What a model makes of"
            " those words there says nothing about its obedience; the bins behind a word may differ from those of its"
            " author."
        )
    else:
        truth = "No word of a clean prompt is disproved by its reference mask, as far as a mask can tell."
    return f"{truth} {_cut(runs)}"


def _cut(runs: Sequence[RunTables]) -> str:
    timings = [(run.name, run.manifest.get("timing") or {}) for run in runs]
    cut_counts = [
        (name, int(timing["n_texts_cut"])) for name, timing in timings if timing.get("n_texts_cut") is not None
    ]
    if not cut_counts:
        return f"Texts longer than a model reads: {MISSING}."
    silent = [name for name, timing in timings if timing.get("n_texts_unjudged")]
    unknown = f" How much of a text the model of run {listing(silent)} reads is not known." if silent else ""
    cut = [f"{count(n, 'text')} in run {name}" for name, n in cut_counts if n]
    if cut:
        return (
            f"Longer than the model reads, and cut before it: {listing(cut)}; the words past the end reached no"
            f" model.{unknown}"
        )
    return unknown.strip() if silent else "No text was longer than its model reads."
