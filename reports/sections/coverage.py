"""What a run tested and what it did not, from its rows and its manifest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from robustness.reports.data.determinism import certificate_table
from robustness.reports.data.frames import Frames, conditions_text, severities_text
from robustness.reports.data.model_facts import UNKNOWN_SUBJECTS, model_facts
from robustness.reports.data.run_tables import RunTables
from robustness.reports.sections.overview import abstention
from robustness.reports.sections.provenance import RunFacts
from robustness.reports.words import count, image_kind, listing
from robustness.results import is_attack, parse_condition


@dataclass(frozen=True)
class Coverage:
    """Two lists of lines: what rows of every model of the page show, and what no row, or not every model's, shows."""

    tested: tuple[str, ...]
    untested: tuple[str, ...]


def coverage(runs: Sequence[RunTables], frames: Frames, facts: Sequence[RunFacts]) -> Coverage:
    """Return what was tested and what was not."""
    shared, partial = _conditions(frames)
    kinds = _kinds(shared)
    severities = severities_text(frames.results)
    units = [abstention(frames.results[frames.results["series"] == s])[1] for s in frames.series]
    absent = min(units, default=0)
    rerun = int(frames.results["condition"].eq("rerun").sum()) if "rerun" in shared else 0
    tested = [
        *dict.fromkeys(
            f"{f.dataset}, {f.split}: {count(f.n_cases, 'case')}, {count(f.n_subjects, f.unit)}" for f in facts
        ),
        *(f"{title}: {conditions_text(names)}" for title, names in kinds.items() if names),
        *(f"image changes: {sentence.partition(';')[0].lower()}" for sentence in severities if kinds[_IMAGE]),
        *([f"prompts for absent structures: {count(absent, 'unit')}"] if absent else []),
        *([f"the same input again: {count(rerun, 'row')}"] if rerun else []),
    ]
    unknown = [model.series for model in model_facts(runs) if UNKNOWN_SUBJECTS in model.independence]
    places = listing(list(dict.fromkeys(f.dataset for f in facts)))
    untested = [
        *([f"of every model: {conditions_text(partial)}"] if partial else []),
        *(f"severities of the image changes: {sentence.partition('; ')[2].rstrip('.')}" for sentence in severities),
        *(title for title in (_IMAGE, _PROMPT) if not kinds[title]),
        *([] if absent else ["absent structures: no row shows whether a mask stays empty where nothing is there"]),
        *([] if "empty" in shared else ["an empty prompt"]),
        *([] if kinds[_ATTACKS] else ["deliberate attacks"]),
        *([] if rerun else ["the same input again"]),
        *(
            []
            if certificate_table(runs).rows
            else ["noise of the computation over devices, threads, batches, precision"]
        ),
        *(["whether test patients or images were trained on: no record of " + listing(unknown)] if unknown else []),
        f"data other than {places}: other hospitals and scanners, for which no synthetic change stands",
        "other phrasings than the prompts of this run",
    ]
    return Coverage(tuple(tested), tuple(untested))


_IMAGE, _PROMPT, _JOINT, _ATTACKS = "synthetic image changes", "prompt changes", "image and prompt together", "attacks"


def _conditions(frames: Frames) -> tuple[list[str], list[str]]:
    """Return the conditions with a usable row of every series, and those with one of some."""
    rows = frames.results[frames.results["applicable"].fillna(True).astype(bool)]
    rows = rows[rows["error"].fillna("").astype(str).eq("")]
    by_condition = rows.groupby(rows["condition"].astype(str), sort=False)["series"].nunique()
    complete = by_condition == len(frames.series)
    return [str(c) for c in by_condition.index[complete]], [str(c) for c in by_condition.index[~complete]]


def _kinds(conditions: Sequence[str]) -> dict[str, list[str]]:
    """Return the changes by sort, each once: of image changes the kinds, whose severities stand apart."""
    changes: dict[str, list[str]] = {_IMAGE: [], _PROMPT: [], _JOINT: [], _ATTACKS: []}
    sorts = {"image": _IMAGE, "prompt": _PROMPT, "joint": _JOINT}
    for condition in conditions:
        family = parse_condition(condition).family
        if is_attack(condition):
            changes[_ATTACKS].append(condition)
        elif family in sorts:
            changes[sorts[family]].append(f"image:{image_kind(condition)}" if family == "image" else condition)
    return changes
