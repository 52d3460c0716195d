"""Base class of every perturbation: draw, then apply, then record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, TypeAlias, Union

import numpy as np

from robustness.types import Case, DataContext, Mask, NotApplicable, Params, Prompt

if TYPE_CHECKING:
    import torch

if TYPE_CHECKING:
    import torch


class BasePerturbation:
    """Base of all entries; a subclass fills `propose` and `apply` (or one of the two shapes below).

    Class attributes:
        target: "prompt", "image" or "both" (moves the mask and the words).
        severities: the severity levels it has; ``(0,)`` where levels make no sense for a prompt edit, ``(1,)`` for an
            image change without levels.
        expectation: what a prompt-faithful, robust model should do; `expect` may refine it per case.
        per_prompt: the changed case depends on more than the image and the record: on the words or on the model.
        needs_model: nothing can be drawn without a model in the loop; an audit binds one.
    """

    name: str = ""
    target: ClassVar[str] = "prompt"
    severities: tuple[int, ...] = (0,)
    expectation: str = "none"
    per_prompt: ClassVar[bool] = True
    needs_model: ClassVar[bool] = False

    @classmethod
    def expand(cls, context: DataContext) -> Sequence[BasePerturbation]:
        """Return the perturbations that this entry stands for on a dataset (`antonym` -> one per kind)."""
        return (cls(),)

    def propose(self, case: Case, severity: int, rng: np.random.Generator) -> Params | NotApplicable:
        """Return JSON parameters, or the reason why the change does not apply."""
        raise NotImplementedError(f"{type(self).__name__} must define propose()")

    def draw(self, case: Case, severity: int, rng: np.random.Generator) -> Params | None:
        """Return JSON parameters, or None where the change does not apply."""
        proposed = self.propose(case, severity, rng)
        return None if isinstance(proposed, NotApplicable) else proposed

    def apply(self, case: Case, params: Params) -> Case:
        """Return the changed case."""
        raise NotImplementedError(f"{type(self).__name__} must define apply()")

    def apply_batch(self, cases: Sequence[Case], params: Sequence[Params], device: Device = "cpu") -> list[Case]:
        """Return the changed cases; entries that work on tensors do it on `device`."""
        return [self.apply(case, one) for case, one in zip(cases, params, strict=True)]

    def apply_mask(self, mask: Mask, params: Params) -> Mask:
        """Return `mask` (H, W) moved as `apply` moves the case's; the identity unless geometry changes."""
        return mask

    def apply_prompt(self, prompt: Prompt, params: Params) -> Prompt:
        """Return `prompt` with the words that the change makes false rewritten; the identity by default."""
        return prompt

    def expect(self, case: Case, params: Params) -> str:
        """Return the expectation for this case."""
        return self.expectation

    def condition(self, severity: int) -> str:
        """Return the condition's name: ``antonym:size``, ``image:gaussian_noise@3``."""
        name = self.name if self.target == "prompt" else f"image:{self.name}"
        return f"{name}@{severity}" if severity else name

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"


Device: TypeAlias = Union[str, "torch.device"]
