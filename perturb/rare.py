"""`rare:KIND`: one attribute's value becomes an uncommon English word, as in the reference (large -> xenogeny)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from robustness.perturb.base import BasePerturbation, PromptPerturbation
from robustness.perturb.edit import swap
from robustness.perturb.lexicon import RARE_SOURCE, find_class, rare_words, words_by_kind
from robustness.perturb.parse import kinds_of
from robustness.registry import PERTURBATIONS
from robustness.seeds import generator
from robustness.types import Case, DataContext, NotApplicable, Params


@PERTURBATIONS.add("rare")
class Rare(PromptPerturbation):
    """Replace the value of one attribute by a rare word of the same part of speech.

    The word is drawn from (plan seed, "rare:KIND", KIND, lower-cased value) and from nothing else, so one word stands
    for one value in all cases of a run; this is the one draw that does not depend on the case. Words are alphabetic, 5
    to 12 letters, with a wordfreq Zipf frequency below 1.5, and none of the dataset's own words.

    Expectation: "none" (diagnostic). Params: as `antonym`, and `pos`.
    """

    name = "rare"
    expectation = "none"

    def __init__(self, *, context: DataContext | None = None, kind: str = "") -> None:
        super().__init__(context=context, kind=kind)
        self.name = f"rare:{kind}" if kind else "rare"
        prompts = [p.text.lower() for info in self.context.infos for p in info.prompts]
        self._used = frozenset(word for text in dict.fromkeys(prompts) for word in text.split())

    @classmethod
    def expand(cls, context: DataContext) -> Sequence[BasePerturbation]:
        """Return one perturbation per kind that the prompts state, the target included."""
        prompts = [p for info in context.infos for p in info.prompts]
        return tuple(cls(context=context, kind=kind) for kind in kinds_of(prompts) if kind != "description")

    def propose(self, case: Case, severity: int, rng: np.random.Generator) -> Params | NotApplicable:
        """Return the record of the swap; `rng` is not used, see the class."""
        old = case.prompt.get(self.kind)
        if old is None:
            return NotApplicable(f"the prompt states no {self.kind}")
        pos = part_of_speech(self.kind, old.value)
        word = self.word(old.value, pos)
        if self.kind == "target" and _is_plural(old.value):
            word = _pluralized(word)
        return swap(case.prompt, self.kind, word, source=RARE_SOURCE, pos=pos)

    def word(self, value: str, pos: str) -> str:
        """Return the rare word that stands for `value` throughout a run."""
        words = [w for w in rare_words(pos) if w not in self._used]
        rng = generator(self.context.seed, self.name, self.kind, value.lower())
        return words[int(rng.integers(len(words)))]


def part_of_speech(kind: str, value: str) -> str:
    """Return "noun" or "adjective": the lexicon's form where the value is known, else what its kind usually is."""
    row = words_by_kind().get(kind, {}).get(value.lower())
    if row is not None:
        return row.form
    return "noun" if kind in ("target", "description", "location", "phase", "sex", "pathology") else "adjective"


def _is_plural(name: str) -> bool:
    row = find_class(name)
    return row is not None and row.name != row.plural and row.plural.lower() == name.lower()


def _pluralized(word: str) -> str:
    if word.endswith(("s", "x", "z", "ch", "sh")):
        return word + "es"
    if word.endswith("y") and word[-2] not in "aeiou":
        return word[:-1] + "ies"
    return word + "s"
