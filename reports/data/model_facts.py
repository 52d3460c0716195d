"""Facts of each model of a page from the manifests: architecture, weights, training data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from robustness.reports.data.run_tables import RunTables
from robustness.reports.words import MISSING, count, listing

UNKNOWN_SUBJECTS = "who it was trained on is not recorded, so that no test patient was among them is not shown"


@dataclass(frozen=True)
class ModelFacts:
    """The recorded facts of one series' model; every text is "not recorded" where the manifest is silent.

    `weights` is the sha256 of the weights (of several files: one by one), or says that they are random.
    `independence` says who of the audited the record of its training holds.
    """

    series: str
    architecture: str
    weights: str
    training: str
    reads_text: str
    parameters: str
    input_side: str
    threshold: str
    independence: str = UNKNOWN_SUBJECTS


def model_facts(runs: Sequence[RunTables]) -> tuple[ModelFacts, ...]:
    """Return the facts of the model behind every series, in page order."""
    facts: dict[str, ModelFacts] = {}
    for run in runs:
        recorded = recorded_models(run)
        pairs = run.results[["series", "model"]].drop_duplicates().itertuples(index=False)
        for series, model in pairs:
            facts.setdefault(str(series), _facts(str(series), recorded.get(str(model), {})))
    return tuple(facts.values())


def recorded_models(run: RunTables) -> dict[str, Mapping[str, Any]]:
    """Return the manifest's record of every model of a run, by its name in the results."""
    names = [str(name) for name in run.results["model"].drop_duplicates()]
    records = [r for r in run.manifest.get("models") or [run.manifest.get("model")] if isinstance(r, Mapping)]
    by_label = {str(r["label"]): r for r in records if r.get("label")}
    # Runs of older versions state no label: their models come in the order of the rows.
    placed = dict(zip(names, records, strict=True)) if len(records) == len(names) else {}
    return {name: by_label.get(name) or placed.get(name, {}) for name in names}


def _facts(series: str, record: Mapping[str, Any]) -> ModelFacts:
    preprocess = _mapping(record.get("preprocess"))
    reads = record.get("takes_text")
    parameters = record.get("parameters")
    return ModelFacts(
        series=series,
        architecture=str(record.get("model") or record.get("name") or MISSING),
        weights=_weights(record),
        training=_training(record),
        reads_text={True: "yes", False: "no"}.get(reads, MISSING) if isinstance(reads, bool) else MISSING,
        parameters=f"{parameters:,}" if isinstance(parameters, int) else MISSING,
        input_side=str(preprocess.get("image_size") or MISSING),
        threshold=str(preprocess.get("threshold") or record.get("threshold") or MISSING),
        independence=_independence(record),
    )


def _independence(record: Mapping[str, Any]) -> str:
    """Return, data set by data set, who of the audited was trained on."""
    if _mapping(record.get("weights")).get("random"):
        return "no training: random weights"
    overlaps = [one for one in record.get("training_overlap") or () if isinstance(one, Mapping)]
    texts = [_overlap(one) for one in overlaps]
    return "; ".join(dict.fromkeys(texts)) or UNKNOWN_SUBJECTS


def _overlap(one: Mapping[str, Any]) -> str:
    if one.get("status") == "not recorded":
        return UNKNOWN_SUBJECTS
    if one.get("status") == "overlap":
        return str(one.get("warning") or "test data were seen in training").rstrip(".")
    names = int(one.get("namesakes") or 0)
    alike = f"; {names:,} have the name of a subject of other data" if names else ""
    alike += f"; {one['gap']}" if one.get("gap") else ""
    units = count(int(one.get("n_subjects") or 0), str(one.get("unit") or "subject"))
    images = count(int(one.get("n_images") or 0), "image")
    return (
        f"none of the {units} and {images} of {one.get('dataset')} is in the checkpoint's record of its training and"
        f" validation, by name and by content{alike}"
    )


def _weights(record: Mapping[str, Any]) -> str:
    weights = _mapping(record.get("weights"))
    if weights.get("random"):
        return "random weights: no checkpoint was given"
    hashes = weights.get("sha256") or record.get("sha256")
    if isinstance(hashes, Mapping) and len(hashes) == 1:
        return str(next(iter(hashes.values())))
    if isinstance(hashes, Mapping) and hashes:
        return ", ".join(f"{name} {digest}" for name, digest in hashes.items())
    return str(hashes or MISSING)


def _training(record: Mapping[str, Any]) -> str:
    trained = _mapping(_mapping(record.get("weights")).get("trained_on"))
    stated = record.get("finetuned_on") or trained.get("data")
    if not stated:
        return MISSING
    name = stated if isinstance(stated, str) else listing([str(one) for one in stated])
    cases = _mapping(trained.get("cases"))
    counts = [f"{part} {count(int(n), 'case')}" for part, n in cases.items() if isinstance(n, int)]
    return f"{name} ({listing(counts)})" if counts else name


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
