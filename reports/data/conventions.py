"""Conventions that a run had to guess, because neither the plan nor the data state them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from robustness.reports.data.model_facts import recorded_models
from robustness.reports.data.run_tables import RunTables
from robustness.reports.words import listing

# What the data or the plan declare is no guess; it stands with the notes of the data sets.
DECLARED = ("masks are declared", "slices: ")
_SIDES = re.compile(r"\b(left|right)\b", re.IGNORECASE)


def guessed_conventions(run: RunTables) -> list[str]:
    """Return one sentence per convention that was guessed: whose left is meant, what a model's maps mean."""
    return [*_sides(run), *_answers(run)]


def _sides(run: RunTables) -> list[str]:
    recorded = run.manifest.get("datasets") or [run.manifest.get("dataset")]
    stated = {str(d.get("name")) for d in recorded if isinstance(d, Mapping) and d.get("convention")}
    clean = run.results[run.results["condition"] == "clean"]
    prompts = clean[["dataset", "prompt"]].dropna().drop_duplicates()
    unsure = sorted({str(d) for d, text in prompts.itertuples(index=False) if _SIDES.search(str(text))} - stated)
    if not unsure:
        return []
    return [
        f"Whose left and right the prompts of {listing(unsure)} mean is not stated: a side was read as the patient's, a"
        " place in the image as the viewer's. If that is wrong, so are the judgements of what is true of an image;"
        " state convention in [data]."
    ]


def _answers(run: RunTables) -> list[str]:
    sentences = []
    for model, record in recorded_models(run).items():
        if str(record.get("returns") or "auto") != "auto":
            continue
        for dataset, answers in _mapping(record.get("answers")).items():
            forms = [f"{form} ({n:,})" for form, n in _mapping(_mapping(answers).get("read_as")).items()]
            if forms:
                sentences.append(
                    f"What the maps of {model} on {dataset} mean was not stated: they were read as {listing(forms)};"
                    " state returns in the model's options."
                )
    return sentences


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
