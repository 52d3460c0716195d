"""`drop:KIND`: one attribute is left out together with the words that only carry it."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from robustness.perturb.base import BasePerturbation
from robustness.perturb.language.edit import Edit, article_repair, match_case, record, splice, takes_an
from robustness.perturb.language.need import is_selecting, same_target
from robustness.perturb.language.parse import kinds_of
from robustness.perturb.prompt.base import PromptPerturbation
from robustness.registry import PERTURBATIONS
from robustness.types import Attribute, Case, DataContext, NotApplicable, Params

_IMAGE = r" of (?:the|this|an?) (?:image|picture|frame|scan|slice|view)\b"
_AT = r"(?:in|within|inside|of|at|on|over|throughout|into)"
# kind -> (what stands before the value, what stands after it, what remains), first match wins.
_CARRIERS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "location": (
        (r",? (?:at|near) (?:about |the )?", r"(?: position)?(?=\s*(?:[.,;]|$))", ""),
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
        (r",? (?:in|on) (?:an? |the )?", r" (?:view|projection|plane|scan|images?)\b(?=\s*(?:[.,;:]|$))", ""),
        (r",\s*", r"(?: (?:view|projection|plane|scan|images?))?(?=\s*(?:[.,;:]|$))", ""),
        (r"\bin the ", r" view of ", "in "),
        (r"\bof the ", r" view of ", "of "),
        (r" in (?:the )?", r" view\b", ""),
        (r"", r" (?:view )?", ""),
    ),
    "phase": (
        (r",? (?:in|during|at|on) (?:the )?", r"(?=\s*(?:[.,;:]|$))", ""),
        (r" at (?:the )?end of (?:the )?", r"(?: cycle)?\b", ""),
        (r"", r" ", ""),
    ),
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
    "place": (
        (rf",? (?:is |are )?(?:located |situated |seen |visible |lying )?(?:just )?{_AT} (?:the |an? )?", r"", ""),
        (r"^", r"\s*[:,]\s*", ""),
        (r",\s*(?:the )?", r"", ""),
    ),
    "relation": (
        (
            r",? (?:(?:which|that) )?(?:is |are |lies |sits )?(?:located |situated |lying |seen |tracking )?(?:just )?",
            r"",
            "",
        ),
    ),
    "modality": (
        (
            r",? (?:on|in|at) (?:this |the |an? |these )?",
            r"(?: (?:scan|image|slice|section)s?\b)?(?=\s*(?:[.,;:?]|$))",
            "",
        ),
        (r",\s*", r"(?=\s*(?:[.,;:?]|$))", ""),
    ),
    "measure": (
        (r",? (?:measuring|of|with a diameter of|at|on) (?:about |up to )?", r"", ""),
        (r",\s*", r"(?: in (?:diameter|size|length))?(?=\s*(?:[.,;:?]|$))", ""),
        (r"", r"(?: in (?:diameter|size|length))? ", ""),
    ),
    "margin": ((r",? with (?:an? |the )?", r"", ""), (r",\s*", r"(?=\s*(?:[.,;:?]|$))", ""), (r"", r",? ", "")),
    "signal": ((r",? with (?:an? |the )?", r"", ""), (r",\s*", r"(?=\s*(?:[.,;:?]|$))", ""), (r"", r",? ", "")),
    "texture": ((r",? with (?:an? |the )?", r"", ""), (r",\s*", r"(?=\s*(?:[.,;:?]|$))", ""), (r"", r",? ", "")),
    "side": (
        (r",? (?:on|in|at) (?:the )?", r"(?:[- ]side)?(?=\s*(?:[.,;:?]|$| of\b))", ""),
        (r"^", r":?\s+", ""),
        (r"", r" ", ""),
    ),
    "certainty": ((r"", r" ", ""),),
}
_BROKEN = re.compile(
    r"\b(?:in|of|at|on|the|an?|with|to|by|and|or|near|between|within|from|for|this|inside|is|are|was|which|that|has)"
    r"\s*(?:[.,;:?!)]|$)|^\s*[,;:.)]|\b(\w+) \1\b|,\s*[.,;:]|\(\s*\)|\b(?:an?|the) (?:an?|the|is|are|in|of|with|and)\b"
    r"|^(?:of|and|with|is|are|has|shows?|demonstrates?|reveals?|by|to|in|on|at|within|can|was) "
    r"|\b(?:on|in|at) (?:of|in|with|on)\b"
    r"|\bis (?:of|in the\s*$)"
    r"|\b(?:the|an?|this|these) (?:shows?|demonstrates?|reveals?|depicts?|confirmed|of|very of)\b"
    r"|\b(?:from|by|very|just|about|at) (?:to|of|in)\b"
    r"|\bon (?:axial|coronal|sagittal|en face)\s*(?:[.,;:]|$)|\bjust\s*$",
    re.IGNORECASE,
)
_WORD_ONLY = ((r"", r",? ", ""), (r" ", r"", ""))


@PERTURBATIONS.add("drop")
class Drop(PromptPerturbation):
    """Leave one attribute out with its carrier: ", located in top of the image" goes as a whole.

    The target is never dropped (nothing would be asked for), nor "no" (that would turn absence into presence), nor what
    a sentence cannot stand without. Expectation: "invariant" where the attribute is not needed to find the target;
    "none" where another case on the same image asks for the same target, or where the words themselves pick one of
    several: the side of a paired organ, "the largest", the direction of a part. Params: as `antonym`.
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
        if self.kind == "negation":
            return NotApplicable("without its denial the prompt would ask for what it denies")
        text = case.prompt.text
        holder = next((a for a in case.prompt.attributes if a.kind == "relation" and _is_inside(old, a)), None)
        if self.kind == "direction" and holder is not None:
            return NotApplicable(f"{old.value!r} is part of the relation {holder.value!r}, which needs it")
        edit = removal(text, old)
        if not (text[: edit.start] + edit.new + text[edit.stop :]).strip(" .,;"):
            return NotApplicable(f"the prompt states nothing but its {self.kind}")
        if self.kind == "number" and _is_one_in_a_sentence(text, old):
            # "One vessel is seen" keeps an article.
            following = text[old.stop :].lstrip()
            edit = Edit(old.start, old.stop, old.value, match_case("an" if takes_an(following) else "a", old.value))
        edits, repairs = _mended(text, edit)
        left = splice(text, [*edits, *repairs])
        if _BROKEN.search(left) and not _BROKEN.search(text):
            return NotApplicable(f"the sentence cannot stand without its {self.kind} {old.value!r}")
        return record(text, edits, kind=self.kind, old=old.value, new="", source="rule", repairs=repairs)

    def expect(self, case: Case, params: Params) -> str:
        """Return "invariant" unless the words pick the target among what the image holds, or nobody can know."""
        old = case.prompt.get(self.kind)
        unsure = old is not None and is_selecting(case.prompt, old) and not self._draws_both(case, old)
        return "none" if unsure or is_needed(self.context, case, self.kind) else self.expectation

    def _draws_both(self, case: Case, old: Attribute) -> bool:
        """Tell whether the data draw the other side too: what they leave out of an image is not in it."""
        if old.kind != "side":
            return False
        sides = {
            a.value.lower()
            for info in self.context.infos
            if same_target(info.target, case.target)
            for prompt in info.prompts
            for a in prompt.attributes
            if a.kind == "side"
        }
        return len(sides) > 1


