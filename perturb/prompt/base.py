"""Base class of prompt perturbations."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from robustness.perturb.base import BasePerturbation
from robustness.types import Case, DataContext, Params, Prompt

if TYPE_CHECKING:
    pass
if TYPE_CHECKING:
    pass


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
