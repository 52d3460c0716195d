"""Try every form of an answer at every door, and every form of a checkpoint, and write what came of it into a page.

Usage: python .ci/form_tables.py docs/models.md
"""

from __future__ import annotations

import re
import sys
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
READ, NO_WAY = ("read", "loaded"), "-"


def answers() -> dict[str, dict[str, str]]:
    """Return, by form and door, what came of an answer: "read", "-" where it cannot pass, or the refusal."""
    from tests.runners.models.black_box.answer_forms import DOORS, FORMS, Doors

    with tempfile.TemporaryDirectory(prefix="robustness-doors-") as folder:
        doors = Doors(Path(folder))
        try:
            return {name: {door: doors.came(door, form) for door in DOORS} for name, form in FORMS.items()}
        finally:
            doors.close()


def answer_table(outcomes: Mapping[str, Mapping[str, str]]) -> str:
    """Return the table of the answers in Markdown."""
    doors = list(next(iter(outcomes.values())))
    lines = [f"| answer | {' | '.join(doors)} | why refused |", f"| --- |{' --- |' * len(doors)} --- |"]
    for name, row in outcomes.items():
        cells = [came if came in (*READ, NO_WAY) else "refused" for came in row.values()]
        lines.append(f"| {name} | {' | '.join(cells)} | {_reason(row)} |")
    return "\n".join(lines)


def checkpoints() -> dict[str, str]:
    """Return, by form, what came of loading a checkpoint: "loaded", with what the user has to say, or the refusal."""
    from tests.runners.checkpoints.checkpoint_forms import outcomes

    with tempfile.TemporaryDirectory(prefix="robustness-forms-") as folder:
        return outcomes(Path(folder))


def checkpoint_table(outcomes: Mapping[str, str]) -> str:
    """Return the table of the checkpoints in Markdown."""
    lines = ["| form | what happens |", "| --- | --- |"]
    return "\n".join([*lines, *(f"| {name} | {_cell(came)} |" for name, came in outcomes.items())])


def _reason(row: Mapping[str, str]) -> str:
    refusals = [came for came in row.values() if came not in (*READ, NO_WAY)]
    return _cell(refusals[0]) if refusals else ""


def _cell(sentence: str) -> str:
    """Return a sentence without the names of files, pairs and models that only the trial has."""
    text = re.sub(r"^(vendor: |model: |url: )?(pair \S+( \('[^']*'\))?: |case: \S+: )?", "", sentence)
    text = re.sub(r"(?<!\S)/\S*/([\w.-]+)", r"\1", text)
    text = re.sub(r"(\d+ (?:missing|unexpected|mismatched)) \([^)]*\)", r"\1", text).removeprefix("checkpoint: ")
    return text.replace("|", "\\|")


def main() -> int:
    """Write both tables."""
    sys.path.insert(0, str(ROOT))
    warnings.simplefilter("ignore")
    page = Path(sys.argv[1])
    text = page.read_text(encoding="utf-8")
    for name, table in (("answers", answer_table(answers())), ("checkpoints", checkpoint_table(checkpoints()))):
        begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        before, rest = text.split(begin, 1)
        text = f"{before}{begin}\n{table}\n{end}{rest.split(end, 1)[1]}"
    page.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
