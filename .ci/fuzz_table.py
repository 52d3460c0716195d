"""Try every odd and hostile input of the fuzz tests and write what came of them, by category, into a page.

Usage: python .ci/fuzz_table.py docs/reliability.md
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- fuzz: begin -->", "<!-- fuzz: end -->"
FAULT = "fault"


def outcomes() -> dict[str, Counter[str]]:
    """Return, by category, how many inputs were used, flagged, refused, or are a fault of the suite."""
    from tests.robustness.fuzz.test_fuzz import TRIALS
    from tests.robustness.fuzz.trial import outcome

    counted: dict[str, Counter[str]] = {}
    for trial in TRIALS:
        with tempfile.TemporaryDirectory(prefix="robustness-fuzz-") as folder:
            try:
                came = outcome(trial, Path(folder))
            except BaseException as error:  # whatever the suite must not raise
                if isinstance(error, KeyboardInterrupt):
                    raise
                came = FAULT
                print(f"{trial.category}-{trial.name}: {type(error).__name__}: {str(error)[:200]}", file=sys.stderr)
        counted.setdefault(trial.category, Counter())[came] += 1
    return counted


def table(counted: dict[str, Counter[str]]) -> str:
    """Return the table in Markdown, with a line of totals."""
    kinds = ("used", "flagged", "refused", FAULT)
    heads = ("used as it is", "its case flagged", "refused in one line", "traceback, hang or silence")
    whole: Counter[str] = sum(counted.values(), Counter())
    rows = [*sorted(counted.items()), ("all", whole)]
    lines = [f"| inputs | number | {' | '.join(heads)} |", "| --- | ---: | ---: | ---: | ---: | ---: |"]
    lines += [
        f"| {name} | {sum(came.values())} | {' | '.join(str(came[kind]) for kind in kinds)} |" for name, came in rows
    ]
    return "\n".join(lines)


def main() -> int:
    """Write the table; exit code 1 where an input is a fault of the suite."""
    sys.path.insert(0, str(ROOT))
    warnings.simplefilter("ignore")
    page = Path(sys.argv[1])
    counted = outcomes()
    text = page.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    page.write_text(f"{before}{BEGIN}\n{table(counted)}\n{END}{after}", encoding="utf-8")
    return 1 if any(came[FAULT] for came in counted.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
