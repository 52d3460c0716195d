"""`negation`: the prompt denies its target ("no small polyp", "without any small polyp")."""

from __future__ import annotations

import re

import numpy as np

from robustness.perturb.language.edit import Edit, match_case, record
from robustness.perturb.language.proper import is_proper
from robustness.perturb.language.template_shape import is_framed, is_template
from robustness.perturb.prompt.base import PromptPerturbation
from robustness.perturb.prompt.denial import denial
from robustness.perturb.prompt.trailing import descriptions_behind
from robustness.registry import PERTURBATIONS
from robustness.types import Attribute, Case, NotApplicable, Params, Prompt

_FORMS = ("no", "without any")
_BETWEEN = re.compile(r"(?:[\s,-]|\b(?:an?|the|and|it is|shaped?|any|separate|regions?:?)\b|:)*", re.IGNORECASE)
_ARTICLE = re.compile(r"(?:^|(?<= ))(?:an?|the) $", re.IGNORECASE)
_NEGATED = re.compile(r"\b(?:no|not|without|absence of)\b", re.IGNORECASE)


@PERTURBATIONS.add("negation")
class Negation(PromptPerturbation):
    """Deny the target: its number or article becomes "no" or "without any" (drawn), else that is put before it.

    Of a prompt that is no template every target is denied, a request becomes a statement ("There is no left kidney."),
    and where no plain denial keeps the sentence whole the change does not apply.

    What a comma behind the target still says of it goes ("blisters, each about 1 cm"); every other word stays. Not
    applicable where the prompt denies something already, or where nothing is drawn in the reference mask, since the
    denial would be true. Expectation: "abstain". Params: as `antonym`.
    """

    name = "negation"
    expectation = "abstain"

    def propose(self, case: Case, severity: int, rng: np.random.Generator) -> Params | NotApplicable:
        """Return the record of the edit; the form of the denial is drawn."""
        form = _FORMS[int(rng.integers(len(_FORMS)))]
        target = case.prompt.get("target")
        if target is None:
            return NotApplicable("the prompt states no target that is known")
        if _NEGATED.search(case.prompt.text) or case.prompt.get("negation") is not None:
            return NotApplicable("the prompt denies something already")
        if case.mask.size and not case.mask.any():
            return NotApplicable("the reference mask is empty, so a denial would be true")
        text = case.prompt.text
        if is_template(text, case.prompt.attributes, is_stated=bool(case.target)) and not is_framed(text):
            edits = [*_denial(case.prompt, form), *_said_behind(case.prompt)]
        else:
            sentence_edits = denial(case.prompt, form)
            if sentence_edits is None:
                return NotApplicable("no plain denial keeps this sentence whole")
            edits = sentence_edits
        return record(
            case.prompt.text, edits, kind="number", old=edits[0].old, new=edits[0].new.strip(), source="denial"
        )


def _denial(prompt: Prompt, form: str) -> list[Edit]:
    """Return the edit that denies the target, and that of a capital which is no longer the first letter."""
    text = prompt.text
    start = _phrase_start(prompt)
    counted = next((a for a in prompt.attributes if a.start == start and _counts(a)), None)
    article = _ARTICLE.search(text[:start])
    if counted is not None:
        # "both optic nerves", "the longest segment": no denial stands before "both" or a superlative.
        first = article.start() if article is not None else counted.start
        old = text[first : counted.stop]
        return [Edit(first, counted.stop, old, match_case(form, old))]
    if article is not None:
        word = article.group().rstrip(" ")
        return [Edit(article.start(), article.start() + len(word), word, match_case(form, word))]
    edits = [Edit(start, start, "", match_case(form, text[start:] if start == 0 else "") + " ")]
    # A name such as "Support Devices" or "Roth spots" keeps its capitals.
    if start == 0 and not is_proper(text) and re.match(r"[A-Z][a-z]+(?![a-z])(?! [A-Z])", text):
        edits = [Edit(0, 1, text[0], f"{edits[0].new}{text[0].lower()}")]
    return edits


def _said_behind(prompt: Prompt) -> list[Edit]:
    target = prompt.get("target")
    edits = descriptions_behind(prompt, target) if target is not None else []
    # Descriptions of templates are sentences' ends, which read on behind a denial.
    return [
        e for e in edits if not any(a.kind == "description" and e.start <= a.start < e.stop for a in prompt.attributes)
    ]


def _counts(attribute: Attribute) -> bool:
    value = attribute.value.lower()
    return (
        attribute.kind == "number"
        or value in ("both", "either")
        or (attribute.kind == "size" and value.endswith("est"))
    )


def _phrase_start(prompt: Prompt) -> int:
    """Return where the noun phrase of the target begins: its attributes before it, without a break."""
    target = prompt.get("target")
    start = target.start if target else 0
    for a in reversed(prompt.attributes):
        if a.kind in ("view", "sex", "age", "phase") or a.stop > start:
            continue
        if a.kind == "side" and ":" in prompt.text[a.stop : start]:
            # "Right eye: membrane" denies no eye.
            break
        if _BETWEEN.fullmatch(prompt.text[a.stop : start]):
            start = a.start
    return start
