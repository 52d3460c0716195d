"""`rare:KIND`: one attribute's value becomes an uncommon English word, as in the reference (large -> xenogeny)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from robustness.perturb.base import BasePerturbation
from robustness.perturb.language import wordnet
from robustness.perturb.language.edit import swap
from robustness.perturb.language.grammar.vocabulary import category_of, kind_of
from robustness.perturb.language.inflection import is_plural
from robustness.perturb.language.lexicon import RARE_SOURCE, rare_words, words_by_kind
from robustness.perturb.language.parse import kinds_of
from robustness.perturb.prompt.base import PromptPerturbation, fits_no_other_word, is_noun_here
from robustness.registry import PERTURBATIONS
from robustness.seeds import generator
from robustness.types import Attribute, Case, DataContext, NotApplicable, Params, Prompt


@PERTURBATIONS.add("rare")
class Rare(PromptPerturbation):
    """Replace the value of one attribute by a rare word of the same part of speech.

    The word is drawn from (plan seed, "rare:KIND", KIND, lower-cased value) and from nothing else, so one word stands
    for one value in all cases of a run; this is the one draw that does not depend on the case. Words are alphabetic, 5
    to 12 letters, with a wordfreq Zipf frequency below 1.5, and none of the dataset's own words. They are WordNet's
    lemmas where it is installed, else those of a shipped list; `source` says which, `note` why.

    Expectation: "none" (diagnostic). Params: as `antonym`, `pos`, and `note`.
    """

    name = "rare"
    expectation = "none"

    def __init__(self, *, context: DataContext | None = None, kind: str = "") -> None:
        super().__init__(context=context, kind=kind)
        self.name = f"rare:{kind}" if kind else "rare"
        prompts = [p.text.lower() for info in self.context.infos for p in info.prompts]
        self._used = frozenset(word for text in dict.fromkeys(prompts) for word in text.split())
        self._words: dict[str, tuple[str, ...]] = {}
        self._drawn: dict[tuple[str, str], str] = {}
        self._missing: str | None = None

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
        if self.kind in ("negation", "relation") or (self.kind == "measure" and not _is_adjective(case.prompt, old)):
            return NotApplicable(f"no rare word is of the same part of speech as {old.value!r}")
        if self.kind == "location" and "clock" in old.value.lower():
            return NotApplicable(f"{old.value!r} is a position on a clock, for which no rare word stands")
        if self.kind == "number" and old.value.lower() in ("no", "zero", "0"):
            return NotApplicable("without its 'no' the prompt would ask for a target that is absent")
        if reason := fits_no_other_word(case.prompt.text, old):
            return NotApplicable(reason)
        pos = part_of_speech(self.kind, old.value)
        if self.kind in ("side", "place") and is_noun_here(case.prompt.text, old):
            pos = "noun"
        word = self.word(old.value, pos)
        if self.kind == "target" and is_plural(old.value):
            word = _pluralized(word)
        # "angular margins": the noun stays, or "with" would have none.
        word += noun.group() if (noun := _SAID_OF.search(old.value)) and pos == "adjective" else ""
        note: dict[str, Any] = {"note": f"{self._missing}: shipped list of rare words"} if self._missing else {}
        source = RARE_SOURCE if self._missing else wordnet.RARE_SOURCE
        return swap(case.prompt, self.kind, word, source=source, pos=pos, **note)

    def word(self, value: str, pos: str) -> str:
        """Return the rare word that stands for `value` throughout a run."""
        key = (value.lower(), pos)
        if key not in self._drawn:
            words = self._pool(pos)
            rng = generator(self.context.seed, self.name, self.kind, value.lower())
            self._drawn[key] = words[int(rng.integers(len(words)))]
        return self._drawn[key]

    def _pool(self, pos: str) -> tuple[str, ...]:
        """Return the words of a part of speech that the dataset does not use; the source is fixed at the first look."""
        if self._missing is None:
            self._missing = wordnet.missing_for_rarity()
        if pos not in self._words:
            listed = rare_words(pos) if self._missing else wordnet.rare_words(pos)
            # "Violaceous" is rare English and a colour of dermatology.
            self._words[pos] = tuple(w for w in listed if w not in self._used and not kind_of(w) and not category_of(w))
        return self._words[pos]


def _is_adjective(prompt: Prompt, measure: Attribute) -> bool:
    """Tell whether a measure stands before its noun: "a 9 mm nodule", and not "about 9 mm" or "less than 9 mm"."""
    behind = [a for a in prompt.attributes if a.kind == "target" and a.start >= measure.stop]
    gap = prompt.text[measure.stop : behind[0].start] if behind else ","
    counted = _COMPARED.search(prompt.text[: measure.start]) is not None
    return re.search(r"[,.;:()]|\b(?:in|of|on|at|from|to|and|is|above|below)\b", gap) is None and not counted


_COMPARED = re.compile(
    r"\b(?:about|approximately|around|roughly|than|to|at least|at most|over|under|of) $", re.IGNORECASE
)
_SAID_OF = re.compile(
    r"(?<=\w) (?:margins?|borders?|edges?|contours?|outlines?|textures?|echotexture|surfaces?|signals?|intensity"
    r"|density|attenuation|echogenicity|uptake|enhancement|shapes?|configuration|appearance|walls?|rims?|colou?r)$",
    re.IGNORECASE,
)


def part_of_speech(kind: str, value: str) -> str:
    """Return "noun" or "adjective": the lexicon's form where the value is known, else what its kind usually is."""
    row = words_by_kind().get(kind, {}).get(value.lower())
    if row is not None:
        return row.form
    if (
        kind in ("place", "modality")
        and kind_of(value.lower()) != kind
        and not value.lower().endswith(("al", "ed", "ar"))
    ):
        return "noun"
    if kind == "pathology" and kind_of(value.lower()) == kind:
        # "acute", where "malignancy" is a noun
        return "adjective"
    return "noun" if kind in ("target", "description", "location", "phase", "sex", "pathology") else "adjective"


def _pluralized(word: str) -> str:
    if word.endswith(("s", "x", "z", "ch", "sh")):
        return word + "es"
    if word.endswith("y") and word[-2] not in "aeiou":
        return word[:-1] + "ies"
    return word + "s"
