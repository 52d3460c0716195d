"""`synonym:KIND`: one attribute's value in other words of the same meaning."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from robustness.perturb.base import BasePerturbation
from robustness.perturb.language import wordnet
from robustness.perturb.language.edit import Edit, match_case, swap
from robustness.perturb.language.grammar.numerals import unspell
from robustness.perturb.language.lexicon import descriptions, find_class, synonyms
from robustness.perturb.language.ontology.terms import find_term
from robustness.perturb.language.opposites import Opposite
from robustness.perturb.language.parse import kinds_of
from robustness.perturb.prompt.base import CYCLE_NEXT, FRAME_NEXT, NOUN_NEXT, PromptPerturbation
from robustness.perturb.prompt.rare import part_of_speech
from robustness.registry import PERTURBATIONS
from robustness.types import Attribute, Case, DataContext, NotApplicable, Params, Prompt

# "on the right", and not "on the right kidney"
_NOUN_BEFORE = re.compile(r"\bthe $", re.IGNORECASE)
_ARTICLE = re.compile(r"\ban? $", re.IGNORECASE)
_LIST = re.compile(r"(,\s*(?:and\s+)?|\s+and\s+)")
_AGE = re.compile(r"(?P<n>[a-z]+(?:-[a-z]+)*?)(?P<rest>-years?-old)", re.IGNORECASE)
# WordNet's commonest sense of a medical target, a shape or a tint is the right one; of "left" or "one" it is not.
_FROM_WORDNET = ("target", "shape", "colour", "size")


@PERTURBATIONS.add("synonym")
class SynonymOf(PromptPerturbation):
    """Replace the value of one attribute by a synonym: small -> little, seventy-year-old -> 70-year-old.

    The curated lexicon first; for target, shape, colour and size then WordNet's commonest sense, where it is installed.
    Every part of a list is replaced. Expectation: "invariant". Params: as `antonym`.
    """

    name = "synonym"
    expectation = "invariant"

    def __init__(self, *, context: DataContext | None = None, kind: str = "") -> None:
        super().__init__(context=context, kind=kind)
        self.name = f"synonym:{kind}" if kind else "synonym"

    @classmethod
    def expand(cls, context: DataContext) -> Sequence[BasePerturbation]:
        """Return one perturbation per kind that has a synonym in at least one prompt of the dataset."""
        prompts = [p for info in context.infos for p in info.prompts]
        distinct = dict.fromkeys((a.kind, a.value.lower()) for p in prompts for a in p.attributes)
        able = {kind for kind, value in distinct if kind in _FROM_WORDNET or curated(kind, value)}
        return tuple(cls(context=context, kind=kind) for kind in kinds_of(prompts) if kind in able)

    def propose(self, case: Case, severity: int, rng: np.random.Generator) -> Params | NotApplicable:
        """Return the record of the swap; nothing is drawn."""
        old = case.prompt.get(self.kind)
        if old is None:
            return NotApplicable(f"the prompt states no {self.kind}")
        if reason := _unfit(case.prompt, old):
            return NotApplicable(reason)
        choices = curated(self.kind, old.value, case.target) or from_wordnet(self.kind, old.value)
        if self.kind == "location" and FRAME_NEXT.match(case.prompt.text, old.stop):
            # No "right side side of the image".
            choices = [c for c in choices if not c.value.endswith((" side", " part"))]
        if choices:
            new, repairs = choices[0].value, []
            article = _ARTICLE.search(case.prompt.text[: old.start]) if self.kind == "number" else None
            if article is not None:
                # "a single polyp" gives "one polyp".
                repairs = [Edit(article.start(), article.end(), article.group(), "")]
                new = match_case(new.removeprefix("a "), article.group())
            return swap(case.prompt, self.kind, new, source=choices[0].source, repairs=repairs)
        why = wordnet.missing() if self.kind in _FROM_WORDNET else ""
        return NotApplicable(f"no synonym of the {self.kind} {old.value!r} in the lexicon" + (why and f"; {why}"))


def _unfit(prompt: Prompt, old: Attribute) -> str:
    """Return why no synonym can stand where a value stands, or ""."""
    text = prompt.text
    if old.kind == "side" and _NOUN_BEFORE.search(text[: old.start]) and not NOUN_NEXT.match(text, old.stop):
        return f"{old.value!r} is a noun here, for which no synonym is known"
    if old.kind == "side" and old.value.lower() in ("left", "right") and _is_of_a_part(prompt, old):
        return f"{old.value!r} tells which part of the body is meant: a finding is left-sided, and no organ is"
    if old.kind == "phase" and old.value.lower().endswith("tole") and not CYCLE_NEXT.match(text, old.stop):
        return f"{old.value!r} is a noun here, for which no synonym is known"
    if old.kind == "sex" and NOUN_NEXT.match(text, old.stop) and old.value.lower() in ("male", "female"):
        return f"{old.value!r} is an adjective here, for which no synonym is known"
    return ""


def _is_of_a_part(prompt: Prompt, side: Attribute) -> bool:
    """Tell whether a side is that of a landmark or an organ ("the left forearm", "left kidney") and of no finding."""
    if side.role != "target" or any(a.kind == "place" and a.start <= side.start < a.stop for a in prompt.attributes):
        return True
    target = next((a for a in prompt.attributes if a.kind == "target" and a.start >= side.stop), None)
    term = find_term(target.value) if target is not None else None
    return term is not None and term.category == "anatomy"


def curated(kind: str, value: str, target: str = "") -> list[Opposite]:
    """Return the lexicon's synonyms of a value, best first; lists part by part, ages as figures."""
    if kind == "age":
        return _age(value)
    if kind == "description":
        return _described(value, target)
    parts = _LIST.split(value.lower()) if kind in ("size", "location") else [value.lower()]
    rows = [synonyms().get((kind, part)) for part in parts[::2]]
    listed = [row for row in rows if row is not None]
    if len(listed) < len(rows) or not listed:
        return []
    count = max(len(row.synonyms) for row in listed) if len(listed) == 1 else 1
    choices = []
    for i in range(count):
        parts[::2] = [row.synonyms[min(i, len(row.synonyms) - 1)] for row in listed]
        choices.append(Opposite("".join(parts), listed[0].source))
    return choices


def from_wordnet(kind: str, value: str) -> list[Opposite]:
    """Return WordNet's synonyms of a value; none where it is not installed or the kind is not its business."""
    if kind not in _FROM_WORDNET:
        return []
    return [Opposite(name, wordnet.SOURCE) for name in wordnet.synonyms(value, part_of_speech(kind, value))]


def _age(value: str) -> list[Opposite]:
    match = _AGE.fullmatch(value)
    number = unspell(match["n"]) if match else None
    return [] if match is None or number is None else [Opposite(f"{number}{match['rest']}", "the age in figures")]


def _described(value: str, target: str) -> list[Opposite]:
    row = find_class(target)
    listed = descriptions().get(row.name.lower() if row else target.lower(), ())
    return [Opposite(d.text, d.source) for d in listed if d.text.lower() != value.lower()]
