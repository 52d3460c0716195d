"""One perturbation for a whole dataset: made once from drawn images, then added to every other image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from PIL import Image as PILImage

from robustness.errors import CaseError
from robustness.perturb.attacks.base import Attacked, AttackSettings, signs
from robustness.runners.attacks.gradient import Ball, finished, steepest
from robustness.runners.attacks.model import GradientModel, Task
from robustness.runners.data.dataset import Dataset
from robustness.runners.inference.preprocess import resized
from robustness.seeds import generator
from robustness.types import Case, CaseInfo, NotApplicable

# One step as a share of eps; a perturbation that starts at 0 reaches its bound after four steps one way.
_STEP = 0.25
_BILINEAR = int(PILImage.Resampling.BILINEAR)


@dataclass(frozen=True, eq=False)
class Pattern:
    """A perturbation (1, 3, S, S) within eps of 0, what it was made from, and its mean loss before and after."""

    delta: torch.Tensor
    made_from: frozenset[str]
    before: float
    after: float


@dataclass(eq=False)
class UniversalAttack:
    """Makes one pattern for each eps, when it is first asked for; results do not depend on which case asks first.

    The dataset's seed draws the images and their order.
    """

    model: GradientModel
    dataset: Dataset
    seed: int
    _made: dict[tuple[Any, ...], Pattern | NotApplicable] = field(default_factory=dict, init=False, repr=False)

    def __call__(self, case: Case, eps: float, seed: int, settings: AttackSettings) -> Attacked | NotApplicable:
        """Return the image with the pattern on it, or why there is none; see `robustness.perturb.attacks.universal`."""
        key = (eps, settings.universal_images, settings.universal_epochs, settings.loss)
        if key not in self._made:
            self._made[key] = self._make(eps, settings)
        pattern = self._made[key]
        if isinstance(pattern, NotApplicable):
            return pattern
        if str(case.metadata.get("image_id", case.case_id)) in pattern.made_from:
            return NotApplicable("the universal perturbation was made from this image (or its subject)")
        return self._added(pattern, case, eps, seed, settings)

    def _added(self, pattern: Pattern, case: Case, eps: float, seed: int, settings: AttackSettings) -> Attacked:
        task = self.model.task(case, settings)
        ball = Ball(task.clean, eps)
        losses = task.losses(torch.cat([task.clean, ball.noise(seed, 1)]))
        changed = ball.into(_on(pattern.delta, task.clean))
        image, loss = finished(task, changed, case, eps, rounded=settings.round_trip)
        facts = {"clean_loss": float(losses[0]), "loss": loss, "noise_loss": float(losses[1])}
        suspicious = signs(clean_loss=pattern.before, loss=pattern.after)
        warnings = [f"on the images that it was made from: {sign}" for sign in suspicious]
        source = {"n_made_from": len(pattern.made_from), "made_from_loss": [pattern.before, pattern.after]}
        return Attacked(image, {**facts, **source, "suspicious": warnings})

    def _make(self, eps: float, settings: AttackSettings) -> Pattern | NotApplicable:
        chosen = _chosen(self.dataset.infos, settings.universal_images, self.seed)
        if chosen is None:
            return NotApplicable("one image alone cannot both make a universal perturbation and show its effect")
        delta = torch.zeros(1, 3, *[self.model.plain.image_size] * 2, device=self.model.plain.device)
        places = [i for i, info in enumerate(self.dataset.infos) if info.image_id in chosen]
        before = self._mean_loss(places, delta, settings)
        for epoch in range(settings.universal_epochs):
            order = generator(self.seed, "universal", "order", epoch).permutation(len(places))
            for task in self._tasks([places[int(i)] for i in order], settings):
                delta = (delta + _STEP * eps * self._direction(task, delta)).clamp(-eps, eps)
        return Pattern(delta, chosen, before, self._mean_loss(places, delta, settings))

    def _direction(self, task: Task, delta: torch.Tensor) -> torch.Tensor:
        """Return the signs along which the pattern hurts this image; equal in all channels where it is gray."""
        gradient = task.gradient(_on(delta, task.clean)).gradient
        # A resize is linear, so its adjoint brings the image's gradient back to the pattern.
        probe = delta[:, : gradient.shape[1]].detach().clone().requires_grad_(True)
        with torch.inference_mode(mode=False), torch.enable_grad():
            spread = resized(probe, (gradient.shape[-2], gradient.shape[-1]), _BILINEAR)
            (slope,) = torch.autograd.grad((spread * gradient).sum(), probe)
        return steepest(slope).expand(-1, 3, -1, -1)

    def _mean_loss(self, places: list[int], delta: torch.Tensor, settings: AttackSettings) -> float:
        losses = [float(task.losses(_on(delta, task.clean))[0]) for task in self._tasks(places, settings)]
        return sum(losses) / len(losses) if losses else float("nan")

    def _tasks(self, places: list[int], settings: AttackSettings) -> Iterator[Task]:
        for index in places:
            try:
                yield self.model.task(self.dataset[index], settings)
            except CaseError:
                continue


def _on(delta: torch.Tensor, clean: torch.Tensor) -> torch.Tensor:
    """Return the image (1, C, H, W) with the pattern resized onto it."""
    channels, *size = clean.shape[1:]
    # A gray image stays gray: one channel, the mean of three, is no further from 0 than they are.
    pattern = delta if channels == 3 else delta.mean(1, keepdim=True)
    return (clean + resized(pattern, (size[0], size[1]), _BILINEAR)).clamp(0, 1)


def _chosen(infos: tuple[CaseInfo, ...], n_images: int, seed: int) -> frozenset[str] | None:
    """Draw whole subjects until `wanted` images are together, at most half of them; single images of one subject."""
    by_subject: dict[str, set[str]] = {}
    for info in infos:
        by_subject.setdefault(info.subject_id, set()).add(info.image_id)
    groups = list(by_subject.values())
    if len(groups) < 2:
        groups = [{image} for image in sorted({info.image_id for info in infos})]
    if len(groups) < 2:
        return None
    chosen: set[str] = set()
    order = generator(seed, "universal", "images").permutation(len(groups))
    for index in order[: len(groups) // 2]:
        if len(chosen) < n_images:
            chosen |= groups[int(index)]
    return frozenset(chosen)
