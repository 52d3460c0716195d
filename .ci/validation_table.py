"""Write the suite's own validation figures for the report, from the tables that docs/ commits.

Usage: python .ci/validation_table.py reports/sections/validation.csv
"""

from __future__ import annotations

import csv
import io
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HEAD = ("study", "subject", "found", "limit", "source")


def table_below(page: str, heading: str) -> Iterator[list[str]]:
    """Yield the rows of the first Markdown table below a heading."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8").partition(heading)[2]
    lines = re.search(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert lines is not None, f"docs/{page} has no table below {heading!r}"
    for line in lines.group(0).splitlines()[2:]:
        yield [cell.strip() for cell in line.strip("|").split("|")]


def parity() -> Iterator[tuple[str, ...]]:
    """Yield one row per model: its largest difference of logits over all cases, with the tolerance of that case."""
    worst: dict[str, tuple[float, float]] = {}
    cases: dict[str, int] = {}
    for model, _, _, _, error, tolerance in table_below("models.md", "## Parity"):
        cases[model] = cases.get(model, 0) + 1
        pair = float(error), float(tolerance)
        worst[model] = max(worst.get(model, pair), pair, key=lambda one: one[0] / one[1])
    for model, (error, tolerance) in worst.items():
        found = f"largest difference of logits {error:.1e} over {cases[model]} case{'s' * (cases[model] > 1)}"
        yield "parity with the authors' code", model, found, f"{tolerance:.1e}", "docs/models.md, Parity"


def battery() -> Iterator[tuple[str, ...]]:
    """Yield one row per model of known behaviour: the percentage of wrong verdicts at four sample sizes."""
    runs = re.search(r"\((\d+) runs a cell", (ROOT / "docs" / "verdicts.md").read_text(encoding="utf-8"))
    assert runs is not None, "docs/verdicts.md does not say how many runs a cell of the battery has"
    for model, *cells in table_below("verdicts.md", "## How often these promises were broken in tests"):
        wrong = [re.sub(r"\*", "", cell).split("/")[-1].strip() for cell in cells]
        found = f"wrong verdicts at 12, 20, 60 and 200 patients: {', '.join(wrong)} % of {runs[1]} runs"
        study = "calibration, truth on the margin" if "(margin)" in model else "models of known behaviour"
        yield study, model.replace(" (margin)", ""), found, "5", "docs/verdicts.md"


def table_text() -> str:
    """Return the CSV."""
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows([HEAD, *parity(), *battery()])
    return stream.getvalue()


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(table_text(), encoding="utf-8")
