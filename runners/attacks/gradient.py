"""FGSM and PGD on the pixels of the original image."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from robustness.perturb.attacks.base import Attacked, AttackSettings, signs
from robustness.runners.attacks.model import GradientModel, Task, image_of, planes_of, to_levels
from robustness.seeds import generator
from robustness.types import Case


def fgsm(model: GradientModel, case: Case, eps: float, seed: int, settings: AttackSettings) -> Attacked:
    """Take one full step; see `robustness.perturb.attacks.fgsm`.

    A whole number of levels gives an image that is exact in 8 bits: it is returned as uint8, which the model's own
    preparation reads.
    """
    task = model.task(case, settings)
    ball = Ball(task.clean, eps)
    first = task.gradient(task.clean)
    stepped = ball.into(task.clean + eps * steepest(first.gradient))
    noise = task.losses(ball.noise(seed, 1))
    whole = math.isclose(eps * 255, round(eps * 255), abs_tol=1e-6)
    image, loss = finished(task, stepped, case, eps, rounded=settings.round_trip or whole)
    facts = {
        "clean_loss": float(first.loss[0]),
        "loss": loss,
        "noise_loss": float(noise[0]),
        "gradient": size_of(first.gradient),
    }
    return Attacked(image, {**facts, "suspicious": signs(**facts)})


def pgd(model: GradientModel, case: Case, eps: float, seed: int, settings: AttackSettings) -> Attacked:
    """Climb the loss; see `robustness.perturb.attacks.pgd`. All restarts go through the network as one batch."""
    task = model.task(case, settings)
    ball = Ball(task.clean, eps)
    first = task.gradient(task.clean)
    fast = ball.into(task.clean + eps * steepest(first.gradient))
    controls = task.losses(torch.cat([fast, ball.noise(seed, settings.restarts)]))
    best, _ = climb(task, ball, _starts(ball, seed, settings), eps=eps, settings=settings)
    image, loss = finished(task, best, case, eps, rounded=settings.round_trip)
    facts: dict[str, Any] = {
        "clean_loss": float(first.loss[0]),
        "loss": loss,
        "noise_loss": float(controls[1:].max()),
        "fgsm_loss": float(controls[0]),
        "gradient": size_of(first.gradient),
    }
    return Attacked(image, {**facts, "suspicious": signs(**facts)})


def climb(
    task: Task, ball: Ball, points: torch.Tensor, *, eps: float, settings: AttackSettings
) -> tuple[torch.Tensor, float]:
    """Return the point (1, C, H, W) with the highest loss among all that projected gradient steps visit, and its loss.

    The starts count too. A point whose loss is not a number is never kept.
    """
    best, highest = task.clean, -math.inf
    for step in range(settings.steps + 1):
        last = step == settings.steps
        gradient = None if last else task.gradient(points)
        losses = task.losses(points) if gradient is None else gradient.loss
        losses = torch.nan_to_num(losses, nan=-math.inf)
        index = int(losses.argmax())
        if float(losses[index]) > highest:
            best, highest = points[index : index + 1].clone(), float(losses[index])
        if gradient is not None:
            points = ball.into(points + settings.step * eps * steepest(gradient.gradient))
    return best, highest


class Ball:
    """All images within eps of the clean one and in [0, 1]."""

    def __init__(self, clean: torch.Tensor, eps: float) -> None:
        self.clean, self.eps = clean, eps
        # The image has 8 bits: bounds are taken from its exact levels, and rounded towards it.
        exact = (clean.cpu().double() * 255).round() / 255
        self.low = _rounded((exact - eps).clamp(min=0), up=True).to(clean)
        self.high = _rounded((exact + eps).clamp(max=1), up=False).to(clean)

    def into(self, points: torch.Tensor) -> torch.Tensor:
        """Return the nearest point of the ball to each of `points` (B, C, H, W)."""
        return torch.maximum(torch.minimum(points, self.high), self.low)

    def noise(self, seed: int, count: int) -> torch.Tensor:
        """Return `count` corners at random: noise of the largest size that the ball allows."""
        signs_drawn = self._drawn(seed, "noise", count) >= 0
        return self.into(self.clean + self.eps * torch.where(signs_drawn, 1.0, -1.0))

    def inside(self, seed: int, count: int) -> torch.Tensor:
        """Return `count` points, uniform in the cube of side 2 eps, then clipped."""
        return self.into(self.clean + self.eps * self._drawn(seed, "start", count))

    def _drawn(self, seed: int, key: str, count: int) -> torch.Tensor:
        """Return uniform draws in [-1, 1); the first of them do not depend on how many there are."""
        shape = tuple(self.clean.shape[1:])
        draws = [generator(seed, key, number).random(shape, dtype=np.float32) for number in range(count)]
        return torch.from_numpy(np.stack(draws) * 2 - 1).to(self.clean)


def _rounded(exact: torch.Tensor, *, up: bool) -> torch.Tensor:
    """Return float64 values as the next float32 that is not smaller (`up`) or not larger."""
    near = exact.float()
    beyond = near.double() < exact if up else near.double() > exact
    return torch.where(beyond, torch.nextafter(near, torch.full_like(near, math.inf if up else -math.inf)), near)


def steepest(gradient: torch.Tensor) -> torch.Tensor:
    """Return the signs of a gradient; 0 where it is 0 or not a number."""
    return torch.nan_to_num(gradient, nan=0.0).sign()


def size_of(gradient: torch.Tensor) -> float:
    """Return the largest absolute value; NaN where any value is not finite."""
    return float(gradient.abs().max()) if bool(torch.isfinite(gradient).all()) else math.nan


def finished(task: Task, point: torch.Tensor, case: Case, eps: float, *, rounded: bool) -> tuple[Any, float]:
    """Return the image to evaluate and its loss, after rounding where that is asked for."""
    image = image_of(point[0])
    if rounded:
        image = to_levels(image, case.image, eps)
        point = planes_of(image).to(task.clean)
    return image, float(task.losses(point)[0])


def _starts(ball: Ball, seed: int, settings: AttackSettings) -> torch.Tensor:
    if settings.random_start:
        return ball.inside(seed, settings.restarts)
    # Without a draw every restart would be the same.
    return ball.clean.clone()
