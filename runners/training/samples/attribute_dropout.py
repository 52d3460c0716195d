"""Attribute dropout: words that are not needed to find the target are left out now and then."""

from __future__ import annotations

import dataclasses

import numpy as np

from robustness.perturb.language.parse import parse_prompt
from robustness.registry import PERTURBATIONS
from robustness.types import Case, DataContext, Prompt

# Both sides of a body are there although only one may be annotated.
_KEPT = frozenset({"target", "side"})


def without_words(case: Case, context: DataContext, *, chance: float, rng: np.random.Generator) -> Case:
    """Return `case` with each attribute that may go left out with probability `chance`.

    The target and the side stay, and so does every word without which another case of the same image would answer to
    the same prompt.

    Args:
        case: with its prompt parsed.
        context: all cases that may share the image.
        chance: in [0, 1].
        rng: draws once for each kind of word that the prompt states.
    """
    kinds = list(dict.fromkeys(a.kind for a in case.prompt.attributes if a.kind not in _KEPT))
    others = [
        told_apart(case.prompt, info.prompts[0])
        for info in context.same_image(str(case.metadata.get("image_id", "")))
        if info.case_id != case.case_id and info.prompts
    ]
    gone: set[str] = set()
    for kind in kinds:
        if rng.random() >= chance or any(differing <= gone | {kind} for differing in others if differing):
            continue
        drop = PERTURBATIONS.get("drop")(kind=kind)
        params = drop.draw(case, 0, rng)
        if params is not None:
            case, gone = read_again(drop.apply(case, params), target=case.target), gone | {kind}
    return case


def read_again(case: Case, *, target: str = "") -> Case:
    """Return `case` with the words of its prompt found again: a changed text brings none."""
    prompt = parse_prompt(case.prompt.text, modality=str(case.metadata.get("modality") or ""), target=target)
    return dataclasses.replace(case, prompt=dataclasses.replace(prompt, paraphrases=case.prompt.paraphrases))


def told_apart(mine: Prompt, other: Prompt) -> set[str]:
    """Return the kinds of words that both prompts state with different values, or that only one states."""
    stated, others = _values(mine), _values(other)
    return {kind for kind in {*stated, *others} if stated.get(kind) != others.get(kind)}


def _values(prompt: Prompt) -> dict[str, tuple[str, ...]]:
    values: dict[str, tuple[str, ...]] = {}
    for attribute in prompt.attributes:
        values[attribute.kind] = (*values.get(attribute.kind, ()), attribute.value.lower())
    return values
