"""`negation`: the prompt denies its target ("no small polyp", "an image without any small polyp")."""

from __future__ import annotations

import re

import numpy as np

from robustness.perturb.language.edit import Edit, match_case, record, splice
from robustness.perturb.language.lexicon import find_class
from robustness.perturb.language.proper import is_proper
from robustness.perturb.language.template_shape import is_framed, is_template
from robustness.perturb.prompt.base import PromptPerturbation
from robustness.perturb.prompt.denial import denial
from robustness.perturb.prompt.removal import is_sound
from robustness.perturb.prompt.trailing import denied_apart, descriptions_behind
from robustness.registry import PERTURBATIONS
from robustness.types import Attribute, Case, NotApplicable, Params, Prompt

_FORMS = ("no", "an image without any")
_BETWEEN = re.compile(r"(?:[\s,-]|\b(?:an?|the|and|it is|shaped?|any|separate|regions?:?)\b|:)*", re.IGNORECASE)
_ARTICLE = re.compile(r"(?:^|(?<= ))(?:an?|the) $", re.IGNORECASE)
# "an image without any polyp in the top of the image" would name the image twice.
_PICTURE = re.compile(
    r"\b(?:image|picture|photo\w*|x-?ray|radiograph|view|plane|scan|slice|MRI|CT|ultrasound|cycle|quality|brightest)\b"
    r"|\bregions?\b|[.,;:]\s|\b(?:is|are)\b",
    re.IGNORECASE,
)
_NEGATED = re.compile(r"\b(?:no|not|cannot|never|without|absence of)\b|n't\b", re.IGNORECASE)


@PERTURBATIONS.add("negation")
class Negation(PromptPerturbation):
    """Deny the target: its number or article becomes "no", else "no" is put before it.

    A template of the reference benchmark keeps every other word; where it ends with its target the denial may be "an
    image without any small polyp" (drawn). Of every other prompt all targets are denied, and what would make the denial
    one of a number, a size, a grade or a distance goes with them ("three 2-4 mm polyps" gives "no polyps"), as does
    what a comma behind the target still says of it ("blisters, each about 1 cm").

    A request says nothing of presence, and "do not segment the left kidney" would forbid an act and deny nothing: its
    denial states that the target is not there ("There is no left kidney."), so that there is nothing to outline.

    What a comma behind the target denies of another thing stays ("no polyps, no bleeding").

    Not applicable where the prompt denies something already beside that, where no plain denial keeps the sentence
    whole, or where nothing is drawn in the reference mask, since the denial would be true. Expectation: "abstain".
    Params: as `antonym`.
    """

    name = "negation"
    expectation = "abstain"

    def propose(self, case: Case, severity: int, rng: np.random.Generator) -> Params | NotApplicable:
        """Return the record of the edit; the form of the denial is drawn."""
        form = _FORMS[int(rng.integers(len(_FORMS)))]
        target = case.prompt.get("target")
        if target is None:
            return NotApplicable("the prompt states no target that is known")
        rest = denied_apart(case.prompt.text, target.stop)
        denials = sum(a.kind == "negation" for a in case.prompt.attributes)
        if _NEGATED.search(rest) or (denials and (rest == case.prompt.text or denials > 1)):
            return NotApplicable("the prompt denies something already")
        if case.mask.size and not case.mask.any():
            return NotApplicable("the reference mask is empty, so a denial would be true")
        if _is_reference(case):
            edits = [*_denial(case.prompt, form), *_said_behind(case.prompt)]
        else:
            sentence_edits = _doubted(case.prompt) or denial(case.prompt)
            if sentence_edits is None:
                return NotApplicable("no plain denial keeps this sentence whole")
            edits = sentence_edits
            if not is_sound(case.prompt.text, splice(case.prompt.text, edits)):
                return NotApplicable("no plain denial keeps this sentence whole")
        return record(
            case.prompt.text, edits, kind="number", old=edits[0].old, new=edits[0].new.strip(), source="denial"
        )


def _is_reference(case: Case) -> bool:
    """Tell whether a prompt is a template with a target of the reference benchmark, or one that the data state."""
    text, target = case.prompt.text, case.prompt.get("target")
    if is_framed(text) or not is_template(text, case.prompt.attributes, is_stated=bool(case.target)):
        return False
    if (
        target is None
        or any(a.value.lower() == "bilateral" for a in case.prompt.attributes)
        or _runs_on(case.prompt, target)
    ):
        return False
    row = find_class(target.value)
    return bool(case.metadata.get("siblings")) or (row is not None and bool(row.dataset))


def _runs_on(prompt: Prompt, target: Attribute) -> bool:
    """Tell whether an adjective follows the target without a comma: "ulcer oval shallow", a telegram."""
    return any(a.kind in ("shape", "size", "colour") and a.start == target.stop + 1 for a in prompt.attributes)


_DOUBT = re.compile(r"\b(?:suspicious|concerning|worrisome|suggestive) (?:for|of)$", re.IGNORECASE)


def _doubted(prompt: Prompt) -> list[Edit]:
    """Return the edit that makes "highly suspicious for a perforated ulcer" negative for it; none where none doubts."""
    target = prompt.get("target")
    doubt = next((a for a in prompt.attributes if a.kind == "certainty" and _DOUBT.search(a.value)), None)
    if doubt is None or target is None or doubt.stop > target.start or "?" in prompt.text:
        return []
    inside = [a for a in prompt.attributes if doubt.stop <= a.start and a.stop <= target.start]
    words = prompt.text[doubt.stop : min([a.start for a in inside] or [target.start])]
    if re.search(r"[,.;:]", words) or len(words) > 6:
        return []
    return [Edit(doubt.start, doubt.stop, doubt.value, match_case("negative for", doubt.value))]


def _denial(prompt: Prompt, form: str) -> list[Edit]:
    """Return the edit that denies the target, and that of a capital which is no longer the first letter."""
    text = prompt.text
    target = prompt.get("target")
    start = _phrase_start(prompt)
    if doubted := _doubted(prompt):
        return doubted
    head = text[:start].lower().removesuffix("a ").removesuffix("an ").removesuffix("the ")
    if head or (target is not None and _PICTURE.search(text[target.stop :])):
        form = "no"
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
    edits = (descriptions_behind(prompt, target) if target is not None else []) or []
    # Descriptions of templates are sentences' ends, which read on behind a denial.
    return [
        e for e in edits if not any(a.kind == "description" and e.start <= a.start < e.stop for a in prompt.attributes)
    ]


def _counts(attribute: Attribute) -> bool:
    value = attribute.value.lower()
    return (
        attribute.kind == "number"
        or value in ("both", "either", "bilateral")
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
