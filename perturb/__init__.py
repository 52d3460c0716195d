"""The room of perturbations: prompts and images. Its public names are what authors of entries need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from robustness.lazy import load

if TYPE_CHECKING:
    from robustness.perturb.base import BasePerturbation
    from robustness.perturb.image.base import ImagePerturbation
    from robustness.perturb.prompt.base import PromptPerturbation

_MODULES = {
    "BasePerturbation": "robustness.perturb.base",
    "ImagePerturbation": "robustness.perturb.image.base",
    "PromptPerturbation": "robustness.perturb.prompt.base",
}

__all__ = ["BasePerturbation", "ImagePerturbation", "PromptPerturbation"]


if not TYPE_CHECKING:  # a type checker would take every name for one that exists

    def __getattr__(name: str) -> Any:
        return load(__name__, _MODULES, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
