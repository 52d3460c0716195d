"""Report of the assertions of a test session about its runs, as Markdown or JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from robustness.files import write_text


def write_assertions(asserted: Sequence[dict[str, Any]], file: Path) -> None:
    """Write one entry per assertion, in the order of the tests' names."""
    ordered = sorted(asserted, key=lambda row: (row["test"], row["name"]))
    if file.suffix == ".json":
        write_text(file, json.dumps(ordered, indent=1, ensure_ascii=False) + "\n")
        return
    lines = ["| test | assertion | outcome | found |", "|---|---|---|---|"]
    for row in ordered:
        cells = (row["test"], row["gate"]["test"], row["outcome"], row["found"][0]["message"])
        lines.append("| " + " | ".join(_cell(cell) for cell in cells) + " |")
    write_text(file, "\n".join(lines) + "\n")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*").replace("\n", " ")
