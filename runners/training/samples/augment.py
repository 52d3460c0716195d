"""Augmentations of training cases: the pixels, and the words of the prompt."""

from __future__ import annotations

from typing import Any

import numpy as np

from robustness.perturb.prompt.paraphrase import texts as paraphrases
from robustness.registry import PERTURBATIONS
from robustness.types import Case, Image, Mask

_SHIFT, _GAIN, _WRONG_ATTRIBUTE, _PARAPHRASE = 0.06, 0.15, 0.4, 0.25
# What the mask itself shows: a wrong word of these kinds need not mislead anybody.
_WRONG_ATTRIBUTE_KINDS = ("size", "number", "location", "view")


def shifted(image: Image, mask: Mask, rng: np.random.Generator) -> tuple[Image, Mask]:
    """Return both moved by the same whole pixels, up to 6% of the side; what comes in repeats the edge."""
    size = mask.shape[0]
    most = round(_SHIFT * size)
    rows, columns = (np.clip(np.arange(size) - int(d), 0, size - 1) for d in rng.integers(-most, most + 1, 2))
    return image[rows][:, columns], mask[rows][:, columns]


def rotated(case: Case, rotation: Any, rng: np.random.Generator) -> Case:
    """Return half of the cases turned by 5, 10 or 15 degrees with mask and location words, where these stay true."""
    if rng.random() >= 0.5:
        return case
    params = rotation.draw(case, int(rng.integers(1, 4)), rng)
    return case if params is None else rotation.apply(case, params)


def brightened(image: Image, rng: np.random.Generator) -> Image:
    """Return `image` times a factor within 15% of 1."""
    factor = rng.uniform(1 - _GAIN, 1 + _GAIN)
    return np.clip(np.rint(image * factor), 0, 255).astype(np.uint8)


def with_wrong_attribute(case: Case, rng: np.random.Generator) -> Case:
    """Return four in ten cases with the opposite of one attribute that the mask itself shows, others as they are."""
    kinds = [kind for kind in _WRONG_ATTRIBUTE_KINDS if case.prompt.get(kind)]
    if not kinds or rng.random() >= _WRONG_ATTRIBUTE:
        return case
    opposite = PERTURBATIONS.get("antonym")(kind=kinds[int(rng.integers(len(kinds)))])
    params = opposite.draw(case, 0, rng)
    return case if params is None else opposite.apply(case, params)


def other_wordings(case: Case, text: str, *, count: int, rng: np.random.Generator) -> tuple[str, ...]:
    """Return `count` wordings of a case's prompt besides `text`, drawn; `text` again where it has too few."""
    choices = [new for new in dict.fromkeys((case.prompt.text, *paraphrases(case.prompt, case))) if new != text]
    chosen = [choices[i] for i in rng.permutation(len(choices))[:count]]
    return (*chosen, *[text] * (count - len(chosen)))


def paraphrased(case: Case, rng: np.random.Generator) -> str:
    """Return a paraphrase of a quarter of the prompts, the text as it is of the others."""
    if rng.random() >= _PARAPHRASE:
        return case.prompt.text
    choices = paraphrases(case.prompt, case)
    return choices[int(rng.integers(len(choices)))] if choices else case.prompt.text
