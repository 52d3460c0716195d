"""The first screen of every model: score and floors, verdicts by kind and metric, abstention, what was not testable."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from robustness.metrics.inference.intervals import level_of
from robustness.metrics.inference.shares import clopper_pearson
from robustness.reports.data.claims import ORDER, ROBUST_ORDER
from robustness.reports.data.datatable import DataTable
from robustness.reports.data.empty_masks import predictions, silent_share
from robustness.reports.data.floors import floor_scores
from robustness.reports.data.frames import Frames
from robustness.reports.data.model_facts import ModelFacts
from robustness.reports.data.unit_means import unit_interval
from robustness.reports.words import condition_words, count, friendly, interval, listing, metric_words, number

_KINDS = {"prompt": "Words", "abstention": "Absent targets", "robustness": "Robustness"}
# The words of the table of expected against observed, and what the page calls them.
OUTCOMES = {
    "yes": "as expected",
    "no": "not as expected",
    "undecided": "undecided",
    "not testable": "not testable",
    "": "no behaviour required",
}


@dataclass(frozen=True)
class Outcome:
    """How many kinds of change came out in one way; `uncertified` of them carry a star."""

    name: str
    words: str
    n: int
    uncertified: int


@dataclass(frozen=True)
class Tally:
    """Verdict counts of one kind of claim by one metric, the verdicts in page order; `link` is an id of the page."""

    kind: str
    metric: str
    link: str
    verdicts: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Fact:
    """One line of the first screen; `link` is an id of the page, `condition` one whose rows stand behind it."""

    label: str
    text: str
    link: str = ""
    condition: str = ""


@dataclass(frozen=True)
class Overview:
    """What the page says first of one series; `score` is its clean Dice in words."""

    series: str
    score: str
    outcomes: tuple[Outcome, ...]
    tallies: tuple[Tally, ...]
    facts: tuple[Fact, ...]

    @property
    def judged(self) -> tuple[Outcome, ...]:
        """The outcomes of changes with a required behaviour; empty where not one has a verdict."""
        outcomes = tuple(o for o in self.outcomes if o.name)
        return outcomes if any(o.n for o in outcomes) else ()


NOTHING_JUDGED = "nothing was judged: no change with a required behaviour has a verdict"


def overviews(
    frames: Frames, models: Sequence[ModelFacts], expected: DataTable, *, units: Mapping[str, str]
) -> tuple[Overview, ...]:
    """Return one overview per series.

    Args:
        expected: the table of expected against observed.
        units: the noun of the unit of inference by series.
    """
    floors = floor_scores(frames.effects, frames.results)
    lines = []
    for series in frames.series:
        rows = frames.results[frames.results["series"] == series]
        verdicts = frames.verdicts[frames.verdicts["series"] == series]
        unit = units.get(series, "unit")
        level = 1 - frames.alpha_of(series)
        score = _score(rows, unit, level)
        facts = (
            Fact("Clean Dice", score, "scores", "clean"),
            _prompt_line(rows),
            _floor_line(floors[floors["series"] == series]),
            _abstention_line(rows, unit, level),
            _empty_line(frames, series),
            *_untested_lines(rows, verdicts),
            *_model_lines(next((m for m in models if m.series == series), None)),
        )
        lines.append(Overview(series, score, _outcomes(expected, series), tallies(verdicts), facts))
    return tuple(lines)


def tallies(verdicts: pd.DataFrame) -> tuple[Tally, ...]:
    """Count the verdicts of one series by kind of claim and metric, Dice first."""
    tallies_of_kinds = []
    for claim, title in _KINDS.items():
        rows = verdicts[verdicts["claim"] == claim]
        metrics = sorted(dict.fromkeys(rows["metric"].astype(str)), key=lambda m: (m != "dice", m))
        for metric in metrics:
            counts = Counter(rows[rows["metric"] == metric]["verdict"].astype(str))
            order = [*(ROBUST_ORDER if claim == "robustness" else ORDER), *counts]
            named = tuple((v, counts[v]) for v in dict.fromkeys(order) if counts[v])
            link = "robustness" if claim == "robustness" else "prompt"
            tallies_of_kinds.append(Tally(title, metric_words(metric), link, named))
    return tuple(tallies_of_kinds)


def _outcomes(expected: DataTable, series: str) -> tuple[Outcome, ...]:
    names = [c.name for c in expected.columns]
    met = [str(row[names.index("met")]) for row in expected.rows if row[names.index("series")] == series]
    return tuple(
        Outcome(name, words, met.count(name) + met.count(f"{name}*"), met.count(f"{name}*"))
        for name, words in OUTCOMES.items()
    )


def _model_lines(model: ModelFacts | None) -> Iterable[Fact]:
    if model is None:
        return
    weights = model.weights if " " in model.weights else f"sha256 {model.weights[:16]}…"
    reads = {"yes": "reads its prompt", "no": "cannot read its prompt"}.get(model.reads_text, "")
    parameters = "" if not model.parameters[0].isdigit() else f"{model.parameters} parameters"
    yield Fact("Model", ", ".join(filter(None, (model.architecture, parameters, reads))), "provenance")
    yield Fact("Weights", weights, "provenance")
    yield Fact("Training data", model.training, "provenance")
    yield Fact("Seen in training", model.independence, "provenance")


def _score(rows: pd.DataFrame, unit: str, level: float) -> str:
    clean = rows[(rows["condition"] == "clean") & pd.to_numeric(rows["dice"], errors="coerce").notna()]
    if clean.empty:
        return "no clean prediction could be scored"
    score = unit_interval(clean, "dice", level=level)
    known = pd.notna(score["ci_low"]) and pd.notna(score["ci_high"])
    ends = interval(score["ci_low"], score["ci_high"], level=level) if known else "(no interval)"
    return f"{number(score['mean'])} {ends}, {count(score['n_subjects'], unit)}"


def _prompt_line(rows: pd.DataFrame) -> Fact:
    prompts = rows[rows["condition"] == "clean"]["prompt"].dropna()
    example = f", for example “{prompts.iloc[0]}”" if len(prompts) else ""
    return Fact("Prompts", f"{count(int(prompts.nunique()), 'distinct text')}{example}", "gallery", "clean")


def _floor_line(floors: pd.DataFrame) -> Fact:
    named = [f"{condition_words(str(r['condition']))} {number(r['perturbed_mean'])}" for r in floors.to_dict("records")]
    return Fact("Its floors (Dice)", "; ".join(named) or "none was measured", "scores")


def _empty_line(frames: Frames, series: str) -> Fact:
    clean = frames.results[frames.results["condition"].eq("clean") & frames.results["series"].eq(series)]
    silence = silent_share(clean, series)
    # Of a case whose prediction failed nothing is recorded.
    own = predictions(clean).drop_duplicates(["dataset", "split", "case_id"])
    blank = own["both_empty"].eq(True).fillna(False) | own["hallucinated"].eq(True).fillna(False)
    return Fact(
        "Empty masks",
        f"{silence.n_empty:,} of {count(silence.n, 'clean prediction')} where the structure is there; references:"
        f" {int(blank.sum()):,} of {len(own):,}",
        "scores",
        "clean",
    )


def abstention(rows: pd.DataFrame) -> tuple[int, int]:
    """Count the units whose masks all stay empty where the prompt asks for what is not there, and all such units.

    Args:
        rows: of one series, with `expectation`, `applicable`, `error`, `area_fraction` and `subject_id`; without an
            area the flags `both_empty`, `missed` (empty) and `hallucinated` (painted) say it.
    """
    requests = rows[(rows["expectation"] == "abstain") & rows["applicable"].fillna(True).astype(bool)]
    requests = requests[requests["error"].fillna("").astype(str).eq("")]
    painted = _painted(requests)
    measured = requests.assign(painted=painted)[painted.notna()]
    by_unit = measured.groupby("subject_id")["painted"].max()
    return int((by_unit == 0).sum()), len(by_unit)


def _painted(rows: pd.DataFrame) -> pd.Series:
    if "area_fraction" in rows and rows["area_fraction"].notna().any():
        area = pd.to_numeric(rows["area_fraction"], errors="coerce")
        return (area > 0).astype(float).where(area.notna())
    painted = pd.Series(float("nan"), index=rows.index)
    for flag, value in (("both_empty", 0.0), ("missed", 0.0), ("hallucinated", 1.0)):
        painted = painted.mask(rows[flag].eq(True).fillna(False).astype(bool), value)
    return painted


def _abstention_line(rows: pd.DataFrame, unit: str, level: float) -> Fact:
    n_empty, n = abstention(rows)
    conditions = rows[rows["expectation"] == "abstain"]["condition"].astype(str)
    if conditions.empty:
        return Fact("Abstention", "not measured: no prompt of this run asks for what is certainly not there", "prompt")
    if not n:
        return Fact("Abstention", "not known: no row that should stay empty records the area of its mask", "prompt")
    share = clopper_pearson(n_empty, n, level=level)
    ends = f"{level_of(level)} interval {100 * share.low:.0f}% to {100 * share.high:.0f}%"
    sentence = (
        f"masks stay empty for {n_empty} of {count(n, unit)} ({100 * share.value:.0f}%, {ends}) where nothing is there"
    )
    return Fact("Abstention", sentence, "prompt", str(conditions.iloc[0]))


def _untested_lines(rows: pd.DataFrame, verdicts: pd.DataFrame) -> Iterable[Fact]:
    untested = verdicts[verdicts["verdict"] == "UNTESTABLE"]
    reasons = Counter(_reason(r) for r in untested.to_dict("records"))
    if reasons:
        named = [f"{why} ({count(n, 'claim')})" for why, n in reasons.most_common(3)]
        more = len(reasons) - len(named)
        named += [f"{count(more, 'further reason')} in the table of verdicts"] if more else []
        yield Fact("Not testable", "; ".join(named), "verdicts-sheet")
    off = rows[~rows["applicable"].fillna(True).astype(bool)]
    if len(off):
        notes = Counter(str(note) for note in off["note"].fillna("no reason recorded"))
        named = [f"{why} ({count(n, 'row')})" for why, n in notes.most_common(2)]
        yield Fact("Did not apply", f"{count(len(off), 'row')}: {listing(named)}", "not-applicable-sheet")


def _reason(row: dict[Any, Any]) -> str:
    return friendly(str(row["rule"] or row["sentence"] or "no reason recorded"), "").rstrip(".")
