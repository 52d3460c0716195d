"""Print the lowest version of every dependency that pyproject.toml allows, one requirement a line.

Usage: python .ci/lower_bounds.py > requirements.txt
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# What the smoke set itself needs besides the package.
TEST_TOOLS = ("hypothesis", "pytest", "pytest-timeout", "pytest-xdist", "scikit-learn")


def lowest(requirement: str) -> str:
    """Return ``name==bound`` for ``name>=bound``; other requirements have no lower bound and stay as they are."""
    match = re.match(r"([A-Za-z0-9._-]+)\s*>=\s*([0-9][0-9A-Za-z.]*)", requirement)
    return f"{match[1]}=={match[2]}" if match else requirement


def main() -> None:
    """Print the requirements."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    tools = [line for line in project["optional-dependencies"]["dev"] if line.startswith(TEST_TOOLS)]
    print("\n".join(lowest(line) for line in [*project["dependencies"], *tools]))


if __name__ == "__main__":
    main()
