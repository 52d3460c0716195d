"""Provenance: who was audited, on what, with what, from the manifest, and the warnings that come first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from robustness.reports.data.conventions import DECLARED, guessed_conventions
from robustness.reports.data.empty_masks import MOSTLY_EMPTY, often_empty, silent_share
from robustness.reports.data.floors import Unheeded, unheeded_class
from robustness.reports.data.run_tables import RunTables
from robustness.reports.words import MISSING, count, friendly, listing
from robustness.run_integrity import other_rules

_MOST_PAIRS = 300
# Longer lists and tables of hashes are counted on the page; the run's manifest has them in full.
_MOST_ENTRIES = 24
_SECTIONS = (
    ("suite_version", "created", "seed", "device", "precision", "threads", "plan_sha256"),
    ("model",),
    ("dataset",),
    ("statistics",),
    ("counts",),
    ("packages",),
    ("timing",),
    ("tables",),
)


@dataclass(frozen=True)
class RunFacts:
    """The facts in the page's header for one run and data set; `unit` is the noun of the unit of inference."""

    name: str
    series: tuple[str, ...]
    dataset: str
    split: str
    n_cases: int
    n_images: int | None
    n_subjects: int
    unit: str
    subject_is_image: bool | None
    created: str
    suite_version: str
    prompt: str


@dataclass(frozen=True)
class Section:
    """One block of provenance of `run`: pairs of name and value, and a longer text where there is one."""

    run: str
    title: str
    pairs: tuple[tuple[str, str], ...]
    text: str = ""


def run_facts(run: RunTables) -> tuple[RunFacts, ...]:
    """Take the header's facts from the manifest, one per data set, and from the rows where it is silent."""
    listed = _datasets(run)
    return tuple(_facts_of(run, data, alone=len(listed) == 1) for data in listed)


def _datasets(run: RunTables) -> list[Mapping[str, Any]]:
    listed = [data for data in run.manifest.get("datasets") or () if isinstance(data, Mapping)]
    return listed or [_mapping(run.manifest.get("dataset"))]


def _facts_of(run: RunTables, data: Mapping[str, Any], *, alone: bool) -> RunFacts:
    rows = run.results if alone else run.results[run.results["dataset"] == data.get("name")]
    blind = data.get("subject_is_image")
    images = data.get("n_images")
    return RunFacts(
        name=run.name,
        series=tuple(rows["series"].unique()),
        dataset=str(data.get("name") or listing(sorted(rows["dataset"].astype(str).unique()))),
        split=str(data.get("split") or listing(sorted(rows["split"].dropna().astype(str).unique()))),
        n_cases=int(data.get("n_cases") or rows["case_id"].nunique()),
        n_images=int(images) if images is not None else None,
        n_subjects=int(data.get("n_subjects") or rows["subject_id"].nunique()),
        unit=_unit(data, blind),
        subject_is_image=blind if isinstance(blind, bool) else None,
        created=_date(run.manifest.get("created")),
        suite_version=str(run.manifest.get("suite_version") or MISSING),
        prompt=str(data.get("prompt") or MISSING),
    )


def warnings(runs: Sequence[RunTables], facts: Sequence[Sequence[RunFacts]]) -> tuple[str, ...]:
    """Return what a reader must know before any number, without repeats; `facts` are `run_facts` of each run."""
    sentences = [
        other_rules(run.manifest, runs[0].manifest, names=(f"Run {run.name}", f"run {runs[0].name}"))
        for run in runs[1:]
    ]
    for run, mine in zip(runs, facts, strict=True):
        sentences += _empty_predictions(run)
        for unit in dict.fromkeys(fact.unit for fact in mine if fact.subject_is_image):
            blind = [f for f in mine if f.subject_is_image and f.unit == unit]
            counts = dict.fromkeys(str(f.n_subjects) for f in blind)
            # Beside data whose patients are known the sentence says of which data it speaks.
            where = f" on {listing(sorted({f.dataset for f in blind}))}" if len(blind) < len(mine) else ""
            sentences.append(
                f"The unit of inference{where} is the {unit}, not the patient: the intervals speak about {unit}s like"
                f" these {listing(list(counts))}, and would be too narrow for a claim about patients."
            )
        if any(fact.subject_is_image is None for fact in mine):
            sentences.append("The run does not record what its unit of inference is; read the intervals with care.")
        failed = int(run.results["error"].fillna("").astype(str).ne("").sum())
        if failed:
            series = listing(list(dict.fromkeys(name for fact in mine for name in fact.series)))
            sentences.append(f"{series}: {count(failed, 'row')} could not be evaluated; they are listed under Methods.")
        recorded = [str(w) for w in run.manifest.get("warnings") or () if not str(w).startswith(DECLARED)]
        sentences += [one.warning for one in unheeded(run).values()]
        sentences += [friendly(warning, "") for warning in recorded]
        sentences += guessed_conventions(run)
    return tuple(dict.fromkeys(filter(None, sentences)))


def unheeded(run: RunTables) -> dict[str, Unheeded]:
    """Return what is said, by series, of models that do not heed the class that is asked for."""
    recorded = [str(w) for w in run.manifest.get("warnings") or ()]
    margin = _mapping(run.manifest.get("statistics")).get("margin_dice")
    return unheeded_class(run.effects, run.verdicts, margin, recorded)


