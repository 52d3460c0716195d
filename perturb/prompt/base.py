"""Base class of prompt perturbations."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import ClassVar

from robustness.perturb.base import BasePerturbation
from robustness.perturb.language.ontology.modifiers import SEEN
from robustness.types import Attribute, Case, DataContext, NotApplicable, Params, Prompt

_OF_THEM = re.compile(r" of (?:the|these|those|all)\b", re.IGNORECASE)
_THAN = re.compile(r"\s+than\b", re.IGNORECASE)


def fits_no_other_word(text: str, old: Attribute) -> str:
    """Return why no word of another kind can stand where a value stands in `text`, or ""."""
    if text[: old.start][-1:].isalnum() or text[old.stop :][:1].isalnum():
        # The age and the sex of "72M".
        return f"{old.value!r} is written as one word with what stands beside it"
    if _THAN.match(text, old.stop):
        return f"{old.value!r} compares: nothing else goes with the 'than' behind it"
    if old.kind == "size" and _OF_THEM.match(text, old.stop) and text[: old.start].lower().endswith("the "):
        return f"{old.value!r} is a noun here: it says which of several"
    return ""


# What a place in the picture may be the adjective of: "the left edge", "the upper right corner".
FRAME_NEXT = re.compile(
    r"[ -](?P<frame>(?:side|edge|border|corner|margin|half|third|quarter|quadrant|region|area|part|portion|end)s?)\b",
    re.IGNORECASE,
)
# What a value is the adjective of: "upper left polyp", where "in the upper left of the image" is a noun.
NOUN_NEXT = re.compile(
    r" (?!(?:of|in|on|at|with|and|or|to|from|is|are|which|that|than|but|no|not|near|without)\b)[a-z]", re.IGNORECASE
)
CYCLE_NEXT = re.compile(r" (?:cycle|phase|frame|period|image)", re.IGNORECASE)
_STANDS_ALONE = re.compile(r"\b(?:on|at|to|in|from|near|towards?|along) the $", re.IGNORECASE)

_ENDS_NOUN = r"(?= (?:in|of|on|at|or|but|is|are|was|were|has|have|within|with)\b|[.,;:]|$)"
_DENIED_NOUN = re.compile(
    rf"\s+(?P<noun>(?:[\w-]+ )*?[\w-]+)(?:{_ENDS_NOUN}|(?= (?:{'|'.join(sorted(SEEN))}){_ENDS_NOUN}))"
)


def denied_noun(text: str, stop: int) -> str:
    """Return the noun behind a "no" that ends at `stop`, with its adjectives; "" where none ends.

    Example:
        >>> denied_noun("No large polyps seen. An ulcer", 2)
        'large polyps'
    """
    found = _DENIED_NOUN.match(text, stop)
    return found["noun"] if found else ""


def places_of(prompt: Prompt) -> list[str]:
    """Return what a prompt says of where in the patient its target lies: "in the liver", "close to the spleen"."""
    return [a.value for a in prompt.attributes if a.kind in ("place", "relation")]


def stands_behind_target(prompt: Prompt, start: int) -> bool:
    """Tell whether what begins at `start` stands right behind the name of the target: "pseudopolyps multiple"."""
    return any(a.kind == "target" and a.stop == start - 1 for a in prompt.attributes)


def is_noun_here(text: str, old: Attribute) -> bool:
    """Tell whether a side stands for itself, as in "on the left", and before no noun, as in "the left kidney"."""
    return _STANDS_ALONE.search(text[: old.start]) is not None and not text[old.stop :].lstrip(" ")[:1].isalnum()


class PromptPerturbation(BasePerturbation):
    """A change of the text alone; `params["text"]` holds the new text, the rest says what changed and why.

    `may_be_empty`: the new text may be empty, as that of a control is; any other change must leave words.
    """

    target: ClassVar[str] = "prompt"
    may_be_empty: ClassVar[bool] = False

    def __init__(self, *, context: DataContext | None = None, kind: str = "") -> None:
        self.context = context or DataContext(name="", infos=())
        self.kind = kind

    @classmethod
    def expand(cls, context: DataContext) -> Sequence[BasePerturbation]:
        """Return the one perturbation that this entry stands for."""
        return (cls(context=context),)

    def value_to_change(self, case: Case) -> Attribute | NotApplicable:
        """Return what the prompt states of `kind`, or why there is nothing to take out of it."""
        value = case.prompt.get(self.kind)
        if value is None:
            return NotApplicable(f"the prompt states no {self.kind}")
        if self.kind == "number" and value.value.lower() in ("no", "zero", "0"):
            return NotApplicable("without its 'no' the prompt would ask for a target that is absent")
        return value

    def apply(self, case: Case, params: Params) -> Case:
        """Return the case with its prompt's text replaced by ``params["text"]``."""
        return dataclasses.replace(case, prompt=Prompt(params["text"], paraphrases=case.prompt.paraphrases))
