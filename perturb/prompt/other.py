"""`other:KIND`: the prompt of a second target that is in the same image; the mask must move to that target."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from robustness.perturb.base import BasePerturbation
from robustness.perturb.prompt.base import PromptPerturbation
from robustness.registry import PERTURBATIONS
from robustness.types import Case, CaseInfo, DataContext, NotApplicable, Params, Prompt

TARGET = "target"
_WORD = re.compile(r"[^\W_]+(?:[-'][^\W_]+)*")
# Words that only hold a template together: "one large region: ...", "in two separate parts".
_SCAFFOLD = frozenset(
    "a an the and or of in on at with to is are region regions part parts piece pieces separate distinct".split()
)


@PERTURBATIONS.add("other")
class Other(PromptPerturbation):
    """Ask for another case of the same image.

    KIND is the only attribute in which the two prompts, as they are audited, differ: "left hippocampus" and "right
    hippocampus" are `other:side`; pairs that differ in more, in the target or in words that are not understood, are
    `other:target`, and so is "left and right hippocampi", whose noun differs too; pairs with the same words are no
    pair. The other case is the first by case_id among those of that KIND.

    Expectation: "follow". Params: `text kind old new other_case_id other_prompt_index start stop source`.
    """

    name = "other"
    expectation = "follow"

    def __init__(self, *, context: DataContext | None = None, kind: str = "") -> None:
        super().__init__(context=context, kind=kind)
        self.name = f"other:{kind}" if kind else "other"

    @classmethod
    def expand(cls, context: DataContext) -> Sequence[BasePerturbation]:
        """Return one perturbation per KIND that occurs between two cases of one image, sorted."""
        kinds: set[str] = set()
        for info in context.infos:
            for index, prompt in enumerate(info.prompts):
                others = _others(context, info.image_id, info.case_id)
                kinds.update(filter(None, (differing_kind(prompt, listed(o, index)) for o in others)))
        return tuple(cls(context=context, kind=kind) for kind in sorted(kinds))

    def propose(self, case: Case, severity: int, rng: np.random.Generator) -> Params | NotApplicable:
        """Return the second target's prompt; nothing is drawn."""
        index = int(case.metadata.get("prompt_index", 0))
        others = _others(self.context, str(case.metadata.get("image_id", "")), case.case_id)
        if not others:
            return NotApplicable("no other target of this image is in the dataset")
        for info in others:
            prompt = listed(info, index)
            if differing_kind(case.prompt, prompt) == self.kind:
                return self._record(case.prompt, prompt, info, index)
        return NotApplicable(
            f"no other prompt of this image differs in {self.kind} alone"
            if self.kind != TARGET
            else "every other prompt of this image differs in one attribute only"
        )

    def _record(self, mine: Prompt, prompt: Prompt, info: CaseInfo, index: int) -> Params:
        old, new = mine.get(self.kind), prompt.get(self.kind)
        return {
            "text": prompt.text,
            "kind": self.kind,
            "old": old.value if old else "",
            "new": new.value if new else "",
            "other_case_id": info.case_id,
            "other_prompt_index": index if index < len(info.prompts) else 0,
            "start": 0,
            "stop": len(mine.text),
            "source": "prompt of another case on the same image",
        }


def listed(info: CaseInfo, index: int) -> Prompt:
    """Return the prompt of `info` at `index`, or its first where it lists fewer."""
    return info.prompts[index if index < len(info.prompts) else 0]


def differing_kind(mine: Prompt, other: Prompt) -> str | None:
    """Return the only kind in which two prompts differ, "target" where they differ in more, None where in nothing."""
    if mine.text == other.text:
        return None
    stated, others = _values(mine), _values(other)
    kinds = [kind for kind in dict.fromkeys((*stated, *others)) if stated.get(kind) != others.get(kind)]
    same_rest = _rest(mine) == _rest(other)
    if len(kinds) == 1 and same_rest:
        return kinds[0]
    return TARGET if kinds or not same_rest else None


def _others(context: DataContext, image_id: str, case_id: str) -> list[CaseInfo]:
    return [info for info in context.same_image(image_id) if info.case_id != case_id and info.prompts]


def _values(prompt: Prompt) -> dict[str, tuple[str, ...]]:
    values: dict[str, tuple[str, ...]] = {}
    for a in prompt.attributes:
        values[a.kind] = (*values.get(a.kind, ()), a.value.lower())
    return values


def _rest(prompt: Prompt) -> tuple[str, ...]:
    """Return the words outside of every attribute, without the scaffold of the template."""
    return _free_words(prompt.text, tuple((a.start, a.stop) for a in prompt.attributes))


@lru_cache(maxsize=1024)
def _free_words(text: str, spans: tuple[tuple[int, int], ...]) -> tuple[str, ...]:
    words = _WORD.finditer(text)
    free = (m.group().lower() for m in words if not any(m.start() < b and a < m.end() for a, b in spans))
    return tuple(w for w in free if w not in _SCAFFOLD)