def _is_one_in_a_sentence(text: str, old: Attribute) -> bool:
    article = re.search(r"\b(?:an?|the)\s+$", text[: old.start], re.IGNORECASE)
    return old.value.lower() in ("one", "1") and article is None and _VERB.search(text) is not None


_VERB = re.compile(r"\b(?:is|are|can be|shows?|segment|outline|delineate|mark|find|there)\b", re.IGNORECASE)


def _is_inside(inner: Attribute, outer: Attribute) -> bool:
    return outer.start <= inner.start and inner.stop <= outer.stop


def is_needed(context: DataContext, case: Case, kind: str = "") -> bool:
    """Tell whether another case on the image asks for the same target, so that the attributes tell them apart."""
    others = context.same_image(str(case.metadata.get("image_id", "")))
    alike = [o for o in others if o.case_id != case.case_id and same_target(o.target, case.target)]
    return bool(alike)


def removal(text: str, old: Attribute) -> Edit:
    """Return the edit that takes `old` and the words that only carry it out of `text`."""
    for before, after, rest in (*_CARRIERS.get(old.kind, ()), *_WORD_ONLY):
        left = re.search(rf"(?:{before})$", text[: old.start], re.IGNORECASE)
        right = re.match(after, text[old.stop :], re.IGNORECASE)
        if left is None or right is None:
            continue
        start, stop = left.start(), old.stop + right.end()
        if re.match(r"\s*(?:[.;:?!)]|$)", text[stop:]):
            # Nothing follows: the comma before goes too.
            start = len(text[:start].rstrip(" ,")) if text[:start].rstrip(" ").endswith(",") else start
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
