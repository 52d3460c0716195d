"""`drop:KIND`: one attribute is left out together with the words that only carry it."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from robustness.perturb.base import BasePerturbation
from robustness.perturb.language.edit import Edit, article_repair, record
from robustness.perturb.language.lexicon import singular
from robustness.perturb.language.parse import kinds_of
from robustness.perturb.prompt.base import PromptPerturbation
from robustness.registry import PERTURBATIONS
from robustness.types import Attribute, Case, DataContext, NotApplicable, Params

_IMAGE = r" of (?:the|this|an?) (?:image|picture|frame|scan|slice|view)\b"
# kind -> (what stands before the value, what stands after it, what remains), first match wins.
_CARRIERS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "location": (
        (r",? (?:and )?(?:located|situated|found) (?:in|at|on) (?:the )?", _IMAGE, ""),
        (r",? (?:and )?(?:located|situated|found) (?:in|at|on) (?:the )?", r" of(?= the\b)", " in"),
        (r",? (?:and )?(?:located|situated|found) (?:in|at|on) (?:the )?", r"(?=\s*(?:[.,;]|$))", ""),
        (r",? (?:in|at|on) the ", rf"(?: (?:part|corner|side|region|area|quadrant|half|third))?{_IMAGE}", ""),
        (r" nearest to the ", r" corner\b", ""),
        (r" at the ", r"(?=\s|[.,;]|$)", ""),
    ),
    "shape": (
        (r" of shape (?:an? )?", r"(?:-shaped| shaped?\b)?", ""),
        (r" of (?:an? )?", r" shape\b", ""),
        (r"(?:it is |it's )?(?:\ban? )?", r"(?:-shaped| shaped?\b)? ", ""),
    ),
    "view": (
        (r"\bin the ", r" view of ", "in "),
        (r"\bof the ", r" view of ", "of "),
        (r" in (?:the )?", r" view\b", ""),
        (r"", r" (?:view )?", ""),
    ),
    "phase": ((r" at (?:the )?end of (?:the )?", r"(?: cycle)?\b", ""), (r"", r" ", "")),
    "age": ((r"", r" ", ""),),
    "sex": (
        (r" of an? ", r"(?: patient| subject)?(?=\s*(?:with\b|[.,;]|$))", ""),
        (r" ", r"(?= with\b|\s*[.,;]|\s*$)", ""),
    ),
    "quality": ((r",? with ", r"(?: image)? quality\b", ""),),
    "pathology": ((r" ", r" (?:is|are) present\.?", ""), (r"", r" ", "")),
    "number": (
        (r",? in ", r" (?:(?:separate|distinct|single|disjoint) )?(?:regions?|parts?|pieces?)\b", ""),
        (r"", r" ", ""),
    ),
    "description": ((r",? ", r"", ""),),
}
_WORD_ONLY = ((r"", r",? ", ""), (r" ", r"", ""))


@PERTURBATIONS.add("drop")
class Drop(PromptPerturbation):
    """Leave one attribute out with its carrier: ", located in top of the image" goes as a whole.

    The target is never dropped (nothing would be asked for), nor "no" (that would turn absence into presence).
    Expectation: "invariant" where the attribute is not needed to find the target, that is where no other case on the
    same image asks for the same target; "none" otherwise. Params: as `antonym`.
    """

    name = "drop"
    expectation = "invariant"

    def __init__(self, *, context: DataContext | None = None, kind: str = "") -> None:
        super().__init__(context=context, kind=kind)
        self.name = f"drop:{kind}" if kind else "drop"

    @classmethod
    def expand(cls, context: DataContext) -> Sequence[BasePerturbation]:
        """Return one perturbation per kind that the prompts state, the target left out."""
        prompts = [p for info in context.infos for p in info.prompts]
        return tuple(cls(context=context, kind=kind) for kind in kinds_of(prompts) if kind != "target")

    def propose(self, case: Case, severity: int, rng: np.random.Generator) -> Params | NotApplicable:
        """Return the record of the removal; nothing is drawn."""
        old = case.prompt.get(self.kind)
        if old is None:
            return NotApplicable(f"the prompt states no {self.kind}")
        if self.kind == "number" and old.value.lower() in ("no", "zero", "0"):
            return NotApplicable("without its 'no' the prompt would ask for a target that is absent")
        text = case.prompt.text
        edit = removal(text, old)
        if not (text[: edit.start] + edit.new + text[edit.stop :]).strip(" .,;"):
            return NotApplicable(f"the prompt states nothing but its {self.kind}")
        edits, repairs = _mended(text, edit)
        return record(text, edits, kind=self.kind, old=old.value, new="", source="rule", repairs=repairs)

    def expect(self, case: Case, params: Params) -> str:
        """Return "invariant" unless another case on the image shares the target."""
        return "none" if is_needed(self.context, case) else self.expectation


def is_needed(context: DataContext, case: Case) -> bool:
    """Tell whether another case on the image asks for the same target, so that the attributes tell them apart."""
    others = context.same_image(str(case.metadata.get("image_id", "")))
    return any(o.case_id != case.case_id and singular(o.target) == singular(case.target) for o in others)


def removal(text: str, old: Attribute) -> Edit:
    """Return the edit that takes `old` and the words that only carry it out of `text`."""
    for before, after, rest in (*_CARRIERS.get(old.kind, ()), *_WORD_ONLY):
        left = re.search(rf"(?:{before})$", text[: old.start], re.IGNORECASE)
        right = re.match(after, text[old.stop :], re.IGNORECASE)
        if left is None or right is None:
            continue
        start, stop = left.start(), old.stop + right.end()
        return Edit(start, stop, text[start:stop], rest)
    return Edit(old.start, old.stop, old.value, "")


def _mended(text: str, edit: Edit) -> tuple[list[Edit], list[Edit]]:
    """Return the removal and its repairs: a capital at the start, the article before the next word."""
    after = text[edit.stop :]
    if edit.start == 0 and text[:1].isupper() and after[:1].islower() and not edit.new:
        return [edit], [Edit(edit.stop, edit.stop + 1, after[0], after[0].upper())]
    following = (edit.new + after).split(" ", 1)[0]
    repair = article_repair(text, edit.start, edit.old, following)
    return [edit], [repair] if repair else []
