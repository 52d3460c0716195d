"""The regulatory edition: fifteen sections, what the run knows of each, and blanks for what it cannot know."""

from __future__ import annotations

from dataclasses import dataclass

from robustness.reports.figures.registry import figure_entries
from robustness.reports.sections.regulatory_context import RegulatoryContext, without_evidence
from robustness.reports.sections.regulatory_statements import WRITERS
from robustness.reports.sections.regulatory_table import ENTRIES

SUPPORT = "Supports evidence for"
NO_EVIDENCE = "No evidence in this run; asked for by"


@dataclass(frozen=True)
class Question:
    """What only the submitter knows; `key` is its name in ``[report]``, `answer` is empty where nothing was stated."""

    key: str
    question: str
    answer: str


@dataclass(frozen=True)
class RegulatorySection:
    """One numbered section.

    Attributes:
        asked_by: the documents that ask for it.
        statements: what this run shows, one paragraph each.
        blanks: the questions that the submitter has not answered.
        shows: figure families and table ids of the report that belong here.
        support: what this run is for those documents: evidence, or none.
        questions: what only the submitter can fill in, with the answers that were stated.
    """

    number: int
    title: str
    asked_by: str
    statements: tuple[str, ...]
    blanks: tuple[str, ...]
    shows: tuple[str, ...]
    questions: tuple[Question, ...]
    support: str = SUPPORT


def sections(context: RegulatoryContext) -> tuple[RegulatorySection, ...]:
    """Return the fifteen sections in their fixed order."""
    figures = figure_entries()
    listed = []
    for number, (entry, (write, tables)) in enumerate(zip(ENTRIES, WRITERS, strict=True), start=1):
        shows = (*tables, *(f.name for f in figures if f.regulatory == number))
        questions = tuple(Question(key, text, context.answers.get(key, "")) for key, text in entry.blanks)
        blanks = tuple(q.question for q in questions if not q.answer)
        statements = tuple(write(context))
        support = NO_EVIDENCE if without_evidence(number, context) else SUPPORT
        listed.append(
            RegulatorySection(number, entry.title, entry.asked_by, statements, blanks, shows, questions, support)
        )
    return tuple(listed)
