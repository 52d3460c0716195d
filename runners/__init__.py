"""The room of data, models, audits and finetuning. Its public names are what authors of entries need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from robustness.lazy import load

if TYPE_CHECKING:
    from robustness.runners.inference.embedding import Tensors
    from robustness.runners.inference.preprocess import Preprocess
    from robustness.runners.inference.segmenter import SplitNetwork
    from robustness.runners.models.entry import Config, ModelEntry

_MODULES = {
    "Config": "robustness.runners.models.entry",
    "ModelEntry": "robustness.runners.models.entry",
    "Preprocess": "robustness.runners.inference.preprocess",
    "SplitNetwork": "robustness.runners.inference.segmenter",
    "Tensors": "robustness.runners.inference.embedding",
}

__all__ = ["Config", "ModelEntry", "Preprocess", "SplitNetwork", "Tensors"]


if not TYPE_CHECKING:  # a type checker would take every name for one that exists

    def __getattr__(name: str) -> Any:
        return load(__name__, _MODULES, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
