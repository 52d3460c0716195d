"""A search that asks a model for predictions only: random squares, as in Square Attack."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch

from robustness.metrics.scores.masks import mask_metrics
from robustness.perturb.attacks.base import Attacked, AttackSettings, ImageArray, signs
from robustness.perturb.image.pixels import is_gray
from robustness.runners.attacks.loss import loss_of_logits
from robustness.runners.attacks.model import AttackCounters
from robustness.seeds import generator
from robustness.types import Case, Embedding, NotApplicable, Probability, Segmenter

# Share of the image's area in the first square, and the shares of 10,000 queries after which it halves (the source's
# schedule, stretched to the budget).
_FIRST_SHARE = 0.05
_HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
# Probabilities of exactly 0 and 1, which a model of hard masks returns, have no logit.
_NEAREST = 1e-6


@dataclass(eq=False)
class QueryModel:
    """Predictions of any segmenter, counted; the text is encoded once and kept for the next call."""

    model: Segmenter
    counters: AttackCounters = field(default_factory=AttackCounters)
    _text: tuple[str, Embedding] | None = field(default=None, init=False, repr=False)

    def query(self, image: ImageArray, case: Case) -> Probability:
        """Return the map (H, W) of one image under the case's prompt."""
        self.counters.n_attack_queries += 1
        with torch.inference_mode():
            if self._text is None or self._text[0] != case.prompt.text:
                self._text = (case.prompt.text, self.model.encode_text([case.prompt.text]))
            embedding = self.model.encode_image([image])
            return self.model.probabilities(embedding, self._text[1], [case.mask.shape])[0]


def query_attack(
    model: QueryModel, case: Case, eps: float, seed: int, settings: AttackSettings
) -> Attacked | NotApplicable:
    """Search within the budget; see `robustness.perturb.attacks.query_attack`."""
    if hasattr(model.model, "lookup"):
        return NotApplicable("stored predictions answer no changed image")
    reach = math.floor(eps * 255 + 1e-6)
    if reach < 1:
        return NotApplicable(f"eps of {eps * 255:g} levels changes no pixel of an 8-bit image")
    search = _Search(model, case, reach, seed, settings)
    search.run()
    suspicious = signs(clean_loss=search.clean_loss, loss=search.loss, noise_loss=search.noise_loss)
    facts = {"clean_loss": search.clean_loss, "loss": search.loss, "noise_loss": search.noise_loss}
    return Attacked(search.best, {**facts, "queries": search.queries, "suspicious": suspicious})


class _Search:
    def __init__(self, model: QueryModel, case: Case, reach: int, seed: int, settings: AttackSettings) -> None:
        self.model, self.case, self.reach, self.settings = model, case, reach, settings
        self.planes = 1 if is_gray(case.image) else 3
        self.rng = generator(seed, "query_attack")
        self.queries = 0
        self.best: ImageArray = case.image
        self.change = np.zeros(case.image.shape, dtype=np.int64)
        self.loss, self.missed = self._judge(case.image)
        self.clean_loss = self.loss
        # The clean prediction is known to whoever attacks; it does not count.
        self.queries = 0
        self.noise_loss: float | None = None

    def run(self) -> None:
        """Try noise, stripes, then squares, until the budget is spent or the reference is missed altogether."""
        height, width = self.case.mask.shape
        if self.settings.budget > 2:
            self.noise_loss = self._offer(self._signs(height, width))
        if not self.missed:
            self._offer(np.broadcast_to(self._signs(1, width), self.case.image.shape))
        while self.queries < self.settings.budget and not self.missed:
            proposed = self.change.copy()
            side = self._side(height, width)
            row, column = (int(self.rng.integers(0, n - side + 1)) for n in (height, width))
            proposed[row : row + side, column : column + side] = self._signs(1, 1)
            self._offer(proposed)

    def _signs(self, height: int, width: int) -> npt.NDArray[np.int64]:
        """Return corners of the ball at random, the same for all channels of a gray image."""
        drawn = np.where(self.rng.random((height, width, self.planes)) < 0.5, -self.reach, self.reach)
        return np.broadcast_to(drawn, (height, width, 3)) if self.planes == 1 else drawn

    def _offer(self, change: npt.NDArray[np.int64]) -> float:
        """Ask about one change, keep it where it raises the loss, and return its loss."""
        image = np.clip(self.case.image + change, 0, 255).astype(np.uint8)
        loss, missed = self._judge(image)
        if loss > self.loss:
            self.best, self.change, self.loss, self.missed = image, np.array(change), loss, missed
        return loss

    def _judge(self, image: ImageArray) -> tuple[float, bool]:
        probability = self.model.query(image, self.case)
        self.queries += 1
        near = torch.from_numpy(np.asarray(probability, dtype=np.float32))[None, None].clamp(_NEAREST, 1 - _NEAREST)
        target = torch.from_numpy(self.case.mask.astype(np.float32))[None, None]
        loss = float(loss_of_logits(near.logit(), target, self.settings.loss)[0])
        dice = mask_metrics(np.asarray(probability) > self.model.model.threshold, self.case.mask, names=("dice",))[
            "dice"
        ]
        return loss, dice == 0

    def _side(self, height: int, width: int) -> int:
        """Return the side of the next square: its share of the area halves at fixed shares of the budget."""
        spent = 10_000 * self.queries / self.settings.budget
        share = _FIRST_SHARE / 2 ** sum(spent > mark for mark in _HALVINGS)
        return max(1, min(round(math.sqrt(share * height * width)), height, width))
