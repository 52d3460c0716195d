"""Print the lowest version of every dependency that pyproject.toml allows, one requirement a line.

Usage: python .ci/lower_bounds.py > requirements.txt
       python .ci/lower_bounds.py --link FROM TO   # site-packages of two environments

With ``--link``, torch and what it computes with (over 5 GB of the CUDA build) are taken into the second environment as
hard links of the first, where both hold the same versions; a second download and copy would fill a small disk.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# What the smoke set itself needs besides the package.
TEST_TOOLS = ("hypothesis", "pytest", "pytest-timeout", "pytest-xdist", "scikit-learn")
HEAVY = re.compile(r"(torch|torchvision|triton|nvidia-.*|cuda-.*)$")


def lowest(requirement: str) -> str:
    """Return ``name==bound`` for ``name>=bound``; other requirements have no lower bound and stay as they are."""
    match = re.match(r"([A-Za-z0-9._-]+)\s*>=\s*([0-9][0-9A-Za-z.]*)", requirement)
    return f"{match[1]}=={match[2]}" if match else requirement


def requirements() -> list[str]:
    """Return the lower bounds of the package's dependencies and of the test tools."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    tools = [line for line in project["optional-dependencies"]["dev"] if line.startswith(TEST_TOOLS)]
    return [lowest(line) for line in [*project["dependencies"], *tools]]


def link(source: Path, target: Path) -> int:
    """Link torch's distributions of ``source`` into ``target``; return how many files, 0 where versions differ."""
    heavy = [one for one in importlib.metadata.distributions(path=[str(source)]) if HEAVY.match(_name(one))]
    versions = {_name(one): one.version for one in heavy}
    bounds = dict(line.split("==") for line in requirements() if "==" in line)
    if any(not _same(versions.get(name, ""), bounds[name]) for name in ("torch", "torchvision")):
        return 0
    files = [Path(str(file)) for one in heavy for file in one.files or () if ".." not in Path(str(file)).parts]
    files = [file for file in files if (source / file).is_file() and not (target / file).exists()]
    for file in files:
        (target / file).parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source / file, target / file)
        except OSError:  # a file system without hard links
            shutil.copy2(source / file, target / file)
    return len(files)


def _name(one: importlib.metadata.Distribution) -> str:
    return re.sub(r"[-_.]+", "-", one.metadata["Name"]).lower()


def _same(version: str, bound: str) -> bool:
    """Tell whether ``2.11.0+cpu`` is the release ``2.11``."""
    release = version.split("+")[0]
    return release == bound or re.fullmatch(re.escape(bound) + r"(\.0)+", release) is not None


def main() -> None:
    """Print the requirements, or link."""
    if sys.argv[1:2] == ["--link"]:
        print(f"lowest: {link(Path(sys.argv[2]), Path(sys.argv[3]))} files of torch linked, not copied")
        return
    print("\n".join(requirements()))


if __name__ == "__main__":
    main()
