"""Absent targets: the same image, asked for what it does not show, so that a model learns to answer with nothing."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from robustness.registry import PERTURBATIONS
from robustness.runners.data.load import Dataset
from robustness.runners.training.samples.attribute_dropout import read_again
from robustness.seeds import generator
from robustness.types import Case, DataContext


class AbsentTargets:
    """Replaces a share of the prompts by one for an absent structure, and their masks by empty ones.

    Half of them ask for a class of the data that no annotation of the image names (`wrong_class`, where its expectation
    is to abstain), half for a structure of another kind of image (`absent`); where only one exists, it is taken. What
    may be in the image though nobody drew it is never asked for. Draws depend on (seed, epoch, case) alone.

    Args:
        context: the cases that say what is annotated in an image.
        share: of the samples, in [0, 1).
        seed: of all draws.
        source: the data that `context` is of, where its files count among those that the training read.
    """

    def __init__(self, context: DataContext, *, share: float, seed: int, source: Dataset | None = None) -> None:
        self.share, self.seed, self.source = share, seed, source
        self._changes = tuple(PERTURBATIONS.get(name)(context=context) for name in ("wrong_class", "absent"))

    def drawn(self, case: Case, key: tuple[object, ...]) -> Case | None:
        """Return the image with another question and an empty mask; None for a sample that stays.

        Args:
            case: at network size, with the prompt that was drawn for it.
            key: what the draws are keyed by.
        """
        rng = generator(self.seed, *key, "absent")
        return self.request(case, rng) if rng.random() < self.share else None

    def request(self, case: Case, rng: np.random.Generator) -> Case | None:
        """Return the image with a question about what it does not show; None where no such thing is known."""
        first, second = self._changes if rng.random() < 0.5 else self._changes[::-1]
        return self._with(first, case, rng) or self._with(second, case, rng)

    def _with(self, change: Any, case: Case, rng: np.random.Generator) -> Case | None:
        params = change.draw(case, 0, rng)
        if params is None or change.expect(case, params) != "abstain":
            return None
        request = read_again(change.apply(case, params), target=str(params["new"]))
        return dataclasses.replace(request, mask=np.zeros_like(case.mask), target=str(params["new"]))
