"""A finished run in a few lines of text, for the end of a command and for ``print(run)``."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from robustness.reports.data.conventions import DECLARED
from robustness.reports.data.expected import expected_table
from robustness.reports.data.frames import merge
from robustness.reports.data.gallery import Gallery
from robustness.reports.data.model_facts import model_facts
from robustness.reports.data.run_tables import RunTables
from robustness.reports.sections import findings, headline, overview, provenance
from robustness.reports.sections.findings import Finding
from robustness.reports.sections.headline import Headline, Phrase
from robustness.reports.sections.overview import Overview
from robustness.reports.words import count, listing

# So many series get their words; of more the counts alone are told.
_IN_FULL = 2
_MOST_WARNINGS = 4
WIDTH = 110


def run_summary(runs: Sequence[RunTables]) -> tuple[str, ...]:
    """Return about twenty lines: data, and per series clean Dice, counts, verdicts in words and the worst finding.

    Args:
        runs: what `read_runs` made of run folders, as for every function here.
    """
    frames = merge(runs)
    facts = [fact for run in runs for fact in provenance.run_facts(run)]
    units = {series: fact.unit for fact in facts for series in fact.series}
    overviews = overview.overviews(frames, model_facts(runs), expected_table(frames), units=units)
    unheeded = {series: one for run in runs for series, one in provenance.unheeded(run).items()}
    worst = findings.worst_findings(frames, Gallery(), most=len(frames.series), unheeded=unheeded)
    lines = []
    for fact in provenance.merge_facts(facts):
        images = "" if fact.n_images is None else f" on {count(fact.n_images, 'image')}"
        lines.append(
            f"{fact.dataset}, {fact.split}: {count(fact.n_cases, 'case')}{images}, prompt {fact.prompt}, unit of"
            f" inference {count(fact.n_subjects, fact.unit)}"
        )
    in_full = len(overviews) <= _IN_FULL
    for first, words in zip(overviews, headline.headlines(frames, unheeded=unheeded), strict=True):
        lines += _series_lines(first, words, [f for f in worst if f.series == first.series], in_full=in_full)
    return tuple(lines)


def run_warnings(runs: Sequence[RunTables], *, most: int = _MOST_WARNINGS) -> tuple[str, ...]:
    """Return what must be known before any number, `most` lines at the most."""
    warnings = provenance.warnings(runs, [provenance.run_facts(run) for run in runs])
    if len(warnings) <= most:
        return warnings
    return (*warnings[: most - 1], f"{len(warnings) - most + 1} more stand on the report's first screen")


def declarations(runs: Sequence[RunTables]) -> tuple[str, ...]:
    """Return how the data were read as the plan or the data declare it: masks, and slices of volumes."""
    return tuple(text for text in provenance.notes(runs) if text.startswith(DECLARED))


def _series_lines(first: Overview, words: Headline, worst: Sequence[Finding], *, in_full: bool) -> Iterator[str]:
    counts = ", ".join(f"{o.n} {o.words}{f' ({o.uncertified}*)' if o.uncertified else ''}" for o in first.judged)
    yield f"{first.series}: clean Dice {first.score}; {counts or overview.NOTHING_JUDGED}"
    if words.nothing:
        yield from _wrapped("", words.nothing)
    if not in_full:
        return
    floors = next((f.text for f in first.facts if f.label.startswith("Its floors")), "")
    yield from _wrapped("floors", floors)
    by_dice = ["does not heed the class that is asked for, by Dice"] if words.by_dice else []
    yield from _wrapped("words", "; ".join([*by_dice, *map(_phrase, words.prompt)]))
    yield from _wrapped("changes", "; ".join(_phrase(p, undecided="undecided under") for p in words.image))
    yield from _wrapped("untested", next((f.text for f in first.facts if f.label == "Not testable"), ""))
    for finding in worst[:1]:
        yield from _wrapped(
            "worst",
            f"{finding.verdict} under {finding.words} ({finding.measure})" if finding.verdict else finding.says,
        )


def _phrase(phrase: Phrase, *, undecided: str = "undecided on") -> str:
    return f"{undecided} {listing(phrase.items)}" if phrase.verdict == "INCONCLUSIVE" else phrase.sentence


def _wrapped(label: str, text: str) -> Iterator[str]:
    if text:
        head = f"  {label:9}"
        yield from textwrap.wrap(text, WIDTH, initial_indent=head, subsequent_indent=" " * len(head))
