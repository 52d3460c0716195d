"""`antonym:KIND`: one attribute's value becomes its opposite; every other character stays."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from robustness.perturb.base import BasePerturbation
from robustness.perturb.language.edit import (
    Edit,
    agreeing_verb,
    match_case,
    noun_repairs,
    number_of_noun,
    record,
    swap,
    without_article,
)
from robustness.perturb.language.grammar.asking import denies_another
from robustness.perturb.language.grammar.vocabulary import kind_of
from robustness.perturb.language.inflection import is_mass, is_plural
from robustness.perturb.language.landmarks import Truth
from robustness.perturb.language.mirror_words import joins_the_other_side, leaves_the_other_side, names_both
from robustness.perturb.language.ontology.modifiers import pairs
from robustness.perturb.language.ontology.relatives import is_shown
from robustness.perturb.language.opposites import Opposite, from_wordnet, half_reflections, opposites, why_unknown
from robustness.perturb.language.parse import kinds_of
from robustness.perturb.language.truth import facts, judge_value
from robustness.perturb.modality import canonical_modality
from robustness.perturb.prompt.base import PromptPerturbation, denied_noun, stands_behind_target
from robustness.registry import PERTURBATIONS
from robustness.types import Attribute, Case, DataContext, NotApplicable, Params, Prompt

# A prompt-faithful model must move its mask for these, where the new word is false of the image.
LOCATING = frozenset({"side", "location", "number", "size"})
PROTECTED = frozenset({"sex", "age"})
# "right lower lobe and right lower lobe": both halves of a pair would be one.
_REPEATS = re.compile(r"\b(\w[\w -]{3,40}?\w)(?:,| and| or) (?:the )?\1(?!\w)", re.IGNORECASE)
_SAID = frozenset("size texture colour shape signal margin pathology description".split())
_CONTRASTED = frozenset("size texture colour shape signal margin pathology direction".split())
# Values of these stand for themselves: where the first has no opposite, the next one changes.
_APART = frozenset("measure place margin signal texture shape colour pathology".split())
_ONE_SIDE = re.compile(r"\bthe (?:left|right) (?:one|side)\b", re.IGNORECASE)
_SURFACE = frozenset({"photograph", "dermoscopy", "fundus", "OCT"})
_PARTS = re.compile(
    r"\b(?:one|two|three|four|five|six|another|the (?:others?|rest|(?:larg|small|bigg)(?:er|est)))\b(?!-)",
    re.IGNORECASE,
)
_SIZE_SHARE = {"tiny": 0.002, "small": 0.006, "large": 0.15}


_OF_ONE_SEX = re.compile(
    r"\b(?:uter(?:us|ine)|ovar(?:y|ies|ian)|endometri\w+|myometrium|cervix|vagina\w*|vulva\w*|placenta\w*|gestation\w*|"
    r"prostat\w+|test(?:is|es|icle|icular)|scrot\w+|penis|penile|seminal vesicles?|epididym\w+)\b",
    re.IGNORECASE,
)
_GROWN = pairs("boy>man; girl>woman; man>boy; woman>girl")
_IN = re.compile(r"\b(?:in|of|at|on|over|from|within) $", re.IGNORECASE)
_VERB = re.compile(
    r"\b(?:do|does|did|can|could|may|will|would|should|is|are|was|were|has|have|had|appears?|looks?|seems?) $",
    re.IGNORECASE,
)
# "not a polyp, rather a fold": to affirm one half would contradict the other.
_HALF = re.compile(r"[^.;]*\b(?:but|rather|instead|only|just)\b", re.IGNORECASE)


@PERTURBATIONS.add("antonym")
class Antonym(PromptPerturbation):
    """Replace the value of one attribute by its opposite: left -> right, small -> large, top left -> bottom right.

    An opposite that happens to be true of the image is no contradiction: another one is taken, else the change is not
    applicable. Kinds: all that the lexicon has opposites for, a description becoming that of another class; WordNet's
    antonyms stand in for shapes, colours, sizes and pathologies that the lexicon does not know. The target's opposite
    is `wrong_class`. Sex and age are the fairness set.

    Expectation: "change" for side, location, number and size where the mask (or what the data state) disproves the new
    value; "invariant" for sex and age (fairness); "none" otherwise. Params: `text kind old new start stop source edits
    repairs truth`; `edits` lists every splice as [start, stop, old, new] of the old text, `repairs` those of them that
    only fix the grammar (a/an, noun number).
    """

    name = "antonym"

    def __init__(self, *, context: DataContext | None = None, kind: str = "") -> None:
        super().__init__(context=context, kind=kind)
        self.name = f"antonym:{kind}" if kind else "antonym"
        self.expectation = "change" if kind in LOCATING else "invariant" if kind in PROTECTED else "none"

    @classmethod
    def expand(cls, context: DataContext) -> Sequence[BasePerturbation]:
        """Return one perturbation per kind that has an opposite in at least one prompt of the dataset."""
        prompts = [p for info in context.infos for p in info.prompts]
        distinct = {(a.kind, a.value) for p in prompts for a in p.attributes if a.kind != "target"}
        able = {kind for kind, value in distinct if opposites(kind, value)}
        return tuple(cls(context=context, kind=kind) for kind in kinds_of(prompts) if kind in able)

    def propose(self, case: Case, severity: int, rng: np.random.Generator) -> Params | NotApplicable:
        """Return the record of the swap, or why there is none; nothing is drawn."""
        case = self._with_an_opposite(case)
        old = case.prompt.get(self.kind)
        if old is None:
            return NotApplicable(f"the prompt states no {self.kind}")
        if self.kind == "sex" and (organ := _OF_ONE_SEX.search(case.prompt.text)):
            return NotApplicable(f"only one sex has a {organ[0].lower()}")
        if self.kind == "side" and joins_the_other_side(case.prompt, old):
            return NotApplicable("the prompt names both sides")
        if self.kind in ("side", "place") and leaves_the_other_side(case.prompt, old):
            return NotApplicable("the prompt says something of the other side too")
        if self.kind == "negation" and old.value.lower() == "not" and _HALF.match(case.prompt.text, old.stop):
            return NotApplicable("the denial is one half of a contrast")
        candidates = self._candidates(case, old)
        if self.kind == "number" and old.value.isalpha() and stands_behind_target(case.prompt, old.start):
            candidates = []  # "pseudopolyps multiple": no number word stands there.
        if not candidates:
            return NotApplicable(why_unknown(self.kind, old.value))
        if self.kind == "size":
            candidates = _farthest_first(candidates, case)
        elsewhere = {a.value.lower() for a in case.prompt.attributes if a.kind == self.kind and a is not old}
        if reason := _split(case.prompt, self.kind, elsewhere, candidates):
            return NotApplicable(reason)
        if self.kind in ("location", "side", "place") and elsewhere:
            # Of two things in one prompt the first moves, and not to where the other is.
            apart = [c for c in candidates if c.value.lower() not in elsewhere]
            if not apart and self.kind == "location":
                # "from upper left to lower right": one axis alone is reflected.
                apart = [c for c in half_reflections(old.value) if c.value.lower() not in elsewhere]
            candidates = apart or candidates
            if not apart and _REPEATS.search(self._record(case.prompt, candidates[0], "unknown")["text"]):
                return NotApplicable(f"the opposite {candidates[0].value!r} is what the prompt asks for beside it")
        if old.role == "landmark":
            note = f"the {self.kind} of a landmark, not of the target: no mask of the case tells"
            return self._record(case.prompt, candidates[0], "unknown", note=note)
        if denies_another(case.prompt, old):
            note = "what is denied is not the target: no mask of the case tells"
            return self._record(case.prompt, candidates[0], "unknown", note=note)
        several = sum(a.kind == "target" for a in case.prompt.attributes) > 1
        if self.kind in LOCATING and (several or (elsewhere and self.kind in ("location", "side"))):
            note = f"the {self.kind} of one of several things: the mask of all does not tell"
            return self._record(case.prompt, candidates[0], "unknown", note=note)
        judged = [(c, judge_value(case, old, c.value)) for c in candidates]
        chosen = _choose(judged)
        if chosen is None:
            return NotApplicable(f"the opposite {candidates[0].value!r} is true of this image too")
        candidate, truth = chosen
        return self._record(case.prompt, candidate, truth)

    def _with_an_opposite(self, case: Case) -> Case:
        """Return the case without the values of the kind before the first that has an opposite: "BI-RADS X, 5 mm"."""
        own = [a for a in case.prompt.attributes if a.kind == self.kind]
        if self.kind not in _APART or len(own) < 2:
            return case
        able = next((n for n, a in enumerate(own) if self._candidates(case, a)), 0)
        left = tuple(a for a in case.prompt.attributes if a not in own[:able])
        return dataclasses.replace(case, prompt=dataclasses.replace(case.prompt, attributes=left)) if able else case

    def _candidates(self, case: Case, old: Attribute) -> list[Opposite]:
        """Return the opposites: the lexicon's, else WordNet's."""
        value, target = old.value, case.prompt.get("target")
        noun = denied_noun(case.prompt.text, old.stop) if self.kind == "negation" else ""
        if noun and value.lower() == "no" and (is_mass(noun) or is_plural(noun)):
            return [Opposite("some", "there is none <-> there is some")]
        if value.lower() == "rather than" and not case.prompt.text[: old.start].strip():
            return [Opposite("as well as", "one alone <-> both; curated")]
        if self.kind == "number" and value.lower() == "no" and target is not None and is_mass(target.value):
            return [Opposite("some", "there is none <-> there is some")]
        listed = opposites(self.kind, value, target=target.value if target else case.target)
        if self.kind == "place":
            modality = canonical_modality(str(case.metadata.get("modality") or ""))
            # No bladder in a photograph of the skin "over the sacrum"; the other level of a place is shown where it is.
            own = set(value.lower().split(" "))
            if modality in _SURFACE:
                same = [c for c in listed if own & set(c.value.lower().split(" ")) or "surface" in c.source]
                listed = same or [c for c in listed if is_shown(c.value, modality)]
        # "1/2" of a disc has no other half: a swap that changes nothing is none.
        return [c for c in listed or from_wordnet(self.kind, value) if c.value.lower() != value.lower()]

    def expect(self, case: Case, params: Params) -> str:
        """Return "change" only where the new value is false of the case."""
        return "none" if self.kind in LOCATING and params.get("truth") != "false" else self.expectation

    def _record(self, prompt: Prompt, candidate: Opposite, truth: Truth, *, note: str = "") -> Params:
        repairs: Sequence[Edit] = ()
        if self.kind == "number":
            articles = without_article(prompt, candidate.value)
            repairs = [*noun_repairs(prompt, candidate.value), *articles]
            if repairs:
                repairs = [*repairs, *agreeing_verb(prompt, candidate.value)]
            if articles and articles[0].old[:1].isupper():
                # "A solitary ulcer" gives "Multiple ulcers".
                candidate = candidate._replace(value=candidate.value[0].upper() + candidate.value[1:])
        old, target = prompt.get(self.kind), prompt.get("target")
        if old is not None and old.value.lower() == "not" and _affirms_alone(prompt.text, old):
            # "does not enhance" is denied by "does enhance", "appendix, not thickened" by "appendix, thickened".
            edit = Edit(old.start - 1, old.stop, prompt.text[old.start - 1 : old.stop], "")
            return record(prompt.text, [edit], kind="negation", old=old.value, new="", source="rule", truth=truth)
        if self.kind == "age" and old is not None:
            repairs = _grown(prompt, old.value, candidate.value)
        behind = [a for a in prompt.attributes if a.kind == "target" and old is not None and a.start >= old.stop]
        target = behind[0] if behind else target
        if self.kind == "side" and old and target and old.role == "target":
            was_both = old.value.lower() in ("both", "bilateral", "left and right", "right and left", "both sides")
            if was_both and candidate.value.lower() in (
                "left",
                "right",
                "the left side",
                "the right side",
                "unilateral",
            ):
                repairs = number_of_noun(target, to_one=True)
        if self.kind == "side" and old and old.role != "target" and old.value.lower() == "both":
            repairs = _one_of_a_pair(prompt, old)
            if repairs and _IN.search(prompt.text[: old.start]):
                # "in both lower lobes" gives "in the left lower lobe".
                candidate = candidate._replace(value=f"the {candidate.value}")
        extra: dict[str, Any] = {"truth": truth, **({"note": note} if note else {})}
        return swap(prompt, self.kind, candidate.value, source=candidate.source, repairs=repairs, **extra)


def _affirms_alone(text: str, denial: Attribute) -> bool:
    """Tell whether a text without its "not" says the opposite: behind a verb, before a property."""
    word = re.match(r"\s+([\w-]+)", text[denial.stop :])
    if re.search(r"\band $", text[: denial.start], re.IGNORECASE):
        # "the gauze and not the polyp" is denied by "the gauze and the polyp".
        return True
    said = word is not None and (kind_of(word[1].lower()) in _SAID or word[1].lower().endswith("ing"))
    return _VERB.search(text[: denial.start]) is not None or said


def _one_of_a_pair(prompt: Prompt, old: Attribute) -> list[Edit]:
    """Return the edit that makes "both shins", where something is, "left shin"."""
    place = next((a for a in prompt.attributes if a.kind == "place" and a.start <= old.start < a.stop), None)
    word = re.search(r"\w+$", prompt.text[old.stop : place.stop]) if place else None
    if place is None or word is None:
        return []
    start = old.stop + word.start()
    return number_of_noun(Attribute("target", word[0], start, place.stop), to_one=True)


def _split(prompt: Prompt, kind: str, elsewhere: set[str], candidates: Sequence[Opposite]) -> str:
    """Tell why one value of several cannot change alone: "one large and two small", "three: one above, two below"."""
    if kind in _CONTRASTED and any(c.value.lower() in elsewhere for c in candidates):
        return f"the prompt asks for the opposite of its first {kind} too: one half of a pair would change"
    side = prompt.get("side") if kind == "side" else None
    one_side = side is not None and _ONE_SIDE.search(prompt.text, side.stop)
    if side is not None and names_both(side.value) and (one_side or elsewhere & {"left", "right"}):
        return "the prompt tells what lies on each side: one side alone would contradict it"
    number, target = prompt.get("number"), prompt.get("target")
    if kind != "number" or number is None or target is None:
        return ""
    inside = [a for a in prompt.attributes if a.kind not in ("target", "number", "description")]
    for part in _PARTS.finditer(prompt.text, max(number.stop, target.stop)):
        if not any(a.start <= part.start() < a.stop for a in inside):
            return "the prompt tells the parts of the number too: the whole would no longer be their sum"
    return ""


def _grown(prompt: Prompt, old: str, new: str) -> list[Edit]:
    """Return the edit that makes a boy a man where the new age is an adult's: no "90-year-old boy"."""
    sex = prompt.get("sex")
    ages = [int(m[0]) if (m := re.search(r"\d+", value)) else None for value in (old, new)]
    if sex is None or sex.value.lower() not in _GROWN or None in ages or "year" not in old:
        return []
    is_child = sex.value.lower() in ("boy", "girl")
    if ages[1] is None or is_child == (ages[1] < 18):
        return []
    fixed = match_case(_GROWN[sex.value.lower()], sex.value)
    return [Edit(sex.start, sex.stop, sex.value, fixed)]


def _choose(judged: Sequence[tuple[Opposite, Truth]]) -> tuple[Opposite, Truth] | None:
    """Return the first candidate that is false of the case, else the first of which nothing is known."""
    for verdict in ("false", "unknown"):
        for candidate, truth in judged:
            if truth == verdict:
                return candidate, truth
    return None


def _farthest_first(candidates: list[Opposite], case: Case) -> list[Opposite]:
    """Sort the opposites of a middle size by their distance from the true area, on a log scale."""
    measured = facts(case.mask)
    if measured is None or measured.area_fraction <= 0 or {c.value for c in candidates} != {"tiny", "large"}:
        return candidates
    share = math.log(measured.area_fraction)
    return sorted(candidates, key=lambda c: -abs(math.log(_SIZE_SHARE[c.value]) - share))