def _empty_predictions(run: RunTables) -> list[str]:
    """Return what empty masks make void, per series: everything, or what they could not lose."""
    sentences = []
    for series in run.results["series"].unique():
        silence = silent_share(run.results, series)
        sentences.append(silence.sentence if silence.share >= MOSTLY_EMPTY else often_empty(run.results, series))
    return [sentence for sentence in sentences if sentence]


def notes(runs: Sequence[RunTables]) -> tuple[str, ...]:
    """Return the notes of the data sets and what the check before the audit found, without repeats."""
    listed = [data for run in runs for data in _datasets(run)]
    texts = [str(n) for data in listed for n in data.get("notes") or ()]
    texts += [f"data check, {f['level']}: {f['message']}" for data in listed for f in data.get("check") or ()]
    return tuple(dict.fromkeys(texts))


def verify_lines(runs: Sequence[RunTables]) -> tuple[str, ...]:
    """Return how a reader checks this report against its runs."""
    names = listing([run.name for run in runs])
    return (
        f"Ask for the run folder ({names}): the numbers of this page are its tables.",
        "robustness verify RUN recomputes the sha256 of the plan and of every table and compares them with the"
        " manifest, then derives effects and verdicts again from the rows with the recorded seed; it says line by line"
        " what matches and exits 1 where something differs.",
        "robustness report RUN writes this page again from the same tables.",
        "The manifest names the sha256 of the checkpoint and of the data files: compare them with your own copies.",
    )


def sections(runs: Sequence[RunTables]) -> tuple[Section, ...]:
    """Return the provenance of every run: the manifest flattened, then the plan."""
    parts: list[Section] = []
    for run in runs:
        parts.extend(_run_sections(run))
    return tuple(parts)


def _run_sections(run: RunTables) -> Iterator[Section]:
    # The manifest repeats a single model and data set in its lists.
    single_lists = {key for key in ("models", "datasets") if len(run.manifest.get(key) or ()) < 2}
    listed = {key for keys in _SECTIONS for key in keys} | {"warnings", "title", "certificate"} | single_lists
    rest = tuple(key for key in run.manifest if key not in listed)
    for keys in (*_SECTIONS, rest):
        if not keys:
            continue
        single = len(keys) == 1 and keys is not rest
        title = keys[0].capitalize() if single else "Run" if keys is not rest else "Further records"
        pairs = [pair for key in keys for pair in flatten(run.manifest.get(key, MISSING), "" if single else key)]
        if len(pairs) > _MOST_PAIRS:
            left = ("further entries", f"{len(pairs) - _MOST_PAIRS:,} more in the run's manifest.json")
            pairs = [*pairs[:_MOST_PAIRS], left]
        # A single block that nothing was recorded for is left out; the block of the run shows its gaps.
        if not single or keys[0] in run.manifest:
            yield Section(run.name, title, tuple(pairs))
    yield Section(run.name, "Plan", (), run.plan or MISSING)


def flatten(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield (dotted name, text) for every leaf of nested dictionaries and lists.

    Example:
        >>> list(flatten({"a": {"b": 1}}))
        [('a.b', '1')]
    """
    if isinstance(value, Mapping) and len(value) > _MOST_ENTRIES and all(map(_is_digest, value.values())):
        yield name, f"{count(len(value), 'file')}; the sha256 of each stands in the run's manifest.json"
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from flatten(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list | tuple) and any(isinstance(v, Mapping) for v in value):
        for index, inner in enumerate(value):
            yield from flatten(inner, f"{name}[{index}]")
    elif isinstance(value, list | tuple) and len(value) > _MOST_ENTRIES:
        first = ", ".join(map(str, value[:3]))
        yield name, f"{len(value):,} entries ({first}, ...); all of them stand in the run's manifest.json"
    elif isinstance(value, list | tuple):
        yield name, ", ".join(map(str, value)) or "none"
    else:
        yield name, MISSING if value is None or value == "" else str(value)


def _is_digest(value: Any) -> bool:
    return isinstance(value, str) and len(value) == 64


def merge_facts(facts: Sequence[RunFacts]) -> tuple[RunFacts, ...]:
    """Return the facts with runs that differ in nothing but their models merged."""
    merged: list[RunFacts] = []
    for fact in facts:
        same = next(
            (i for i, f in enumerate(merged) if replace(f, name="", series=()) == replace(fact, name="", series=())),
            None,
        )
        if same is None:
            merged.append(fact)
        else:
            earlier = merged[same]
            merged[same] = replace(earlier, name=f"{earlier.name}, {fact.name}", series=(*earlier.series, *fact.series))
    return tuple(merged)


def _date(value: Any) -> str:
    """Write an ISO time to the day; whatever else is recorded stays as it is."""
    if not value:
        return MISSING
    try:
        day = datetime.fromisoformat(str(value))
    except ValueError:
        return str(value)
    return f"{day.day} {day:%B %Y}"


def _unit(data: Mapping[str, Any], blind: Any) -> str:
    unit = str(data.get("unit") or "")
    if blind is False:
        return "patient" if unit in ("", "image") else unit
    return unit or ("image" if blind else "unit")


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
