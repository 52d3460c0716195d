"""Write docs/regulatory.md: the fifteen items, their sources, what a run fills and what the submitter fills.

Usage: python .ci/regulatory_docs.py docs/regulatory.md
"""

from __future__ import annotations

import sys
from pathlib import Path

from robustness.reports.sections.regulatory_sources import SOURCES
from robustness.reports.sections.regulatory_table import ENTRIES

# What a run itself answers in each section.
FILLED = (
    "model card: architecture, weights hash, training data, parameters, input, output; prompts",
    "all changes by what they should do; expected against observed",
    "margins, error rates, correction, largest detectable effect; when the plan was stored",
    "data card: split, cases, images, patients, modality, how files were read; empty references; truth of the prompts",
    "Dice, IoU, NSD, HD95 with 95% intervals over units; distribution and floors",
    "every prompt claim with interval, units, rule; counts by verdict",
    "every claim on image changes by every metric; severity curves; matrix",
    "second run of the same input; device, precision, seed",
    "clean score and loss by every grouping of the rows",
    "missed and hallucinated cases, the twenty lowest, images",
    "rows not applicable or failed with their reasons; rule for empty masks",
    "attacks of the run, else that none was run; poisoning: not tested, and why it cannot be",
    "limits; all verdicts with the rule that decided; what would decide the rest",
    "how to judge a new version by the same plan",
    "validation of this suite; hashes, versions and plan in the annex file",
)


def page() -> str:
    """Return the Markdown."""
    lines = [
        "# The regulatory edition, item by item",
        "",
        "Written by `python .ci/regulatory_docs.py docs/regulatory.md` from the report's own tables; a test compares"
        " the two.",
        "`robustness report RUN --edition regulatory --pdf` writes the page, the PDF and `NAME-annex.json` (hashes,"
        " versions, plan).",
        "Blanks are filled from `[report]` in the plan, or from a file with that table (`--answers FILE`); neither"
        " changes a result.",
        "The report supports evidence for these items; it states conformity with none.",
        "",
        "## Fifteen items",
        "",
        "| section | asked for by | filled by a run | blank until the submitter fills it (key in `[report]`) |",
        "|---|---|---|---|",
    ]
    for number, (entry, filled) in enumerate(zip(ENTRIES, FILLED, strict=True), start=1):
        blanks = "; ".join(f"{question} (`{key}`)" for key, question in entry.blanks)
        lines.append(f"| {number} {entry.title} | {entry.asked_by} | {filled} | {blanks} |")
    lines += [
        "",
        "## Texts",
        "",
        "“How it was read” says how far an item number can be trusted: where a text is sold, or only secondary sources"
        " were at hand, it is to be checked.",
        "",
        "| text | edition and date | items | sections | how it was read |",
        "|---|---|---|---|---|",
    ]
    for source in SOURCES:
        places = ", ".join(map(str, source.sections))
        lines.append(f"| {source.name} | {source.edition} | {source.items} | {places} | {source.checked} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
