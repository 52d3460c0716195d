"""Environment that a result depends on besides the plan: versions, device, threads."""

from __future__ import annotations

import gc
import hashlib
import os
import platform
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

PACKAGES = (
    "vlsm-robustness",
    "torch",
    "torchvision",
    "transformers",
    "open_clip_torch",
    "segmentation-models-pytorch",
    "monai",
    "numpy",
    "scipy",
    "pandas",
    "pyarrow",
    "pillow",
    "statsmodels",
    "nltk",
    "wordfreq",
    "plotly",
)

# What decides how data are read, what is changed, and what is measured and concluded.
RULES = {
    "reading": "robustness.runners.data",
    "perturbations": "robustness.perturb",
    "metrics and verdicts": "robustness.metrics",
}

# Parameters of the GNU C library's `mallopt`, by their numbers in its malloc.h, and what they are set to.
_MALLOPT = {-1: 256 * 2**20, -3: 64 * 2**20}
# A user who sets these has decided.
_MALLOC_SETTINGS = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TOP_PAD_")


def reuse_memory() -> bool:
    """Let the C library keep the memory of freed arrays for the next ones; return whether it does.

    By default it gives arrays of some MiB back to the system and asks for them again, page by page, batch after batch:
    a quarter of the time of a small network. Up to 256 MiB at the end of the heap are kept, arrays of more than 64 MiB
    are given back as ever. Other libraries and systems are left alone.
    """
    if any(name in os.environ for name in _MALLOC_SETTINGS) or "malloc" in os.environ.get("GLIBC_TUNABLES", ""):
        return False
    library = _gnu_c_library()
    return library is not None and all(library.mallopt(number, value) for number, value in _MALLOPT.items())


def release_memory() -> None:
    """Give what `reuse_memory` keeps back to the system, in a process that predicts no more."""
    library = _gnu_c_library()
    if library is not None:
        gc.collect()
        library.malloc_trim(0)


def _gnu_c_library() -> Any:
    """Return the C library of this process where it is GNU's, else None."""
    try:
        os.confstr("CS_GNU_LIBC_VERSION")
    except (AttributeError, ValueError):
        return None
    import ctypes

    return ctypes.CDLL(None)


def package_versions() -> dict[str, str]:
    """Return the installed versions of what computes results."""
    return dict(_versions())


@lru_cache(maxsize=1)
def _versions() -> dict[str, str]:
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


@lru_cache(maxsize=1)
def rule_hashes() -> dict[str, str]:
    """Return, per room whose rules a result depends on, a hash over the contents of its files.

    Rules change between two releases and while one is made; equal versions of the suite do not show that.
    """
    hashes = {}
    for name, package in RULES.items():
        spec = find_spec(package)
        folders = [Path(folder) for folder in (spec.submodule_search_locations if spec else None) or ()]
        content = hashlib.sha256()
        for file in sorted(f for folder in folders for f in folder.rglob("*") if _is_source(f)):
            content.update(file.name.encode() + b"\0" + file.read_bytes().replace(b"\r\n", b"\n"))
        hashes[name] = content.hexdigest()[:16]
    return hashes


def _is_source(file: Path) -> bool:
    return (
        "__pycache__" not in file.parts and file.suffix != ".pyc" and not file.name.startswith(".") and file.is_file()
    )


def environment(threads: int | None = None) -> dict[str, Any]:
    """Set the number of CPU threads (where given), torch's and those of NumPy's products, and describe the machine."""
    import torch

    from robustness.perturb.language import wordnet

    if threads is not None:
        torch.set_num_threads(threads)
        # As many as cores otherwise, in each of several processes: they would wait for each other.
        threadpool_limits(threads, user_api="blas")
    cuda = torch.cuda.is_available()
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "threads": torch.get_num_threads(),
        "accelerator": torch.cuda.get_device_name() if cuda else "none",
        # Rare words are drawn from another list where WordNet can be read.
        "wordnet": wordnet.missing() or "installed",
        "packages": package_versions(),
        "rules": rule_hashes(),
    }
