"""The learning rate and the end of training as functions of what happened: no state of their own to lose."""

from __future__ import annotations

import math
from collections.abc import Sequence

from robustness.plans.finetune import TrainSpec


def learning_rate(spec: TrainSpec, *, step: int, total: int, history: Sequence[float]) -> float:
    """Return the learning rate of optimizer step `step`.

    Args:
        spec: `lr`, `schedule`, `warmup` and the plateau's fields.
        step: steps done before this one.
        total: steps of the whole run.
        history: what `plateau_on` names at each validation so far, in order.
    """
    rate = spec.lr * min(1.0, (step + 1) / (spec.warmup + 1))
    if spec.schedule == "cosine":
        return rate * max(spec.lr_floor, 0.5 * (1 + math.cos(math.pi * min(1.0, step / total))))
    if spec.schedule == "plateau":
        rising = [-value for value in history] if spec.plateau_on == "loss" else history
        drops = plateaus(rising, patience=spec.plateau_patience, threshold=spec.plateau_threshold)
        return rate * max(spec.plateau_factor**drops, spec.lr_floor)
    return rate


def plateaus(history: Sequence[float], *, patience: int, threshold: float = 0.0) -> int:
    """Return how often more than `patience` values in a row were not above the best before them.

    Counts as torch's ``ReduceLROnPlateau(threshold_mode="rel")`` drops the rate: a value counts as better where it lies
    above the best by more than `threshold` of that one's size. Give what shall fall with its sign turned.
    """
    best, waited, drops = -math.inf, 0, 0
    for value in history:
        if math.isinf(best) or value > best + threshold * abs(best):
            best, waited = value, 0
            continue
        waited += 1
        if waited > patience:
            drops, waited = drops + 1, 0
    return drops


def since_best(history: Sequence[float], *, least_gain: float = 0.0) -> int:
    """Return how many values came after the last one that was higher by more than `least_gain` than the best then."""
    best, waited = -math.inf, 0
    for value in history:
        best, waited = (value, 0) if value - least_gain > best else (best, waited + 1)
    return waited
