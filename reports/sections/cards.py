"""Model card and data card of a page: what manifests record, and what the submitter adds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from robustness.reports.data.model_facts import ModelFacts
from robustness.reports.data.run_tables import RunTables
from robustness.reports.sections.provenance import RunFacts
from robustness.reports.words import MISSING, count


@dataclass(frozen=True)
class Card:
    """A titled list of (name, text); `section` is the number of the section that it belongs to."""

    section: int
    title: str
    pairs: tuple[tuple[str, str], ...]


def cards(
    runs: Sequence[RunTables], models: Sequence[ModelFacts], facts: Sequence[RunFacts], answers: Mapping[str, str]
) -> tuple[Card, ...]:
    """Return one model card per series and one data card per data set."""
    return (
        *(_model_card(model, answers) for model in models),
        *(_data_card(fact, _record(runs, fact), answers) for fact in facts),
    )


def _model_card(model: ModelFacts, answers: Mapping[str, str]) -> Card:
    pairs = (
        ("Architecture", model.architecture),
        ("Weights", model.weights),
        ("Training data", model.training),
        ("Seen in training", model.independence),
        ("Parameters", model.parameters),
        ("Reads its prompt", model.reads_text),
        ("Input", f"one 2D image, {model.input_side} pixels a side, and one text prompt"),
        ("Output", f"one mask; pixels above probability {model.threshold}"),
        ("Intended use", answers.get("intended_use", MISSING)),
        ("Results", "sections 5 to 9, by group in section 9; failures in section 10"),
    )
    return Card(1, f"Model card: {model.series}", pairs)


def _data_card(fact: RunFacts, record: Mapping[str, Any], answers: Mapping[str, str]) -> Card:
    named = {key: record.get(key) for key in ("modalities", "origin_subjects", "notes")}
    texts = {key: "; ".join(map(str, value)) for key, value in named.items() if isinstance(value, list) and value}
    images = MISSING if fact.n_images is None else count(fact.n_images, "image")
    unit = "no patient is known" if fact.subject_is_image else count(fact.n_subjects, fact.unit)
    pairs = (
        ("Split", fact.split),
        ("Cases", count(fact.n_cases, "case")),
        ("Images", images),
        ("Patients", unit),
        ("Prompt key", fact.prompt),
        ("Modality", texts.get("modalities", MISSING)),
        ("How it was read", texts.get("notes", "nothing was decided or left out by the reader")),
        ("Sites", answers.get("sites", MISSING)),
        ("Demographics", answers.get("demographics", MISSING)),
        ("Reference standard", answers.get("reference_standard", MISSING)),
    )
    return Card(4, f"Data card: {fact.dataset}", pairs)


def _record(runs: Sequence[RunTables], fact: RunFacts) -> Mapping[str, Any]:
    for run in runs:
        for record in run.manifest.get("datasets") or [run.manifest.get("dataset")]:
            if isinstance(record, Mapping) and record.get("name") == fact.dataset:
                return record
    return {}
