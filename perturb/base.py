"""What every perturbation shares: draw, then apply, then record."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from robustness.types import Case, DataContext, Mask, NotApplicable, Params, Prompt


class BasePerturbation:
    """Base of all entries; a subclass fills `propose` and `apply` (or one of the two shapes below).

    Class attributes:
        target: "prompt", "image" or "both" (moves the mask and the words).
        severities: the degrees it has; ``(0,)`` where degrees make no sense for a prompt edit, ``(1,)`` for an
            image change without degrees.
        expectation: what a prompt-faithful, robust model should do; `expect` may refine it per case.
    """

    name: str = ""
    target: ClassVar[str] = "prompt"
    severities: tuple[int, ...] = (0,)
    expectation: str = "none"

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


class PromptPerturbation(BasePerturbation):
    """A change of the text alone; `params["text"]` holds the new text, the rest says what changed and why."""

    target: ClassVar[str] = "prompt"

    def __init__(self, *, context: DataContext | None = None, kind: str = "") -> None:
        self.context = context or DataContext(name="", infos=())
        self.kind = kind

    @classmethod
    def expand(cls, context: DataContext) -> Sequence[BasePerturbation]:
        """Return the one perturbation that this entry stands for."""
        return (cls(context=context),)

    def apply(self, case: Case, params: Params) -> Case:
        """Return the case with its prompt's text replaced by ``params["text"]``."""
        return dataclasses.replace(case, prompt=Prompt(params["text"], paraphrases=case.prompt.paraphrases))


class ImagePerturbation(BasePerturbation):
    """A change of the pixels alone, five severities; subclasses fill `propose` and `change`."""

    target: ClassVar[str] = "image"
    severities: tuple[int, ...] = (1, 2, 3, 4, 5)
    expectation = "invariant"

    def change(self, image: np.ndarray, params: Params) -> np.ndarray:
        """Return the changed image; uint8 (H, W, 3) in and out, gray stays gray."""
        raise NotImplementedError(f"{type(self).__name__} must define change()")

    def apply(self, case: Case, params: Params) -> Case:
        """Return the case with its image changed; the mask and the words stay."""
        return dataclasses.replace(case, image=self.change(case.image, params))
