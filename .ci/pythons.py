"""Which versions of Python the pinned dependencies have wheels for, and whether our code uses what a version removed.

Usage: python .ci/pythons.py [3.12 3.13 ...]

Asks the package index through pip, without installing: one line for each version, exit code 1 where a pin has no wheel.
Tests run on the Python that runs them; this says what can be known of the others.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("robustness", "perturb", "metrics", "runners", "reports")
# Modules that the standard library lost, by the version that lost them (PEP 594, PEP 632, "What's New").
REMOVED = {
    "3.12": {"asynchat", "asyncore", "distutils", "imp", "smtpd"},
    "3.13": {
        *("aifc", "audioop", "cgi", "cgitb", "chunk", "crypt", "imghdr", "lib2to3", "mailcap", "msilib", "nis"),
        *("nntplib", "ossaudiodev", "pipes", "sndhdr", "spwd", "sunau", "telnetlib", "uu", "xdrlib"),
    },
}


def pins() -> list[str]:
    """Return the pinned versions that the package and its extras bring in on any machine."""
    lines = (line.split("#")[0].strip() for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines())
    # The CUDA build's own libraries are no wheels of a Python version.
    return [line for line in lines if line and not line.startswith(("nvidia-", "cuda-", "triton"))]


def without_wheel(version: str, names: list[str]) -> list[str]:
    """Return the pins of which the index has no wheel for a version of Python on this platform."""
    missing: list[str] = []
    while names:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--disable-pip-version-check"]
            command += ["--no-deps", "--only-binary=:all:", "--python-version", version, "--target", folder]
            report = Path(folder) / "report.json"
            done = subprocess.run(
                [*command, "--report", str(report), *names], capture_output=True, text=True, check=False
            )
            if done.returncode == 0:
                count = len(json.loads(report.read_text("utf-8"))["install"])
                assert count == len(names), f"expected {len(names)} distributions, pip answered {count}"
                return missing
        failed = re.findall(r"No matching distribution found for (\S+)", done.stderr)
        if not failed:
            raise RuntimeError(done.stderr.strip()[-500:])
        missing += failed
        names = [name for name in names if name not in failed]
    return missing


def removed_imports(version: str) -> list[str]:
    """Return our imports of standard modules that a version of Python does not have any more."""
    number = tuple(map(int, version.split(".")))
    gone = set().union(*(names for first, names in REMOVED.items() if tuple(map(int, first.split("."))) <= number))
    found = []
    for room in ROOMS:
        for file in sorted((ROOT / room).rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text("utf-8"))):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                found += [f"{file.relative_to(ROOT)}: {name}" for name in names if name.split(".")[0] in gone]
    return found


def main(versions: list[str]) -> int:
    """Print a row for each version of Python; return 1 where something is missing."""
    names = pins()
    print("| Python | pins with a wheel | without one | our imports of removed modules |\n| --- | --- | --- | --- |")
    status = 0
    for version in versions:
        missing, removed = without_wheel(version, list(names)), removed_imports(version)
        status |= bool(missing or removed)
        cells = (version, f"{len(names) - len(missing)} of {len(names)}", ", ".join(missing) or "none")
        print("| " + " | ".join((*cells, ", ".join(removed) or "none")) + " |")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or ["3.11", "3.12", "3.13", "3.14"]))
