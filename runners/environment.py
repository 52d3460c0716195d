"""Environment that a result depends on besides the plan: versions, device, threads."""

from __future__ import annotations

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
