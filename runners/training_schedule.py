"""The learning rate and the end of training as functions of what happened: no state of their own to lose."""

from __future__ import annotations

import math
from collections.abc import Sequence

from robustness.train_plan import TrainSpec

_FLOOR = 0.01


def learning_rate(spec: TrainSpec, *, step: int, total: int, history: Sequence[float]) -> float:
    """Return the learning rate of optimizer step `step`.

    Args:
        spec: `lr`, `schedule`, `warmup` and the plateau's fields.
        step: steps done before this one.
        total: steps of the whole run.
        history: the validation Dice so far, in order.
    """
    rate = spec.lr * min(1.0, (step + 1) / (spec.warmup + 1))
    if spec.schedule == "cosine":
        return rate * max(_FLOOR, 0.5 * (1 + math.cos(math.pi * min(1.0, step / total))))
    if spec.schedule == "plateau":
        drops = plateaus(history, patience=spec.plateau_patience)
        return rate * max(spec.plateau_factor**drops, _FLOOR)
    return rate


def plateaus(history: Sequence[float], *, patience: int) -> int:
    """Return how often more than `patience` values in a row were no better than the best before them.

    Counts as torch's ``ReduceLROnPlateau(mode="max", threshold=0)`` drops the rate.
    """
    best, waited, drops = -math.inf, 0, 0
    for value in history:
        if value > best:
            best, waited = value, 0
            continue
        waited += 1
        if waited > patience:
            drops, waited = drops + 1, 0
    return drops


def since_best(history: Sequence[float]) -> int:
    """Return how many values came after the first highest one; 0 for an empty history."""
    return len(history) - 1 - history.index(max(history)) if history else 0
