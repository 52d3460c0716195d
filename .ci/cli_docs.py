"""Write the reference page of the command line from its own help texts.

Usage: python .ci/cli_docs.py docs/cli.md
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

# The page must not depend on the terminal that it is made in. typer reads this when it is imported.
os.environ.update({"TERMINAL_WIDTH": "100", "COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"})

import typer.main
from typer.testing import CliRunner

HEAD = """# Command line

Written by `make docs` from the commands' own help; a test compares the two.
Exit codes: 0 held, 1 a gate or a check failed, 2 bad usage or input (one line on stderr says how to fix it).
"""


def page(app: typer.Typer) -> str:
    """Return the help text of the program and of each of its commands, as Markdown."""
    return HEAD + "".join(_section(app, path) for path in _walk(typer.main.get_command(app), ()))


def _walk(command: Any, path: tuple[str, ...]) -> list[tuple[str, ...]]:
    children = getattr(command, "commands", {})
    return [path, *(found for name, child in children.items() for found in _walk(child, (*path, name)))]


def _section(app: typer.Typer, path: tuple[str, ...]) -> str:
    shown = CliRunner().invoke(app, [*path, "--help"], prog_name="robustness", catch_exceptions=False).output
    help_text = "\n".join(line.rstrip() for line in shown.strip().splitlines())
    return f"\n## `{' '.join(('robustness', *path))}`\n\n```text\n{help_text}\n```\n"


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from robustness.cli.main import app

    Path(sys.argv[1]).write_text(page(app), "utf-8")
