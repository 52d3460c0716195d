"""`empty`: the prompt without any word, a lower reference for every other change."""

from __future__ import annotations

import numpy as np

from robustness.perturb.language.edit import Edit, record
from robustness.perturb.prompt.base import PromptPerturbation
from robustness.registry import PERTURBATIONS
from robustness.types import Case, NotApplicable, Params


@PERTURBATIONS.add("empty")
class Empty(PromptPerturbation):
    """Replace the prompt by the empty text. Expectation: "control"."""

    name = "empty"
    expectation = "control"

    def propose(self, case: Case, severity: int, rng: np.random.Generator) -> Params | NotApplicable:
        """Return the record of the removal; an empty prompt has nothing to remove."""
        text = case.prompt.text
        if not text:
            return NotApplicable("the prompt is empty already")
        return record(text, [Edit(0, len(text), text, "")], kind="", old=text, new="", source="rule")
