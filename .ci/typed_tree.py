"""Lay the rooms out as installed, as links, so that a type checker sees `robustness.perturb` and the others.

Usage: python .ci/typed_tree.py build/typed
"""

from __future__ import annotations

import shutil
import sys
import tomllib
from pathlib import Path


def lay_out(root: Path, tree: Path) -> None:
    """Fill `tree` with links to the packages that ``pyproject.toml`` in `root` maps to folders."""
    shutil.rmtree(tree, ignore_errors=True)
    folders = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]["package-dir"]
    # Sorted, the package comes before its subpackages, which then lie inside it.
    for package, folder in sorted(folders.items()):
        laid = tree.joinpath(*package.split("."))
        laid.mkdir(parents=True)
        for file in (root / folder).iterdir():
            if file.name != "__pycache__":
                (laid / file.name).symlink_to(file)


if __name__ == "__main__":
    lay_out(Path(__file__).resolve().parents[1], Path(sys.argv[1]))
