"""Checks of an installation: what an audit needs, what it found of it, and the fix where something is missing."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

State = Literal["ok", "note", "problem"]
PACKAGE = "vlsm-robustness"
# Below these an audit of a usual set ends early: a gallery and its rows take some hundred MB.
LEAST_DISK_GB = 2.0
LEAST_MEMORY_GB = 4.0


@dataclass(frozen=True)
class Finding:
    """One check: what was found, and how to fix it where `state` is not "ok".

    A "problem" keeps audits from running or from being trusted; a "note" says what is missing for something optional.
    """

    name: str
    state: State
    found: str
    fix: str = ""


def diagnose(folder: Path) -> tuple[Finding, ...]:
    """Check versions, device, memory, WordNet, Chromium, and the disk where `folder` lies."""
    return (
        *_versions(),
        _device(),
        _memory(),
        _wordnet(),
        _chromium(),
        *_disk(folder),
    )


def _versions() -> Iterator[Finding]:
    import robustness

    yield Finding("robustness", "ok", f"{robustness.__version__} on Python {platform.python_version()}")
    missing, old, optional = _packages()
    for name in missing:
        yield Finding(name, "problem", "not installed", f"pip install {name}")
    for name, version, needed in old:
        yield Finding(name, "problem", f"{version}, older than needed", f"pip install '{name}{needed}'")
    if not missing and not old:
        yield Finding("packages", "ok", ", ".join(f"{n} {v}" for n, v in _shown_versions().items()))
    if optional:
        fix = "pip install 'vlsm-robustness[EXTRA]' for what you use: see docs/install.md"
        yield Finding("extras", "note", f"not installed: {', '.join(sorted(optional))}", fix)


def _shown_versions() -> dict[str, str]:
    from robustness.runners.environment import package_versions

    shown = ("torch", "numpy", "pandas", "transformers", "monai")
    return {name: version for name, version in package_versions().items() if name in shown}


def _packages() -> tuple[list[str], list[tuple[str, str, str]], list[str]]:
    """Return the required packages that are missing, those that are too old, and the optional ones that are missing."""
    from packaging.requirements import Requirement

    missing: list[str] = []
    old: list[tuple[str, str, str]] = []
    optional: list[str] = []
    try:
        lines = metadata.requires(PACKAGE) or []
    except metadata.PackageNotFoundError:
        # A checkout that was not installed states no requirements.
        return [], [], []
    for requirement in map(Requirement, lines):
        extra = requirement.marker is not None and "extra" in str(requirement.marker)
        if requirement.marker is not None and not extra and not requirement.marker.evaluate():
            continue
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            (optional if extra else missing).append(requirement.name)
            continue
        if not extra and not requirement.specifier.contains(version, prereleases=True):
            old.append((requirement.name, version, str(requirement.specifier)))
    return missing, old, list(dict.fromkeys(optional))


def _device() -> Finding:
    import torch

    threads = torch.get_num_threads()
    if torch.cuda.is_available():
        memory = torch.cuda.get_device_properties(0).total_memory / 2**30
        return Finding("device", "ok", f"{torch.cuda.get_device_name()}, {memory:.0f} GiB")
    if torch.backends.mps.is_available():
        return Finding("device", "ok", "Apple GPU (mps)")
    hardware = f"CPU alone: {os.cpu_count()} cores, {threads} threads; large models take hours"
    return Finding("device", "note", hardware, "on a machine with a GPU install a torch build for it (pytorch.org)")


def _memory() -> Finding:
    from robustness.runners.audit.worker_count import free_gib

    free = free_gib()
    if free >= LEAST_MEMORY_GB:
        return Finding("memory", "ok", f"{free:.1f} GiB available")
    return Finding("memory", "note", f"{free:.1f} GiB available", "close other programs, or use --workers 1")


def _wordnet() -> Finding:
    from robustness.perturb.language import wordnet

    why = wordnet.missing_for_rarity()
    if not why:
        return Finding("WordNet", "ok", "installed")
    fix = "pip install wordfreq" if why == wordnet.NO_FREQUENCIES else "python -m nltk.downloader wordnet"
    return Finding("WordNet", "note", f"{why}; the built-in word lists are used", fix)


def _chromium() -> Finding:
    from robustness.reports.html.pdf import BROWSERS, find_browser

    browser = find_browser()
    if browser:
        return Finding("Chromium", "ok", browser)
    fix = f"install one of {', '.join(BROWSERS[:3])}, or print the page from any browser"
    return Finding("Chromium", "note", "none on the PATH: --pdf cannot print", fix)


def _disk(folder: Path) -> Iterator[Finding]:
    for name, path in (("disk", folder.resolve()), ("temporary files", Path(tempfile.gettempdir()))):
        existing = next(p for p in (path, *path.parents) if p.is_dir())
        free = shutil.disk_usage(existing).free / 1e9
        if not os.access(existing, os.W_OK):
            yield Finding(name, "problem", f"{existing} cannot be written", "choose another folder with --out")
        elif free < LEAST_DISK_GB:
            yield Finding(name, "problem", f"{free:.1f} GB free at {existing}", "free some, or choose another folder")
        else:
            yield Finding(name, "ok", f"{free:.0f} GB free at {existing}")
