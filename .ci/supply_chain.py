"""What this package is made of: advisories about its dependencies, their licences, a bill of materials.

    python .ci/supply_chain.py advisories|licences|sbom [--python PYTHON] [--out FILE]

`advisories` and `sbom` run pip-audit and cyclonedx-bom (the extra `supply-chain`) over an environment; `licences` reads
what every installed distribution states. Exit codes: 0 nothing to do, 1 an advisory or a licence to look at, 2 the
service did not answer, so that nothing is known.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterable, Sequence
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any, NamedTuple

# A licence that asks whoever passes the package on to pass everything on under the same terms.
_STRONG_COPYLEFT = ("GPL", "GENERAL PUBLIC LICENSE")
_WEAK_COPYLEFT = ("LGPL", "LESSER", "LIBRARY GENERAL")
_UNKNOWN = "unknown"


class Licence(NamedTuple):
    """What one distribution states about its licence."""

    name: str
    version: str
    licence: str

    @property
    def needs_a_look(self) -> bool:
        """Whether a person must decide: nothing is stated, or the licence binds what is built on it."""
        stated = self.licence.upper()
        strong = any(word in stated for word in _STRONG_COPYLEFT) and not any(w in stated for w in _WEAK_COPYLEFT)
        return self.licence == _UNKNOWN or strong


def licences(found: Iterable[Distribution]) -> list[Licence]:
    """Return the licence of every distribution, sorted by name."""
    rows = {d.name.lower(): Licence(d.name, d.version, licence_of(d)) for d in found if d.name}
    return [rows[name] for name in sorted(rows)]


def licence_of(distribution: Distribution) -> str:
    """Return a distribution's licence: its SPDX expression, else its classifiers, else its free text's first line."""
    facts = distribution.metadata
    expression = facts.get("License-Expression")
    classified = [c.split("::")[-1].strip() for c in facts.get_all("Classifier") or [] if c.startswith("License ::")]
    classified = [c for c in classified if c != "OSI Approved"]
    text = (facts.get("License") or "").strip().splitlines()
    return expression or "; ".join(classified) or (text[0][:80] if text else _UNKNOWN)


def advisories(report: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Return pip-audit's findings as lines, and the packages that it could not look up."""
    lines, skipped = [], []
    for package in report["dependencies"]:
        if "skip_reason" in package:
            skipped.append(package["name"])
        for found in package.get("vulns", []):
            fixed = ", ".join(found["fix_versions"]) or "no version yet"
            lines.append(f"{package['name']} {package['version']}: {found['id']}, fixed in {fixed}")
    return lines, skipped


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one of the three; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("advisories", "licences", "sbom"))
    parser.add_argument("--python", default=sys.executable, help="the environment to look at")
    parser.add_argument("--out", type=Path, help="write the licences or the bill of materials here")
    chosen = parser.parse_args(arguments)
    if chosen.what == "licences":
        return _licences(chosen.out)
    if chosen.what == "sbom":
        return _sbom(chosen.python, chosen.out or Path("build/sbom.json"))
    return _advisories(chosen.python)


def _licences(out: Path | None) -> int:
    rows = licences(distributions())
    text = "".join(f"{row.name} {row.version}\t{row.licence}\n" for row in rows)
    if out is None:
        print(text, end="")
    else:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8")
    odd = [row for row in rows if row.needs_a_look]
    for row in odd:
        print(f"look at: {row.name} {row.version} ({row.licence})", file=sys.stderr)
    print(f"{len(rows)} distributions, {len(odd)} whose licence a person must look at", file=sys.stderr)
    return 1 if odd else 0


def _sbom(python: str, out: Path) -> int:
    out.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "cyclonedx_py", "environment", python, "--pyproject", "pyproject.toml"]
    command += ["--output-reproducible", "--of", "JSON", "-o", str(out)]
    done = subprocess.run(command, check=False)
    if done.returncode == 0:
        parts = json.loads(out.read_text(encoding="utf-8"))["components"]
        print(f"{out}: CycloneDX, {len(parts)} components")
    return done.returncode


def _advisories(python: str) -> int:
    code = "import sysconfig; print(sysconfig.get_paths()['purelib'])"
    site = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    command = [sys.executable, "-m", "pip_audit", "--path", site, "--format", "json", "--progress-spinner", "off"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        report = json.loads(done.stdout)
    except ValueError:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        print(f"nothing is known: the advisory service did not answer ({last})", file=sys.stderr)
        return 2
    lines, skipped = advisories(report)
    total = len(report["dependencies"])
    print(f"{total - len(skipped)} of {total} packages were looked up", file=sys.stderr)
    if len(skipped) == total:
        print("nothing is known: the advisory service knows none of the packages, or did not answer", file=sys.stderr)
        return 2
    print("\n".join(lines) or "no advisory")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
