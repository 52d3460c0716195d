"""`nonsense`: a sentence that has nothing to do with the image, a lower reference for every other change."""

from __future__ import annotations

import numpy as np

from robustness.perturb.language.edit import Edit, record
from robustness.perturb.prompt.base import PromptPerturbation
from robustness.registry import PERTURBATIONS
from robustness.types import Case, NotApplicable, Params

SENTENCES = (
    "The committee postponed its meeting until Thursday.",
    "Violins are usually tuned in perfect fifths.",
    "He forgot to water the tomatoes before the long weekend.",
    "Ferries to the island leave every forty minutes.",
    "Her uncle collects postage stamps from Portugal.",
    "The printer is out of paper again.",
    "Chess clubs meet in the library on Mondays.",
    "It rained during most of the bicycle race.",
)


@PERTURBATIONS.add("nonsense")
class Nonsense(PromptPerturbation):
    """Replace the prompt by an unrelated everyday sentence, drawn per case. Expectation: "control"."""

    name = "nonsense"
    expectation = "control"

    def propose(self, case: Case, severity: int, rng: np.random.Generator) -> Params | NotApplicable:
        """Return the record of the replacement."""
        text = case.prompt.text
        new = SENTENCES[int(rng.integers(len(SENTENCES)))]
        return record(text, [Edit(0, len(text), text, new)], kind="", old=text, new=new, source="curated sentences")
