"""The model in the loop of `worst_case`: the features of one image per case, many texts, Dice as the score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch

from robustness.errors import InputError
from robustness.perturb.attacks.base import evaluated_image, image_sha256
from robustness.perturb.prompt.worst_case import BUDGET, WorstCase
from robustness.perturb.select import Selected
from robustness.seeds import generator
from robustness.types import Case, DataContext, Embedding, Mask, NotApplicable, Segmenter


class WorstPrompt(NamedTuple):
    """What the search found: scores are Dice; `tried` counts the texts; `steps` are the edits that led to `text`."""

    text: str
    score: float
    clean_score: float
    tried: int
    steps: tuple[str, ...]


@dataclass(eq=False)
class DiceOfTexts:
    """Scores texts on one case after another; the features of the last image are kept, so that it is encoded once."""

    model: Segmenter
    batch_size: int = 16
    image_encodes: int = 0
    _key: str = field(default="", init=False, repr=False)
    _embedding: Embedding | None = field(default=None, init=False, repr=False)

    def __call__(self, case: Case, texts: Sequence[str]) -> list[float]:
        """Return the Dice of each text's mask with the case's reference; two empty masks agree (1.0)."""
        embedding = self._image_embedding(case)
        scores: list[float] = []
        for start in range(0, len(texts), self.batch_size):
            part = list(texts[start : start + self.batch_size])
            with torch.inference_mode():
                encoded = self.model.encode_text(part)
                maps = self.model.probabilities(embedding.take([0] * len(part)), encoded, [case.mask.shape] * len(part))
            scores += [_dice(np.asarray(m) > self.model.threshold, case.mask) for m in maps]
        return scores

    def _image_embedding(self, case: Case) -> Embedding:
        image = evaluated_image(case)
        key = image_sha256(image)
        if self._embedding is None or key != self._key:
            with torch.inference_mode():
                self._embedding = self.model.encode_image([image])
            self._key = key
            self.image_encodes += 1
        return self._embedding


def bind(selected: Sequence[Selected], model: Segmenter, *, budget: int | None = None) -> list[Selected]:
    """Return the perturbations of a plan with `model` in the loop of those that search; the others unchanged."""
    judge: Any = None
    bound = []
    for chosen in selected:
        change = chosen.perturbation
        # Stored predictions know no other texts than those that were asked.
        if isinstance(change, WorstCase) and not hasattr(model, "lookup"):
            judge = judge or DiceOfTexts(model)
            chosen = Selected(change.bound_to(judge, budget), chosen.severity)
        bound.append(chosen)
    return bound


def worst_prompt(
    model: Segmenter, case: Case, *, budget: int = BUDGET, seed: int = 0, context: DataContext | None = None
) -> WorstPrompt:
    """Search for the paraphrase under which `model` scores worst on `case`.

    Args:
        model: any segmenter that encodes images and texts apart.
        case: with its prompt parsed.
        budget: how many texts are scored at most, the clean one not counted; at least 1.
        seed: the same seed gives the same search.
        context: the case's dataset; by default the case alone.

    Raises:
        InputError: a budget below 1, or no edit applies.
    """
    if budget < 1:
        raise InputError(f"budget: expected at least 1 text, got {budget}")
    search = WorstCase(context=context or _alone(case), judge=DiceOfTexts(model), budget=budget)
    params = search.propose(case, 0, generator(seed, case.case_id, "worst_case", 0))
    if isinstance(params, NotApplicable):
        raise InputError(f"case {case.case_id!r}: {params.reason}")
    return WorstPrompt(
        params["text"], params["worst_score"], params["clean_score"], params["tried"], tuple(params["steps"])
    )


def _alone(case: Case) -> DataContext:
    from robustness.types import CaseInfo

    image_id = str(case.metadata.get("image_id", case.case_id))
    info = CaseInfo(case.case_id, image_id, case.subject_id, case.target, (case.prompt,), case.metadata)
    return DataContext(name="case", infos=(info,))


def _dice(predicted: Mask, reference: Mask) -> float:
    total = int(predicted.sum()) + int(reference.sum())
    return 1.0 if total == 0 else 2.0 * int((predicted & reference).sum()) / total
