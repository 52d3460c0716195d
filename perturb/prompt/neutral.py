"""`neutral:KIND`: one attribute's value becomes a word that says nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from robustness.perturb.base import BasePerturbation
from robustness.perturb.language.edit import Edit, match_case, same_value, swap
from robustness.perturb.language.grammar.vocabulary import kind_of
from robustness.perturb.language.inflection import is_plural
from robustness.perturb.language.parse import kinds_of
from robustness.perturb.prompt.base import (
    CYCLE_NEXT,
    FRAME_NEXT,
    NOUN_NEXT,
    PromptPerturbation,
    fits_no_other_word,
    is_noun_here,
    stands_behind_target,
)
from robustness.perturb.prompt.drop import is_needed
from robustness.registry import PERTURBATIONS
from robustness.types import Attribute, Case, DataContext, NotApplicable, Params, Prompt

_ARTICLE = re.compile(r"\ban? $", re.IGNORECASE)
_THE = re.compile(r"\bthe $", re.IGNORECASE)
_ITS = re.compile(r"\b(?:its|their|his|her) $", re.IGNORECASE)
_CHILD = re.compile(
    r"\b(?:boy|girl|child|infant|neonate|newborn|toddler|baby|teenager|adolescent)\b|\bmonths?-old", re.IGNORECASE
)

# Chosen so that each fits the frames of its kind: "located in part of the image", "at end of the cardiac cycle".
WORDS = {
    "target": "structure",
    "description": "which is visible",
    "shape": "unspecified",
    "colour": "unspecified",
    "size": "unspecified",
    "number": "some",
    "location": "part",
    "view": "standard",
    "phase": "cardiac",
    "pathology": "unspecified",
    "sex": "person",
    "age": "adult",
    "quality": "some",
    "side": "unspecified",
}


@PERTURBATIONS.add("neutral")
class Neutral(PromptPerturbation):
    """Replace the value of one attribute by a neutral word: small -> unspecified, female -> person, polyp -> structure.

    The sentence keeps its length and form, which `drop` does not. "No" is never replaced, nor a description's frame.
    Expectation: "invariant" where the attribute is not needed to find the target, that is where no other case on the
    same image asks for the same target; "none" otherwise and for the target itself. Params: as `antonym`.
    """

    name = "neutral"
    expectation = "invariant"

    def __init__(self, *, context: DataContext | None = None, kind: str = "") -> None:
        super().__init__(context=context, kind=kind)
        self.name = f"neutral:{kind}" if kind else "neutral"
        self.expectation = "none" if kind == "target" else "invariant"

    @classmethod
    def expand(cls, context: DataContext) -> Sequence[BasePerturbation]:
        """Return one perturbation per kind that the prompts state."""
        prompts = [p for info in context.infos for p in info.prompts]
        return tuple(cls(context=context, kind=kind) for kind in kinds_of(prompts))

    def propose(self, case: Case, severity: int, rng: np.random.Generator) -> Params | NotApplicable:
        """Return the record of the swap; nothing is drawn."""
        old = self.value_to_change(case)
        if isinstance(old, NotApplicable):
            return old
        if self.kind not in WORDS or (
            self.kind == "description" and not old.value.lower().startswith(("which", "that"))
        ):
            return NotApplicable(f"there is no neutral word for a {self.kind}")
        if self.kind == "location" and "clock" in old.value.lower():
            return NotApplicable(f"{old.value!r} is a position on a clock, for which there is no neutral word")
        if self.kind == "number" and not old.value.isalnum():
            return NotApplicable(f"{old.value!r} holds more than a number")
        if self.kind == "number" and (
            old.value.lower().startswith("x") or stands_behind_target(case.prompt, old.start)
        ):
            return NotApplicable(f"{old.value!r} stands behind what it counts, where there is no neutral word")
        if self.kind == "quality" and not re.match(r"\s+[a-z]", case.prompt.text[old.stop :], re.IGNORECASE):
            return NotApplicable(f"{old.value!r} stands alone, where there is no neutral word")
        if reason := fits_no_other_word(case.prompt.text, old):
            return NotApplicable(reason)
        if self.kind == "age" and _CHILD.search(case.prompt.text):
            return NotApplicable("'adult' would contradict that the patient is a child")
        if self.kind == "sex" and NOUN_NEXT.match(case.prompt.text, old.stop):
            return NotApplicable(f"{old.value!r} is an adjective here, for which there is no neutral word")
        new = self._word(old.value)
        if self.kind == "side" and is_noun_here(case.prompt.text, old):
            new += " side"
        if self.kind == "view" and not re.match(r"\s*\w", case.prompt.text[old.stop :]):
            # "left atrium, apical four chamber"
            new += " view"
        if self.kind == "phase" and not CYCLE_NEXT.match(case.prompt.text, old.stop):
            return NotApplicable(f"{old.value!r} is a noun here, for which there is no neutral word")
        if new == old.value.lower():
            return NotApplicable(f"the {self.kind} {old.value!r} is neutral already")
        repairs: list[Edit] = []
        if self.kind == "location":
            new, repairs = _somewhere(case.prompt, old)
        if self.kind == "number":
            # "a single polyp" gives "some polyp".
            repairs = _without(_ARTICLE, case.prompt, old)
            new = match_case(new, repairs[0].old) if repairs else new
            if repairs and case.prompt.text[old.stop : old.stop + 1] == ",":
                # "A solitary, lobulated growth"
                repairs.append(Edit(old.stop, old.stop + 1, ",", ""))
        return swap(case.prompt, self.kind, new, source="neutral word", repairs=repairs)

    def expect(self, case: Case, params: Params) -> str:
        """Return "invariant" unless the attribute tells cases of one target on one image apart."""
        return "none" if is_needed(self.context, case) else self.expectation

    def _word(self, value: str) -> str:
        if self.kind == "target":
            return "structures" if is_plural(value) else "structure"
        if self.kind == "pathology" and kind_of(value.lower()) != "pathology":
            # A noun: "malignancy". "Acute" and "benign" are adjectives.
            return "some findings"
        if self.kind == "sex" and value.lower() in ("men", "women"):
            return "people"
        if self.kind == "description" and value.lower().startswith(("which are", "that are")):
            return "which are visible"
        return WORDS[self.kind]


def _somewhere(prompt: Prompt, old: Attribute) -> tuple[str, list[Edit]]:
    """Return what says of a place only that there is one, and the edits of the articles that do not go with it.

    "in the top part of the image" gives "in one part of the image", "near the center" "near some part", and "located in
    top of the image" "located in part of the image".
    """
    repairs = _without(_THE, prompt, old)
    frame = FRAME_NEXT.match(prompt.text, old.stop)
    if frame is not None and not _ITS.search(prompt.text[: old.start]):
        return ("some" if is_plural(frame["frame"]) else "one"), repairs
    if frame is not None or NOUN_NEXT.match(prompt.text, old.stop):
        return WORDS["size"], []
    return ("some part" if repairs else WORDS["location"]), repairs


def _without(article: re.Pattern[str], prompt: Prompt, old: Attribute) -> list[Edit]:
    """Return the edits that leave out an article before each mention of a value."""
    found = [article.search(prompt.text[: a.start]) for a in same_value(prompt, old.kind)]
    return [Edit(m.start(), m.end(), m.group(), "") for m in found if m is not None]
