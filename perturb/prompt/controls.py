"""Prompts that say nothing of the image, lower references for every other change: `empty`, `nonsense`, `shuffled`."""

from __future__ import annotations

import numpy as np

from robustness.perturb.language.edit import Edit, record
from robustness.perturb.prompt.base import PromptPerturbation
from robustness.perturb.prompt.other import listed
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


@PERTURBATIONS.add("empty")
class Empty(PromptPerturbation):
    """Replace the prompt by the empty text. Expectation: "control"."""

    name = "empty"
    may_be_empty = True
    expectation = "control"

    def propose(self, case: Case, severity: int, rng: np.random.Generator) -> Params | NotApplicable:
        """Return the record of the removal; an empty prompt has nothing to remove."""
        text = case.prompt.text
        if not text:
            return NotApplicable("the prompt is empty already")
        return record(text, [Edit(0, len(text), text, "")], kind="", old=text, new="", source="rule")


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


@PERTURBATIONS.add("shuffled")
class Shuffled(PromptPerturbation):
    """Replace the prompt by one of a case on another image, drawn per case among the texts that differ.

    Expectation: "control". Params: as `empty`, and `other_prompt_of`, the case that the text was taken from.
    """

    name = "shuffled"
    expectation = "control"
    _TRIES = 64

    def propose(self, case: Case, severity: int, rng: np.random.Generator) -> Params | NotApplicable:
        """Return the record of the replacement."""
        text = case.prompt.text
        index = int(case.metadata.get("prompt_index", 0))
        image = str(case.metadata.get("image_id", ""))
        infos = self.context.infos
        # Few cases are looked at one by one; of many, a bounded number is drawn, so that a big dataset stays fast.
        order = rng.permutation(len(infos))[: self._TRIES] if infos else ()
        for i in order:
            info = infos[int(i)]
            if info.image_id == image or not info.prompts:
                continue
            new = listed(info, index).text
            if new and new != text:
                return record(
                    text,
                    [Edit(0, len(text), text, new)],
                    kind="",
                    old=text,
                    new=new,
                    source="prompt of a case on another image",
                    other_prompt_of=info.case_id,
                )
        return NotApplicable("no case on another image has another prompt")
