"""`drop:KIND`: one attribute is left out together with the words that only carry it."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from robustness.perturb.base import BasePerturbation
from robustness.perturb.language.edit import Edit, match_case, record, splice, takes_an
from robustness.perturb.language.grammar.asking import is_sentence
from robustness.perturb.language.holding import what_holds
from robustness.perturb.language.inflection import is_plural
from robustness.perturb.language.parse import kinds_of
from robustness.perturb.language.unread import is_selecting, same_target
from robustness.perturb.prompt.base import PromptPerturbation
from robustness.perturb.prompt.removal import is_sound, mended, removal
from robustness.registry import PERTURBATIONS
from robustness.types import Attribute, Case, DataContext, NotApplicable, Params, Prompt


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
        old = self._value_to_drop(case)
        if isinstance(old, NotApplicable):
            return old
        if self.kind == "negation":
            return NotApplicable("without its denial the prompt would ask for what it denies")
        text = case.prompt.text
        holder = next((a for a in case.prompt.attributes if a.kind == "relation" and _is_inside(old, a)), None)
        if self.kind in ("direction", "side") and holder is not None and old.start == holder.start:
            return NotApplicable(f"{old.value!r} is part of the relation {holder.value!r}, which needs it")
        reason = what_holds(case.prompt, old)
        if reason:
            return NotApplicable(reason)
        edit = removal(case.prompt, old)
        if not (text[: edit.start] + edit.new + text[edit.stop :]).strip(" .,;"):
            return NotApplicable(f"the prompt states nothing but its {self.kind}")
        if self.kind == "number" and _is_one_in_a_sentence(text, old):
            # "One vessel is seen" keeps an article.
            following = text[old.stop :].lstrip()
            edit = Edit(old.start, old.stop, old.value, match_case("an" if takes_an(following) else "a", old.value))
        if old.value.lower() == "both" and (is_sentence(text) or _PREPOSITION.search(text[: old.start])):
            # "Segment both lungs" keeps an article.
            edit = Edit(old.start, old.stop, old.value, match_case("the", old.value))
        edit = _with_article_kept(case.prompt, _with_its_article(case.prompt, old, edit))
        edit = _of_the_patient(case.prompt, old, edit)
        edits, repairs = mended(text, edit)
        left = splice(text, [*edits, *repairs])
        # What the source holds itself ("On sagittal images") is not broken by the drop.
        if not is_sound(text, left):
            return NotApplicable(f"the sentence cannot stand without its {self.kind} {old.value!r}")
        if _loses_its_verb(text, edit):
            return NotApplicable(f"without its {self.kind} {old.value!r} the sentence would have no verb")
        return record(text, edits, kind=self.kind, old=old.value, new="", source="rule", repairs=repairs)

    def _value_to_drop(self, case: Case) -> Attribute | NotApplicable:
        """Return the value that goes; a category ("TI-RADS 4") is read as a measure, yet drops as none."""
        value = self.value_to_change(case)
        if self.kind != "measure" or isinstance(value, NotApplicable):
            return value
        measures = [a for a in case.prompt.attributes if a.kind == "measure"]
        sizes = [a for a in measures if not _CATEGORY.match(a.value)]
        return sizes[0] if sizes else NotApplicable(f"{value.value!r} is a category; the prompt states no measure")

    def expect(self, case: Case, params: Params) -> str:
        """Return "invariant" unless the words pick the target among what the image holds, or nobody can know."""
        old = case.prompt.get(self.kind)
        unsure = old is not None and is_selecting(case.prompt, old) and not self._draws_both(case, old)
        return "none" if unsure or is_needed(self.context, case) else self.expectation

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


# "TI-RADS 4", "Paris 0-IIa", "grade III", "Gleason 3+4": a name and a code without a unit.
_CATEGORY = re.compile(
    r"(?!(?:SUV|SUVmax|HU|ADC|EF|about|over|under|up|at|of)\b)[A-Za-z][\w-]*"
    r"(?: (?:grade|type|class|stage|category|score))?[ -](?:\d+|[IVX]+|[A-E])[\w+-]*$",
    re.IGNORECASE,
)
_PREPOSITION = re.compile(r"\b(?:in|on|of|at|over|behind|above|below|near|from|to|within) $", re.IGNORECASE)
_CLAUSE = re.compile(r"[.!?](?=\s|$)")
_RELATIVE = re.compile(r"\W*(?:that|which|who)\b", re.IGNORECASE)


def _with_its_article(prompt: Prompt, old: Attribute, edit: Edit) -> Edit:
    """Return the removal of a superlative with its "the": "the longest segment" leaves "a segment"."""
    the = re.search(r"\bthe\s+$", prompt.text[: edit.start], re.IGNORECASE)
    target = prompt.get("target")
    if old.kind != "size" or not old.value.lower().endswith("est") or the is None or edit.new or target is None:
        return edit
    following = prompt.text[edit.stop :]
    head = re.split(r" (?:of|in|on|at|with) ", target.value, maxsplit=1)[0]
    article = "" if is_plural(head) else "an " if takes_an(following) else "a "
    new = match_case(article, the.group()) if article else ""
    start = the.start()
    return Edit(start, edit.stop, prompt.text[start : edit.stop], new)


def _with_article_kept(prompt: Prompt, edit: Edit) -> Edit:
    """Return the removal with the "a" of the noun phrase left standing, which is not the value's: "An oval polyp".

    The "a" of "one small a circle polyp", behind another value, is the value's.
    """
    article = re.match(r"an? ", edit.old, re.IGNORECASE)
    behind_a_value = any(a.stop == edit.start - 1 for a in prompt.attributes if a.kind != "target")
    if article is None or edit.new or behind_a_value:
        return edit
    return Edit(edit.start + article.end(), edit.stop, edit.old[article.end() :], "")


def _of_the_patient(prompt: Prompt, old: Attribute, edit: Edit) -> Edit:
    """Return the removal of a place in the patient with "in" for "of": "on the back of a man" leaves "in a man"."""
    of = re.match(r" of(?= (?:an?|the|this) )", prompt.text[edit.stop :])
    follows = next((a for a in prompt.attributes if a.start >= old.stop), None)
    if of is None or old.kind != "place" or edit.new or not edit.start or follows is None or follows.role != "patient":
        return edit
    stop = edit.stop + of.end()
    return Edit(edit.start, stop, prompt.text[edit.start : stop], " in")


def _loses_its_verb(text: str, edit: Edit) -> bool:
    """Tell whether a removal leaves a noun phrase of what was a sentence ("A cystic lesion"), or nothing of another."""
    ends = [m.end() for m in _CLAUSE.finditer(text)]
    start = max((e for e in ends if e <= edit.start), default=0)
    stop = min((e for e in ends if e >= edit.stop), default=len(text))
    left = text[start : edit.start] + edit.new + text[edit.stop : stop]
    if not left.strip(" .!?") or _RELATIVE.match(edit.old):
        return False
    return is_sentence(text[start:stop]) and not is_sentence(left)


def _is_one_in_a_sentence(text: str, old: Attribute) -> bool:
    article = re.search(r"\b(?:an?|the)\s+$", text[: old.start], re.IGNORECASE)
    return old.value.lower() in ("one", "1") and article is None and _VERB.search(text) is not None


_VERB = re.compile(r"\b(?:is|are|can be|shows?|segment|outline|delineate|mark|find|there)\b", re.IGNORECASE)


def _is_inside(inner: Attribute, outer: Attribute) -> bool:
    return outer.start <= inner.start and inner.stop <= outer.stop


def is_needed(context: DataContext, case: Case) -> bool:
    """Tell whether another case on the image asks for the same target, so that any attribute may tell them apart.

    What the others state is not compared word by word: data state no attribute of theirs for certain.
    """
    others = context.same_image(str(case.metadata.get("image_id", "")))
    alike = [o for o in others if o.case_id != case.case_id and same_target(o.target, case.target)]
    return bool(alike)
