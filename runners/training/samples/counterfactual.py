"""Counterfactual prompts: the same image, asked for something else, so that its prompt cannot be ignored."""

from __future__ import annotations

import numpy as np

from robustness.runners.training.samples.absent_targets import AbsentTargets
from robustness.runners.training.samples.resized_cases import ResizedCases
from robustness.seeds import generator
from robustness.types import Case


class Counterfactuals:
    """Replaces a share of the samples by another question about the same image.

    Half of them ask for another target that the pool's annotations show in the image, with its mask; the others for one
    that is surely not there (`AbsentTargets`), with an empty mask. Where only one of the two is possible, it is taken;
    where none is, the sample stays. Draws depend on (seed, epoch, case) alone.

    Args:
        pool: the cases that other targets come from; those on an image must be complete for absent ones to be absent.
        share: of the samples, in [0, 1].
        seed: of all draws.
    """

    def __init__(self, pool: ResizedCases, *, share: float, seed: int) -> None:
        self.pool, self.share, self.seed = pool, share, seed
        self._absent_targets = AbsentTargets(pool.first.context(seed), share=share, seed=seed)
        self._on_image: dict[str, list[int]] = {}
        for index, info in enumerate(pool.first.infos):
            self._on_image.setdefault(info.image_id, []).append(index)

    def drawn(self, case: Case, key: tuple[object, ...]) -> Case:
        """Return `case`, or the same image with another question and its answer.

        Args:
            case: at network size, with the prompt that was drawn for it.
            key: what the draws are keyed by.
        """
        rng = generator(self.seed, *key, "counterfactual")
        if rng.random() >= self.share:
            return case
        if rng.random() < 0.5:
            return self._present(case, rng, key) or self._absent_targets.request(case, rng) or case
        return self._absent_targets.request(case, rng) or self._present(case, rng, key) or case

    def _present(self, case: Case, rng: np.random.Generator, key: tuple[object, ...]) -> Case | None:
        here = self._on_image.get(str(case.metadata.get("image_id", "")), [])
        others = [index for index in here if self.pool.first.infos[index].case_id != case.case_id]
        if not others:
            return None
        chosen = others[int(rng.integers(len(others)))]
        return self.pool.with_prompt(chosen, (*key, "counterfactual"))
