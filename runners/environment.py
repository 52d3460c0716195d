"""Environment that a result depends on besides the plan: versions, device, threads."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

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
    try:
        os.confstr("CS_GNU_LIBC_VERSION")
    except (AttributeError, ValueError):
        return False
    import ctypes

    library = ctypes.CDLL(None)
    return all(library.mallopt(number, value) for number, value in _MALLOPT.items())


def package_versions() -> dict[str, str]:
    """Return the installed versions of what computes results."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def environment(threads: int | None = None) -> dict[str, Any]:
    """Set the number of CPU threads (where given) and describe the machine that computes."""
    import torch

    from robustness.perturb.language import wordnet

    if threads is not None:
        torch.set_num_threads(threads)
    cuda = torch.cuda.is_available()
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "threads": torch.get_num_threads(),
        "accelerator": torch.cuda.get_device_name() if cuda else "none",
        # Rare words are drawn from another list where WordNet can be read.
        "wordnet": wordnet.missing() or "installed",
        "packages": package_versions(),
    }
