"""Origins of the models of a page: the data each was finetuned on, and whether it reads its prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from robustness.reports.data.run_tables import RunTables


@dataclass(frozen=True)
class Origin:
    """The data sets that a model was finetuned on, as far as they are known; `reads_text` is None where it is not."""

    finetuned_on: tuple[str, ...] = ()
    reads_text: bool | None = None


def origins(runs: Sequence[RunTables]) -> dict[str, Origin]:
    """Return the origin of every model by its name in the results; runs that know more fill what others leave open."""
    by_model: dict[str, Origin] = {}
    for run in runs:
        names = [str(name) for name in run.results["model"].drop_duplicates()]
        facts = run.manifest.get("models") or [run.manifest.get("model") or {}]
        by_label = {str(one["label"]): one for one in facts if isinstance(one, Mapping) and one.get("label")}
        for index, name in enumerate(names):
            # Runs of older versions state no label: their models come in the order of the rows.
            one = by_label.get(name) or (facts[index] if len(facts) == len(names) else {})
            earlier, read = by_model.get(name, Origin()), _origin(one)
            by_model[name] = Origin(
                earlier.finetuned_on or read.finetuned_on,
                earlier.reads_text if earlier.reads_text is not None else read.reads_text,
            )
    return by_model


def _origin(facts: Any) -> Origin:
    if not isinstance(facts, Mapping):
        return Origin()
    recorded = (facts.get("weights") or {}).get("trained_on") or {}
    stated = facts.get("finetuned_on") or recorded.get("data") or ""
    names = stated.split(" + ") if isinstance(stated, str) else [str(name) for name in stated]
    reads = facts.get("takes_text")
    return Origin(tuple(name for name in names if name), reads if isinstance(reads, bool) else None)
